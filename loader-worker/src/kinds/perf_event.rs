//! perf_event: a program that runs at samples of a perf event, of one process or of all on one CPU.
//!
//! The kernel has no event for all processes on all CPUs: who wants that attaches once for each CPU. The event is opened
//! here where this process may, else by the one-shot helper.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, invalid, mismatched, refused,
};
use crate::helpers::Done;
use crate::kernel::sampled_events::{self, EVENTS};
use crate::kernel::{Error, link, perf, suggest};
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, LinkDetails, Sampling};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::program::ProgramKind;
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct PerfEvent;

impl Kind for PerfEvent {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        match spec {
            AttachSpec::PerfEvent { event, .. } => check_name(event),
            _ => Err(mismatched(spec)),
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::PerfEvent {
            event,
            sampling,
            pid,
            cpu,
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        let (sampling, pid, cpu) = (*sampling, *pid, *cpu);
        match open(event, sampling, pid, cpu)? {
            Some(opened) => Ok(Prepared::Ready(Hook::PerfEvent(Some(opened)))),
            None => Ok(Prepared::NeedsHelper {
                kind: HelperKind::PerfEvent,
                job: HelperJob::OpenSampled {
                    event: event.clone(),
                    sampling,
                    pid,
                    cpu,
                },
                descriptors: Vec::new(),
                hook: Hook::PerfEvent(None),
            }),
        }
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        hook: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure> {
        let (
            AttachSpec::PerfEvent {
                event: name,
                sampling,
                pid,
                cpu,
            },
            Hook::PerfEvent(event),
        ) = (request.spec, hook)
        else {
            return Err(mismatched(request.spec));
        };
        let event = event
            .or_else(|| helper.and_then(Done::into_descriptor))
            .ok_or_else(|| mismatched(request.spec))?;
        let link = link::create_perf_event(request.program, event.as_fd(), 0)
            .map_err(|error| refused(error, request, &format!("perf event {name}")))?;
        let details = LinkDetails::PerfEvent {
            event: name.clone(),
            sampling: *sampling,
            pid: *pid,
            cpu: *cpu,
        };
        attached(link, ProgramKind::PerfEvent, details)
    }
}

/// The perf event; `None` when a more privileged process might be able to open it.
pub fn open(
    name: &str,
    sampling: Sampling,
    pid: Option<i32>,
    cpu: Option<u32>,
) -> Result<Option<OwnedFd>, Failure> {
    let Some(event) = sampled_events::find(name) else {
        let names = || EVENTS.map(|event| event.name.to_owned());
        return Err(Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("perf event \"{name}\" not found"),
        )
        .remedy(suggest::remedy(
            &suggest::near(name, names()),
            &format!("events are {}", names().join(", ")),
        )));
    };
    if pid.is_none() && cpu.is_none() {
        return Err(invalid(
            Stage::Request,
            "a perf event is of one process or of one CPU",
        ));
    }
    if let Some(pid) = pid.filter(|pid| *pid <= 0) {
        return Err(invalid(
            Stage::Request,
            format!("pid {pid} is not positive"),
        ));
    }
    match perf::open_sampled(event, sampling, pid, cpu) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.is_refused() => Ok(None),
        Err(error) => Err(explain(error, name, sampling, pid, cpu)),
    }
}

/// What the kernel's numbers mean at an event that is sampled.
fn explain(
    error: Error,
    name: &str,
    sampling: Sampling,
    pid: Option<i32>,
    cpu: Option<u32>,
) -> Failure {
    match (error.errno, pid, cpu, sampling) {
        (Errno::NOENT | Errno::OPNOTSUPP, ..) => Failure::new(
            FailureCode::Unsupported,
            Stage::Attach,
            format!("this machine has no perf event \"{name}\" to sample ({error})"),
        )
        .remedy("use a software event such as cpu-clock"),
        (Errno::SRCH, Some(pid), ..) => Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("process {pid} does not exist"),
        ),
        (Errno::NODEV, _, Some(cpu), _) => Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("CPU {cpu} is not there or not online"),
        )
        .remedy("see /sys/devices/system/cpu/online"),
        (Errno::INVAL, _, cpu, sampling) => invalid(
            Stage::Attach,
            format!("the kernel takes no event \"{name}\" sampled like this ({error})"),
        )
        .remedy(match (sampling, cpu) {
            (Sampling::Frequency(_), _) => {
                "see /proc/sys/kernel/perf_event_max_sample_rate for the greatest frequency"
            }
            (Sampling::Period(_), Some(_)) => "see /sys/devices/system/cpu/online for the CPUs",
            (Sampling::Period(_), None) => "give another period",
        }),
        _ => error.into_failure(Stage::Attach, format!("perf event \"{name}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_that_are_not_there_are_told_from_those_that_nobody_knows() {
        let unknown = open("cpu-clok", Sampling::Period(1), Some(1), None).unwrap_err();
        assert_eq!(unknown.code, FailureCode::NotFound);
        assert!(unknown.remedy.contains("cpu-clock"), "{unknown}");
        let explained = |errno, sampling| {
            let error = Error::new("perf_event_open", errno);
            explain(error, "cycles", sampling, Some(7), Some(9))
        };
        let sampling = Sampling::Frequency(100);
        let missing = explained(Errno::NOENT, sampling);
        assert_eq!(missing.code, FailureCode::Unsupported);
        assert_eq!(
            explained(Errno::SRCH, sampling).cause,
            "process 7 does not exist"
        );
        assert!(explained(Errno::NODEV, sampling).cause.starts_with("CPU 9"));
        let refused = explained(Errno::INVAL, sampling);
        assert!(refused.remedy.contains("max_sample_rate"), "{refused}");
    }

    #[test]
    fn an_event_of_everything_is_refused() {
        for (pid, cpu) in [(None, None), (Some(-1), Some(0)), (Some(0), None)] {
            let failure = open("cpu-clock", Sampling::Period(1), pid, cpu).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument);
        }
    }
}
