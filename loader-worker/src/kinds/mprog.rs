//! tcx and netkit: several programs on one hook of an interface, each by its own link, ordered by the kernel.
//!
//! Lower priorities run first; of equal ones the older. Programs of others on the hook are left where they are. The order
//! is decided from what is on the hook at one revision, and the kernel takes it only if that is still the revision.

use super::{
    AttachRequest, Attached, Hook, Kind, Network, Prepared, attached, interface, mismatched,
    pin_by_id,
};
use crate::helpers::Done;
use crate::hooks::{self, Site, mprog_order};
use crate::kernel::probe::{self, Missing};
use crate::network_namespace::NetworkPlace;
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, LinkDetails};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::HelperJob;
use ipc::messages::mprog::{MprogHook, MprogMember, MprogPlace};
use ipc::messages::program::ProgramKind;
use std::path::{Path, PathBuf};

/// A kind whose hooks the kernel orders.
pub struct Mprog {
    probe: fn() -> &'static Result<(), Missing>,
    remedy: &'static str,
}

/// At the traffic control of an interface.
pub static TCX: Mprog = Mprog {
    probe: probe::tcx,
    remedy: "use a kernel from 6.6 on",
};

/// At the ends of a pair of netkit devices.
pub static NETKIT: Mprog = Mprog {
    probe: probe::netkit,
    remedy: "use a kernel from 6.7 on that is built with CONFIG_NETKIT",
};

/// What is asked for, of whichever kind.
struct Wanted<'a> {
    interface: &'a str,
    hook: MprogHook,
    priority: i32,
}

impl<'a> Wanted<'a> {
    fn of(spec: &'a AttachSpec) -> Result<Self, Failure> {
        match spec {
            AttachSpec::Tcx {
                interface,
                direction,
                priority,
            } => Ok(Self {
                interface,
                hook: MprogHook::Tcx(*direction),
                priority: *priority,
            }),
            AttachSpec::Netkit {
                interface,
                hook,
                priority,
            } => Ok(Self {
                interface,
                hook: MprogHook::Netkit(*hook),
                priority: *priority,
            }),
            _ => Err(mismatched(spec)),
        }
    }
}

impl Kind for Mprog {
    fn bounds(&self, spec: &AttachSpec) -> Result<(), Failure> {
        check_name(Wanted::of(spec)?.interface)
    }

    fn network<'a>(&self, spec: &'a AttachSpec) -> Network<'a> {
        Wanted::of(spec).map_or(Network::Nowhere, |wanted| {
            Network::Interface(wanted.interface)
        })
    }

    fn prepare(&self, request: &AttachRequest<'_>) -> Result<Prepared, Failure> {
        let Wanted {
            interface,
            hook,
            priority,
        } = Wanted::of(request.spec)?;
        interface::check_priority(priority)?;
        if let Err(missing) = (self.probe)() {
            return Err(
                Failure::new(FailureCode::Unsupported, Stage::Attach, missing.to_string())
                    .remedy(self.remedy),
            );
        }
        let NetworkPlace { namespace, ifindex } = interface::place(request)?;
        let place = MprogPlace {
            hook,
            nsid: namespace.id(),
            ifindex: *ifindex,
        };
        let job = HelperJob::CreateMprogLink {
            ifindex: *ifindex,
            interface: interface.to_owned(),
            hook,
            member: MprogMember {
                program_id: request.record.program_id,
                priority,
                link_id: 0,
            },
            siblings: mprog_order::siblings(request.links, place),
        };
        interface::prepared(request, job)
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        found: Hook,
        helper: Option<Done>,
    ) -> Result<Attached, Failure> {
        let Wanted {
            interface,
            hook,
            priority,
        } = Wanted::of(request.spec)?;
        let Hook::Interface { ifindex, nsid } = found else {
            return Err(mismatched(request.spec));
        };
        let place = MprogPlace {
            hook,
            nsid,
            ifindex,
        };
        let namespace = &interface::place(request)?.namespace;
        let siblings = mprog_order::siblings(request.links, place);
        let link = match helper {
            Some(done) => done.into_descriptor(),
            None if namespace.file().is_none() => {
                let site = Site {
                    ifindex,
                    interface,
                    program_id: request.record.program_id,
                };
                let program = request.program;
                Some(hooks::mprog::create(
                    program, site, hook, priority, &siblings,
                )?)
            }
            None => None,
        };
        let interface = interface.to_owned();
        let position = mprog_order::rank(&siblings, priority);
        let netns = namespace.path().to_owned();
        let (kind, details) = match hook {
            MprogHook::Tcx(direction) => (
                ProgramKind::Tcx,
                LinkDetails::Tcx {
                    interface,
                    ifindex,
                    direction,
                    priority,
                    position,
                    netns,
                    nsid,
                },
            ),
            MprogHook::Netkit(hook) => (
                ProgramKind::Netkit,
                LinkDetails::Netkit {
                    interface,
                    ifindex,
                    hook,
                    priority,
                    position,
                    netns,
                    nsid,
                },
            ),
        };
        attached(link.ok_or_else(|| mismatched(request.spec))?, kind, details)
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
        let pin = TCX.pin(7, 42, &details);
        assert_eq!(pin, Path::new("tcx-egress/link_4026531840_2_42"));
    }
}
