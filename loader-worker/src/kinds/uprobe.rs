//! uprobe and uretprobe: a program at a place of a binary or library, for all processes or one.
//!
//! By a uprobe_multi link where the kernel has it, because that needs no CAP_SYS_ADMIN; else behind a perf event that the
//! one-shot helper opens. Which of the two was decided when the program was loaded ([`crate::kernel::program::load`]).

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, Target, attached, invalid, mismatched, refused,
};
use crate::helpers::Done;
use crate::kernel::error::ENOTSUPP;
use crate::kernel::{Error, link, probe};
use crate::request::{check_name, check_path};
use ipc::messages::attach::{AttachSpec, LinkDetails, ProbePlace};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::program::ProgramKind;
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// See the module.
pub struct Uprobe;

impl Kind for Uprobe {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let AttachSpec::Uprobe {
            target,
            path,
            function,
            ..
        } = spec
        else {
            return Err(mismatched(spec));
        };
        check_path(target)?;
        check_path(path)?;
        function.as_deref().map_or(Ok(()), check_name)
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::Uprobe {
            target,
            function,
            offset,
            pid,
            container_pid,
            ..
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        if target.is_empty() {
            return Err(invalid(Stage::Request, "uprobe target is empty"));
        }
        if function.is_none() && *offset == 0 {
            return Err(invalid(
                Stage::Request,
                "a uprobe needs a function or an offset",
            ));
        }
        if let Some(function) = function
            .as_ref()
            .filter(|_| is_retprobe(request) && *offset != 0)
        {
            return Err(inside(function, *offset));
        }
        for (name, pid) in [("pid", pid), ("container pid", container_pid)] {
            if let Some(pid) = pid.filter(|pid| *pid < 0) {
                return Err(invalid(Stage::Request, format!("{name} {pid} is negative")));
            }
        }
        let (file, file_offset) = open_target(request)?;
        if probe::uprobe_multi().is_ok() {
            return Ok(Prepared::Ready(Hook::File));
        }
        let descriptor = file
            .try_clone_to_owned()
            .map_err(|error| Error::from_io("dup", &error).into_failure(Stage::Attach, target))?;
        Ok(Prepared::NeedsHelper {
            kind: HelperKind::PerfEvent,
            job: HelperJob::OpenUprobe {
                file_offset,
                retprobe: is_retprobe(request),
                pid: one_process(*pid),
            },
            descriptors: vec![descriptor],
            hook: Hook::PerfEvent(None),
        })
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        hook: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure> {
        let AttachSpec::Uprobe {
            target,
            path,
            function,
            offset,
            pid,
            container_pid,
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        let (file, file_offset) = open_target(request)?;
        let retprobe = is_retprobe(request);
        let link = match hook {
            Hook::File => link::create_uprobe_multi(
                request.program,
                file,
                &[ProbePlace::at(file_offset)],
                one_process(*pid),
                retprobe,
            ),
            Hook::PerfEvent(event) => {
                let event = event
                    .or_else(|| helper.and_then(Done::into_descriptor))
                    .ok_or_else(|| mismatched(request.spec))?;
                link::create_perf_event(request.program, event.as_fd(), 0)
            }
            Hook::Interface { .. } | Hook::Fixed => return Err(mismatched(request.spec)),
        };
        let link = link.map_err(|error| explain(error, request, target, file_offset, *pid))?;
        attached(
            link,
            request.record.kind,
            LinkDetails::Uprobe {
                target: target.clone(),
                path: path.clone(),
                function: function.clone().unwrap_or_default(),
                offset: *offset,
                file_offset,
                pid: pid.unwrap_or(0),
                retprobe,
                container_pid: container_pid.unwrap_or(0),
            },
        )
    }
}

/// The target whose descriptor came beside the request, and the place in it.
fn open_target<'a>(request: &AttachRequest<'a>) -> Result<(BorrowedFd<'a>, u64), Failure> {
    match request.target {
        Some(Target {
            file,
            places: [place],
        }) => Ok((file, place.offset)),
        _ => Err(invalid(
            Stage::Request,
            "the uprobe's target did not come as an open file and one place in it",
        )),
    }
}

/// The kernel takes what is on top of the stack for the return address, and replaces it: at the beginning of a function it is
/// that, further on anything. It refuses this of kretprobes, but not of uretprobes, whose processes it would crash.
fn inside(function: &str, offset: u64) -> Failure {
    let cause = format!(
        "a uretprobe belongs at the beginning of {function}: at +{offset} the return address need not be where it is looked for"
    );
    invalid(Stage::Request, cause).remedy("leave the offset out, or load the program as uprobe")
}

fn is_retprobe(request: &AttachRequest<'_>) -> bool {
    request.record.kind == ProgramKind::Uretprobe
}

/// 0 means all processes, as unset does.
pub(super) fn one_process(pid: Option<i32>) -> Option<i32> {
    pid.filter(|pid| *pid != 0)
}

/// What the kernel's numbers mean at a uprobe.
pub fn explain_open(error: Error, target: &str, file_offset: u64, pid: Option<i32>) -> Failure {
    match (error.errno, one_process(pid)) {
        (Errno::SRCH, Some(pid)) => Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("process {pid} does not exist"),
        )
        .remedy("see `ps` for those that do"),
        // Bytes that are no instruction, and those in whose place the kernel puts no trap.
        (Errno::INVAL | Errno::ILSEQ | ENOTSUPP, _) => invalid(
            Stage::Attach,
            format!("the kernel takes no probe at offset {file_offset:#x} of {target}"),
        )
        .remedy("give an offset at which an instruction of the file starts"),
        _ => error.into_failure(
            Stage::Attach,
            format!("a probe at offset {file_offset:#x} of {target}"),
        ),
    }
}

fn explain(
    error: Error,
    request: &AttachRequest<'_>,
    target: &str,
    file_offset: u64,
    pid: Option<i32>,
) -> Failure {
    match error.errno {
        Errno::SRCH | Errno::INVAL | Errno::ILSEQ | ENOTSUPP => {
            explain_open(error, target, file_offset, pid)
        }
        _ => refused(
            error,
            request,
            &format!("offset {file_offset:#x} of {target}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_numbers_become_causes() {
        let explained = |errno, pid| {
            explain_open(Error::new("BPF_LINK_CREATE", errno), "/bin/x", 0x24, pid).to_string()
        };
        for errno in [Errno::INVAL, Errno::ILSEQ, ENOTSUPP] {
            assert_eq!(
                explained(errno, None),
                "attach: the kernel takes no probe at offset 0x24 of /bin/x; \
                 give an offset at which an instruction of the file starts"
            );
        }
        assert_eq!(
            explained(Errno::SRCH, Some(7)),
            "resolve: process 7 does not exist; see `ps` for those that do"
        );
        // Without a process to name, the number itself is told.
        assert!(explained(Errno::SRCH, None).contains("BPF_LINK_CREATE"));
    }
}
