//! cgroup_skb, cgroup_sock, cgroup_sock_addr, cgroup_sockopt, cgroup_sysctl, cgroup_device: a program for the processes of a
//! control group and of those below it, at the hook that it was loaded for.
//!
//! The directory comes as a descriptor that the client opened with its own rights. Links of several programs share a hook;
//! the kernel runs them in the order in which they were attached, those of the innermost group first.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, Target, attached, invalid, mismatched, refused,
};
use crate::helpers::Done;
use crate::kernel::link;
use crate::request::check_path;
use ipc::cgroup_hooks::{self, CgroupHook};
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, Stage};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// See the module.
pub struct Cgroup;

impl Kind for Cgroup {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        match spec {
            AttachSpec::Cgroup { path, .. } => check_path(path),
            _ => Err(mismatched(spec)),
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        hook(request)?;
        directory(request)?;
        Ok(Prepared::Ready(Hook::File))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        let AttachSpec::Cgroup { path, .. } = request.spec else {
            return Err(mismatched(request.spec));
        };
        let hook = hook(request)?;
        let link = link::create_cgroup(request.program, directory(request)?, hook.attach_type)
            .map_err(|error| match error.errno {
                Errno::BADF => invalid(
                    Stage::Attach,
                    format!("\"{path}\" is no directory of the control groups' file system"),
                )
                .remedy("name a directory below a mount of type cgroup2, such as /sys/fs/cgroup"),
                _ => refused(error, request, &format!("{} of {path}", hook.name)),
            })?;
        let details = LinkDetails::Cgroup {
            path: path.clone(),
            hook: hook.name.to_owned(),
        };
        attached(link, request.record.kind, details)
    }
}

/// The hook that the program was loaded for.
fn hook(request: &AttachRequest<'_>) -> Result<&'static CgroupHook, Failure> {
    let record = request.record;
    record
        .attach_function
        .as_deref()
        .and_then(|name| cgroup_hooks::find(record.kind, name))
        .ok_or_else(|| mismatched(request.spec))
}

fn directory<'a>(request: &AttachRequest<'a>) -> Result<BorrowedFd<'a>, Failure> {
    match request.target {
        Some(Target { file, .. }) => Ok(file),
        None => Err(invalid(
            Stage::Request,
            "the control group did not come as an open directory",
        )),
    }
}
