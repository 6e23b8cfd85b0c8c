//! kprobe_multi and kretprobe_multi: a program at the start, or the return, of several functions of the kernel by one link.
//!
//! The kernel looks the names up itself and wants no capability beyond the program.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, invalid, mismatched, refused,
    unsupported,
};
use crate::helpers::Done;
use crate::kernel::{Error, link, probe};
use crate::request::{bound, check_name};
use ipc::limits::PROBE_PLACES;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use rustix::io::Errno;
use std::collections::BTreeSet;

/// See the module.
pub struct KprobeMulti;

impl Kind for KprobeMulti {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let functions = functions(spec)?;
        bound("functions", functions.len(), PROBE_PLACES)?;
        functions
            .iter()
            .try_for_each(|function| check_name(function))
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let functions = functions(request.spec)?;
        let distinct: BTreeSet<&String> = functions.iter().collect();
        // The kernel counts what it has found against what was asked for.
        if functions.is_empty() || distinct.len() != functions.len() {
            return Err(invalid(
                Stage::Request,
                "functions of the kernel are named once each, and at least one",
            ));
        }
        probe::kprobe_multi().as_ref().map_err(|missing| {
            unsupported(missing)
                .remedy("use a kernel with CONFIG_FPROBE, or another kind of program")
        })?;
        Ok(Prepared::Ready(Hook::Fixed))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        _: Hook,
        _: Option<Done>,
    ) -> Result<Attached, Failure> {
        let functions = functions(request.spec)?;
        let retprobe = request.record.kind == ProgramKind::KretprobeMulti;
        let link = link::create_kprobe_multi(request.program, functions, retprobe)
            .map_err(|error| explain(error, request, functions))?;
        let details = LinkDetails::KprobeMulti {
            functions: functions.to_vec(),
            retprobe,
        };
        attached(link, request.record.kind, details)
    }
}

fn functions(spec: &AttachSpec) -> Result<&[String], Failure> {
    match spec {
        AttachSpec::KprobeMulti { functions } => Ok(functions),
        _ => Err(mismatched(spec)),
    }
}

/// The kernel says that a function is not there, not which.
fn explain(error: Error, request: &AttachRequest<'_>, functions: &[String]) -> Failure {
    let missing = functions
        .iter()
        .find(|function| error.errno == Errno::SRCH && !probe::has_function(function));
    match missing {
        Some(function) => Failure::new(
            FailureCode::NotFound,
            Stage::Resolve,
            format!("kernel function \"{function}\" not found, or it takes no probes"),
        )
        .remedy("see available_filter_functions in /sys/kernel/tracing for the functions"),
        None => refused(
            error,
            request,
            &format!("{} kernel functions", functions.len()),
        ),
    }
}
