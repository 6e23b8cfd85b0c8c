//! tracepoint: a program behind the perf event of a tracepoint.
//!
//! The event is opened here where this process may read tracefs and open events of others, else by the one-shot helper.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, invalid, mismatched, refused,
};
use crate::helpers::Done;
use crate::kernel::tracepoints::{self, Lookup};
use crate::kernel::{Error, link, perf, suggest};
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::program::ProgramKind;
use std::os::fd::{AsFd, OwnedFd};

/// See the module.
pub struct Tracepoint;

impl Kind for Tracepoint {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let AttachSpec::Tracepoint { group, name } = spec else {
            return Err(mismatched(spec));
        };
        check_name(group)?;
        check_name(name)
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::Tracepoint { group, name } = request.spec else {
            return Err(mismatched(request.spec));
        };
        match open(group, name)? {
            Some(event) => Ok(Prepared::Ready(Hook::PerfEvent(Some(event)))),
            None => Ok(Prepared::NeedsHelper {
                kind: HelperKind::PerfEvent,
                job: HelperJob::OpenTracepoint {
                    group: group.clone(),
                    name: name.clone(),
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
        let (AttachSpec::Tracepoint { group, name }, Hook::PerfEvent(event)) = (request.spec, hook)
        else {
            return Err(mismatched(request.spec));
        };
        let event = event
            .or_else(|| helper.and_then(Done::into_descriptor))
            .ok_or_else(|| mismatched(request.spec))?;
        let link = link::create_perf_event(request.program, event.as_fd(), 0)
            .map_err(|error| refused(error, request, &format!("tracepoint {group}/{name}")))?;
        let details = LinkDetails::Tracepoint {
            group: group.clone(),
            name: name.clone(),
        };
        attached(link, ProgramKind::Tracepoint, details)
    }
}

/// The perf event of a tracepoint; `None` when a more privileged process might be able to open it.
pub fn open(group: &str, name: &str) -> Result<Option<OwnedFd>, Failure> {
    if !tracepoints::is_component(group) || !tracepoints::is_component(name) {
        return Err(invalid(
            Stage::Request,
            format!("\"{group}/{name}\" is not a tracepoint name"),
        )
        .remedy("write it as GROUP/NAME, for example sched/sched_switch"));
    }
    let failed =
        |error: Error| error.into_failure(Stage::Resolve, format!("tracepoint \"{group}/{name}\""));
    let id = match tracepoints::lookup(group, name).map_err(failed)? {
        Lookup::Found(id) => id,
        Lookup::Unreadable => return Ok(None),
        Lookup::Missing(near) => {
            let cause = format!("tracepoint \"{group}/{name}\" not found");
            return Err(
                Failure::new(FailureCode::NotFound, Stage::Resolve, cause).remedy(suggest::remedy(
                    &near,
                    "see `ls /sys/kernel/tracing/events` for the groups",
                )),
            );
        }
        Lookup::Unmounted => {
            return Err(Failure::new(
                FailureCode::FailedPrecondition,
                Stage::Resolve,
                "tracefs is not mounted",
            )
            .remedy("mount -t tracefs tracefs /sys/kernel/tracing"));
        }
    };
    match perf::open_tracepoint(id) {
        Ok(event) => Ok(Some(event)),
        Err(error) if error.is_refused() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
