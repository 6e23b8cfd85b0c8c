//! uprobe_multi, uretprobe_multi and usdt: a program at several places of one binary or library by one link: functions, or the
//! places of a statically defined probe, whose semaphores the kernel raises meanwhile.
//!
//! Perf events would take a link for each place, so where the kernel has no such links this is not offered.

use super::uprobe::one_process;
use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, invalid, mismatched, refused,
    unsupported,
};
use crate::helpers::Done;
use crate::kernel::error::ENOTSUPP;
use crate::kernel::{Error, link, probe};
use crate::request::{bound, check_name, check_path};
use ipc::limits::PROBE_PLACES;
use ipc::messages::attach::{AttachSpec, LinkDetails, ProbePlace};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Functions.
pub struct UprobeMulti;

/// The places of a statically defined probe.
pub struct Usdt;

impl Kind for UprobeMulti {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let AttachSpec::UprobeMulti {
            target,
            path,
            functions,
            ..
        } = spec
        else {
            return Err(mismatched(spec));
        };
        check_path(target)?;
        check_path(path)?;
        bound("functions", functions.len(), PROBE_PLACES)?;
        functions
            .iter()
            .try_for_each(|function| check_name(function))
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::UprobeMulti { functions, .. } = request.spec else {
            return Err(mismatched(request.spec));
        };
        let (_, places) = target(request)?;
        if places.len() != functions.len() {
            return Err(invalid(
                Stage::Request,
                format!("{} places of {} functions", places.len(), functions.len()),
            ));
        }
        Ok(Prepared::Ready(Hook::File))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        let AttachSpec::UprobeMulti {
            target,
            path,
            functions,
            pid,
            container_pid,
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        let retprobe = request.record.kind == ProgramKind::UretprobeMulti;
        let link = create(request, target, *pid, retprobe)?;
        let details = LinkDetails::UprobeMulti {
            target: target.clone(),
            path: path.clone(),
            functions: functions.clone(),
            pid: pid.unwrap_or(0),
            retprobe,
            container_pid: container_pid.unwrap_or(0),
        };
        attached(link, request.record.kind, details)
    }
}

impl Kind for Usdt {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let AttachSpec::Usdt {
            target,
            path,
            provider,
            name,
            ..
        } = spec
        else {
            return Err(mismatched(spec));
        };
        check_path(target)?;
        check_path(path)?;
        check_name(provider)?;
        check_name(name)
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        target(request).map(|_| Prepared::Ready(Hook::File))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        let AttachSpec::Usdt {
            target: binary,
            path,
            provider,
            name,
            pid,
            container_pid,
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        let link = create(request, binary, *pid, false)?;
        let (_, places) = target(request)?;
        let details = LinkDetails::Usdt {
            target: binary.clone(),
            path: path.clone(),
            provider: provider.clone(),
            name: name.clone(),
            pid: pid.unwrap_or(0),
            places: u32::try_from(places.len()).unwrap_or(u32::MAX),
            container_pid: container_pid.unwrap_or(0),
        };
        attached(link, ProgramKind::Usdt, details)
    }
}

/// The open target and the places in it, where the kernel can take several.
fn target<'a>(request: &AttachRequest<'a>) -> Result<(BorrowedFd<'a>, &'a [ProbePlace]), Failure> {
    probe::uprobe_multi().as_ref().map_err(|missing| {
        unsupported(missing)
            .remedy("use a kernel from 6.6 on, or attach uprobes to one function after the other")
    })?;
    let Some(target) = request.target.filter(|target| !target.places.is_empty()) else {
        return Err(invalid(
            Stage::Request,
            "the target did not come as an open file and places in it",
        ));
    };
    bound("places", target.places.len(), PROBE_PLACES)?;
    Ok((target.file, target.places))
}

fn create(
    request: &AttachRequest<'_>,
    name: &str,
    pid: Option<i32>,
    retprobe: bool,
) -> Result<OwnedFd, Failure> {
    let (file, places) = target(request)?;
    let pid = one_process(pid);
    link::create_uprobe_multi(request.program, file, places, pid, retprobe)
        .map_err(|error| explain(error, request, name, pid))
}

/// What the kernel's numbers mean at several places.
fn explain(error: Error, request: &AttachRequest<'_>, name: &str, pid: Option<i32>) -> Failure {
    match (error.errno, pid) {
        (Errno::SRCH, Some(pid)) => Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("process {pid} does not exist"),
        )
        .remedy("see `ps` for those that do"),
        (Errno::INVAL | Errno::ILSEQ | ENOTSUPP, _) => invalid(
            Stage::Attach,
            format!("the kernel takes no probe at one of the places in {name} ({error})"),
        )
        .remedy("attach to one after the other to see which"),
        _ => refused(error, request, name),
    }
}
