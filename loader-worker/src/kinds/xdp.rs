//! xdp: one program, nothing between it and the interface.
//!
//! Run by the driver where that can, else by the kernel's generic code; which of the two is found by trying and recorded.

use super::{
    AttachRequest, Attached, Hook, Kind, Network, Prepared, attached, interface, invalid,
    mismatched,
};
use crate::helpers::Done;
use crate::hooks::{self, Site};
use crate::request::{bound, check_name};
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::helper::{HelperJob, HelperResult};
use ipc::messages::program::ProgramKind;

/// See the module.
pub struct Xdp;

/// Verdicts by which a chain may go on: aborted, drop, pass, tx, redirect, dispatcher_return.
const VERDICTS: [i32; 6] = [0, 1, 2, 3, 4, 31];
/// Verdicts in one request: a mask has no more bits.
const VERDICTS_LISTED: usize = 32;
/// pass and dispatcher_return.
const DEFAULT_PROCEED_ON: [i32; 2] = [2, 31];

impl Kind for Xdp {
    fn kinds(&self) -> &'static [ProgramKind] {
        &[ProgramKind::Xdp]
    }

    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        let AttachSpec::Xdp {
            interface,
            proceed_on,
            ..
        } = spec
        else {
            return Err(mismatched(spec));
        };
        check_name(interface)?;
        bound("verdicts", proceed_on.len(), VERDICTS_LISTED)
    }

    fn network<'a>(&self, spec: &'a AttachSpec) -> Network<'a> {
        match spec {
            AttachSpec::Xdp { interface, .. } => Network::Interface(interface),
            _ => Network::Nowhere,
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::Xdp {
            interface,
            priority,
            proceed_on,
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        interface::check_priority(*priority)?;
        recorded_verdicts(proceed_on)?;
        let job = HelperJob::CreateXdpLink {
            ifindex: interface::place(request)?.ifindex,
            interface: interface.clone(),
            program_id: request.record.program_id,
        };
        interface::prepared(request, job)
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        hook: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure> {
        let (
            AttachSpec::Xdp {
                interface,
                priority,
                proceed_on,
            },
            Hook::Interface { ifindex, nsid },
        ) = (request.spec, hook)
        else {
            return Err(mismatched(request.spec));
        };
        let proceed_on = recorded_verdicts(proceed_on)?;
        let namespace = &interface::place(request)?.namespace;
        let (link, mode) = match helper {
            Some(Done {
                result: HelperResult::XdpLink { mode },
                mut descriptors,
            }) => (descriptors.pop(), mode),
            None if namespace.file().is_none() => {
                let site = Site {
                    ifindex,
                    interface,
                    program_id: request.record.program_id,
                };
                let (link, mode) = hooks::xdp::create(request.program, site)?;
                (Some(link), mode)
            }
            _ => return Err(mismatched(request.spec)),
        };
        let link = link.ok_or_else(|| mismatched(request.spec))?;
        attached(
            link,
            ProgramKind::Xdp,
            LinkDetails::Xdp {
                interface: interface.clone(),
                ifindex,
                priority: *priority,
                position: 0,
                proceed_on,
                netns: namespace.path().to_owned(),
                nsid,
                dispatcher_id: 0,
                revision: 0,
                mode,
            },
        )
    }
}

/// The verdicts for the record: the default for none, ascending, each once.
fn recorded_verdicts(proceed_on: &[i32]) -> Result<Vec<i32>, Failure> {
    if let Some(unknown) = proceed_on
        .iter()
        .find(|verdict| !VERDICTS.contains(verdict))
    {
        return Err(invalid(
            Stage::Request,
            format!("{unknown} is no XDP verdict"),
        ));
    }
    let mut verdicts = if proceed_on.is_empty() {
        DEFAULT_PROCEED_ON.to_vec()
    } else {
        proceed_on.to_vec()
    };
    verdicts.sort_unstable();
    verdicts.dedup();
    Ok(verdicts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::failure::FailureCode;

    #[test]
    fn verdicts_are_checked_and_sorted() {
        assert_eq!(recorded_verdicts(&[]).unwrap(), [2, 31]);
        assert_eq!(recorded_verdicts(&[31, 0, 31]).unwrap(), [0, 31]);
        for unknown in [-1, 5, 30, 32] {
            assert_eq!(
                recorded_verdicts(&[unknown]).unwrap_err().code,
                FailureCode::InvalidArgument
            );
        }
    }
}
