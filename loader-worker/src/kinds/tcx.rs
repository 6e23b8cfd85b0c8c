//! tcx: several programs on one direction of an interface, each by its own link, ordered by the kernel.
//!
//! Lower priorities run first; of equal ones the older. Programs of others on the hook are left where they are. The order
//! is decided from what is on the hook at one revision, and the kernel takes it only if that is still the revision.

use super::{
    AttachRequest, Attached, Hook, Kind, Network, Prepared, attached, interface, mismatched,
    pin_by_id,
};
use crate::helpers::Done;
use crate::hooks::{self, Site, tcx_order};
use crate::kernel::probe;
use crate::network_namespace::NetworkPlace;
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, TcxMember};
use ipc::messages::program::ProgramKind;
use std::path::{Path, PathBuf};

/// See the module.
pub struct Tcx;

impl Kind for Tcx {
    fn kinds(&self) -> &'static [ProgramKind] {
        &[ProgramKind::Tcx]
    }

    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        match spec {
            AttachSpec::Tcx { interface, .. } => check_name(interface),
            _ => Err(mismatched(spec)),
        }
    }

    fn network<'a>(&self, spec: &'a AttachSpec) -> Network<'a> {
        match spec {
            AttachSpec::Tcx { interface, .. } => Network::Interface(interface),
            _ => Network::Nowhere,
        }
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let AttachSpec::Tcx {
            interface,
            direction,
            priority,
        } = request.spec
        else {
            return Err(mismatched(request.spec));
        };
        interface::check_priority(*priority)?;
        if let Err(missing) = probe::tcx() {
            return Err(
                Failure::new(FailureCode::Unsupported, Stage::Attach, missing.to_string())
                    .remedy("use a kernel from 6.6 on"),
            );
        }
        let NetworkPlace { namespace, ifindex } = interface::place(request)?;
        let job = HelperJob::CreateTcxLink {
            ifindex: *ifindex,
            interface: interface.clone(),
            direction: *direction,
            member: TcxMember {
                program_id: request.record.program_id,
                priority: *priority,
                link_id: 0,
            },
            siblings: tcx_order::siblings(request.links, namespace.id(), *ifindex, *direction),
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
            AttachSpec::Tcx {
                interface,
                direction,
                priority,
            },
            Hook::Interface { ifindex, nsid },
        ) = (request.spec, hook)
        else {
            return Err(mismatched(request.spec));
        };
        let namespace = &interface::place(request)?.namespace;
        let siblings = tcx_order::siblings(request.links, nsid, ifindex, *direction);
        let link = match helper {
            Some(done) => done.into_descriptor(),
            None if namespace.file().is_none() => {
                let site = Site {
                    ifindex,
                    interface,
                    program_id: request.record.program_id,
                };
                let program = request.program;
                Some(hooks::tcx::create(
                    program, site, *direction, *priority, &siblings,
                )?)
            }
            None => None,
        };
        attached(
            link.ok_or_else(|| mismatched(request.spec))?,
            ProgramKind::Tcx,
            LinkDetails::Tcx {
                interface: interface.clone(),
                ifindex,
                direction: *direction,
                priority: *priority,
                position: tcx_order::rank(&siblings, *priority),
                netns: namespace.path().to_owned(),
                nsid,
            },
        )
    }

    fn pin(&self, link_id: u64, program_id: u32, details: &LinkDetails) -> PathBuf {
        match details {
            LinkDetails::Tcx {
                ifindex,
                direction,
                nsid,
                ..
            } => Path::new(&format!("tcx-{}", direction.name()))
                .join(format!("link_{nsid}_{ifindex}_{program_id}")),
            _ => pin_by_id(link_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::Direction;

    #[test]
    fn pins_are_where_tools_look() {
        let details = LinkDetails::Tcx {
            interface: "eth0".into(),
            ifindex: 2,
            direction: Direction::Egress,
            priority: 50,
            position: 0,
            netns: String::new(),
            nsid: 4026531840,
        };
        let pin = Tcx.pin(7, 42, &details);
        assert_eq!(pin, Path::new("tcx-egress/link_4026531840_2_42"));
    }
}
