//! raw_tracepoint: a program at a tracepoint, called with the tracepoint's own arguments.
//!
//! The kernel looks the name up itself; neither tracefs nor a perf event is needed.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, invalid, mismatched, refused,
};
use crate::helpers::Done;
use crate::kernel::{link, tracepoints};
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct RawTracepoint;

impl Kind for RawTracepoint {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        match spec {
            AttachSpec::RawTracepoint { name } => check_name(name),
            _ => Err(mismatched(spec)),
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::RawTracepoint { name } = request.spec else {
            return Err(mismatched(request.spec));
        };
        if !tracepoints::is_component(name) {
            return Err(invalid(
                Stage::Request,
                format!("\"{name}\" is not the name of a raw tracepoint"),
            )
            .remedy("write it without a group, for example sched_switch"));
        }
        Ok(Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        let AttachSpec::RawTracepoint { name } = request.spec else {
            return Err(mismatched(request.spec));
        };
        let link = link::open_raw_tracepoint(request.program, name).map_err(|error| {
            if !error.is_not_found() {
                return refused(error, request, &format!("raw tracepoint {name}"));
            }
            let cause = format!("raw tracepoint \"{name}\" not found");
            Failure::new(FailureCode::NotFound, Stage::Resolve, cause)
                .remedy("see /sys/kernel/tracing/events; system calls are sys_enter and sys_exit")
        })?;
        let details = LinkDetails::RawTracepoint { name: name.clone() };
        attached(link, ProgramKind::RawTracepoint, details)
    }
}
