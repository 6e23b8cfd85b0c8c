//! kprobe and kretprobe: a program at a place in a kernel function, or at its return.
//!
//! Behind a perf event of the kprobe PMU, which takes CAP_SYS_ADMIN: always opened by the one-shot helper.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, invalid, mismatched, refused,
};
use crate::helpers::Done;
use crate::kernel::{Error, functions, link, perf, suggest};
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::program::ProgramKind;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Kprobe;

impl Kind for Kprobe {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        match spec {
            AttachSpec::Kprobe { function, .. } => check_name(function),
            _ => Err(mismatched(spec)),
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::Kprobe { function, offset } = request.spec else {
            return Err(mismatched(request.spec));
        };
        if function.is_empty() || function.contains('\0') {
            return Err(invalid(
                Stage::Request,
                format!("\"{function}\" is no name of a kernel function"),
            ));
        }
        let retprobe = is_retprobe(request);
        if retprobe && *offset != 0 {
            return Err(invalid(
                Stage::Request,
                format!("a kretprobe has no offset ({offset} is given)"),
            )
            .remedy("leave --offset away: the probe sits where the function returns"));
        }
        Ok(Prepared::NeedsHelper {
            kind: HelperKind::PerfEvent,
            job: HelperJob::OpenKprobe {
                function: function.clone(),
                offset: *offset,
                retprobe,
            },
            descriptors: Vec::new(),
            hook: Hook::PerfEvent(None),
        })
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        hook: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure> {
        let (AttachSpec::Kprobe { function, offset }, Hook::PerfEvent(event)) =
            (request.spec, hook)
        else {
            return Err(mismatched(request.spec));
        };
        let event = event
            .or_else(|| helper.and_then(Done::into_descriptor))
            .ok_or_else(|| mismatched(request.spec))?;
        let link = link::create_perf_event(request.program, event.as_fd(), 0)
            .map_err(|error| refused(error, request, &place(function, *offset)))?;
        let details = LinkDetails::Kprobe {
            function: function.clone(),
            offset: *offset,
            retprobe: is_retprobe(request),
        };
        attached(link, request.record.kind, details)
    }
}

fn is_retprobe(request: &AttachRequest<'_>) -> bool {
    request.record.kind == ProgramKind::Kretprobe
}

fn place(function: &str, offset: u64) -> String {
    match offset {
        0 => format!("kernel function {function}"),
        offset => format!("kernel function {function}+{offset:#x}"),
    }
}

/// The perf event of a probe, for the helper.
pub fn open(function: &str, offset: u64, retprobe: bool) -> Result<OwnedFd, Failure> {
    if !perf::has_kprobes() {
        return Err(Failure::new(
            FailureCode::Unsupported,
            Stage::Attach,
            format!(
                "this kernel has no kprobes: there is no {}",
                perf::KPROBE_PMU
            ),
        )
        .remedy("use a kernel with CONFIG_KPROBE_EVENTS, or another kind of program"));
    }
    perf::open_kprobe(function, offset, retprobe)
        .map_err(|error| explain(error, function, offset, functions::traceable))
}

/// What the kernel's numbers mean at a kprobe.
fn explain<Names: IntoIterator<Item = String>>(
    error: Error,
    function: &str,
    offset: u64,
    names: impl FnOnce() -> Names,
) -> Failure {
    match error.errno {
        Errno::NOENT => Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("kernel function \"{function}\" not found"),
        )
        .remedy(suggest::remedy(
            &suggest::near(function, names()),
            "see /proc/kallsyms for the functions",
        )),
        Errno::ADDRNOTAVAIL => Failure::new(
            FailureCode::FailedPrecondition,
            Stage::Resolve,
            format!("the kernel has more than one function \"{function}\""),
        )
        .remedy("attach to a function that calls it"),
        Errno::INVAL | Errno::ILSEQ => invalid(
            Stage::Attach,
            format!("the kernel takes no probe at {}", place(function, offset)),
        )
        .remedy("give an offset at which an instruction of the function starts; some functions take none"),
        _ => error.into_failure(Stage::Attach, format!("a probe at {}", place(function, offset))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(errno: Errno) -> Failure {
        let names = || ["do_unlinkat", "do_rmdir"].map(str::to_owned);
        explain(Error::new("perf_event_open", errno), "do_unlinkt", 4, names)
    }

    #[test]
    fn the_kernels_numbers_become_causes() {
        let missing = explained(Errno::NOENT);
        assert_eq!(missing.code, FailureCode::NotFound);
        assert_eq!(missing.cause, "kernel function \"do_unlinkt\" not found");
        assert_eq!(missing.remedy, "did you mean: do_unlinkat?");
        let strange = explain(
            Error::new("perf_event_open", Errno::NOENT),
            "do_unlinkt",
            0,
            || ["vfs_read".to_owned()],
        );
        assert_eq!(strange.remedy, "see /proc/kallsyms for the functions");
        let inside = explained(Errno::ILSEQ);
        assert_eq!(inside.code, FailureCode::InvalidArgument);
        assert!(inside.cause.ends_with("do_unlinkt+0x4"), "{inside}");
        assert_eq!(
            explained(Errno::ADDRNOTAVAIL).code,
            FailureCode::FailedPrecondition
        );
    }
}
