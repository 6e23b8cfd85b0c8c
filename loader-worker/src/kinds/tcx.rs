//! tcx: several programs on one direction of an interface, each by its own link, ordered by the kernel.
//!
//! Lower priorities run first; of equal ones the older. Programs of others on the hook are left where they are. The order
//! is decided from what is on the hook at one revision, and the kernel takes it only if that is still the revision.

use super::{
    AttachRequest, Attached, Hook, Kind, Prepared, attached, interface, mismatched, pin_by_id,
    refused,
};
use crate::kernel::limits::ATTACH_ATTEMPTS;
use crate::kernel::link::{self, Place};
use crate::kernel::{probe, query};
use crate::request::check_name;
use ipc::messages::attach::{AttachSpec, Direction, LinkDetails, LinkRecord};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
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
        let hook = interface::find(interface)?;
        if let Err(missing) = probe::tcx() {
            return Err(
                Failure::new(FailureCode::Unsupported, Stage::Attach, missing.to_string())
                    .remedy("use a kernel from 6.6 on"),
            );
        }
        if let Hook::Interface { ifindex, nsid } = hook {
            refuse_duplicate(
                request,
                interface,
                &siblings(request.links, nsid, ifindex, *direction),
                *direction,
            )?;
        }
        Ok(Prepared::Ready(hook))
    }

    fn attach(
        &self,
        request: &AttachRequest<'_>,
        hook: Hook,
        _helper: Option<OwnedFd>,
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
        let siblings = siblings(request.links, nsid, ifindex, *direction);
        refuse_duplicate(request, interface, &siblings, *direction)?;
        let hook_name = format!("{interface} {}", direction.name());
        let link = attach_in_order(
            request, ifindex, *direction, *priority, &siblings, &hook_name,
        )?;
        attached(
            link,
            ProgramKind::Tcx,
            LinkDetails::Tcx {
                interface: interface.clone(),
                ifindex,
                direction: *direction,
                priority: *priority,
                position: rank(&siblings, *priority),
                netns: String::new(),
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

fn attach_in_order(
    request: &AttachRequest<'_>,
    ifindex: u32,
    direction: Direction,
    priority: i32,
    siblings: &[Sibling],
    hook_name: &str,
) -> Result<OwnedFd, Failure> {
    for _ in 0..ATTACH_ATTEMPTS {
        let hook =
            query::tcx(ifindex, direction).map_err(|error| refused(error, request, hook_name))?;
        let place = place(siblings, &hook.programs, priority);
        match link::create_tcx(request.program, ifindex, direction, place, hook.revision) {
            Ok(link) => return Ok(link),
            // Somebody else changed the hook in between: look again.
            Err(error) if error.errno == Errno::STALE => {}
            Err(error) if error.errno == Errno::EXIST => {
                return Err(Failure::new(
                    FailureCode::AlreadyExists,
                    Stage::Attach,
                    format!(
                        "program {} is already attached to {hook_name} by a link that bpfman did not make",
                        request.record.program_id
                    ),
                ));
            }
            Err(error) => return Err(refused(error, request, hook_name)),
        }
    }
    Err(Failure::new(
        FailureCode::Unavailable,
        Stage::Attach,
        format!("{hook_name} was changed by others {ATTACH_ATTEMPTS} times while attaching"),
    )
    .remedy("retry"))
}

/// A link of bpfman's on the hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sibling {
    id: u64,
    program_id: u32,
    priority: i32,
}

/// bpfman's links on one hook, in running order.
fn siblings(
    links: &[LinkRecord],
    on_nsid: u64,
    on_ifindex: u32,
    on_direction: Direction,
) -> Vec<Sibling> {
    let mut siblings: Vec<Sibling> = links
        .iter()
        .filter_map(|link| match link.details {
            LinkDetails::Tcx {
                ifindex,
                direction,
                priority,
                nsid,
                ..
            } if (nsid, ifindex, direction) == (on_nsid, on_ifindex, on_direction) => {
                Some(Sibling {
                    id: link.id,
                    program_id: link.program_id,
                    priority,
                })
            }
            _ => None,
        })
        .collect();
    siblings.sort_by_key(|sibling| (sibling.priority, sibling.id));
    siblings
}

/// Where a new program goes. Siblings that are gone from the kernel are no anchors.
fn place(siblings: &[Sibling], programs: &[u32], priority: i32) -> Place {
    let mut present = siblings
        .iter()
        .filter(|sibling| programs.contains(&sibling.program_id));
    match present.clone().find(|sibling| sibling.priority > priority) {
        Some(next) => Place::Before(next.program_id),
        None => present
            .next_back()
            .map_or(Place::Head, |last| Place::After(last.program_id)),
    }
}

/// Rank of a new program among the siblings: after those of the same priority.
fn rank(siblings: &[Sibling], priority: i32) -> u32 {
    count(
        siblings
            .iter()
            .filter(|sibling| sibling.priority <= priority),
    )
}

/// Rank of a tcx link among bpfman's links on its hook, from 0: by priority, then in the order of attaching.
pub fn position(link: &LinkRecord, links: &[LinkRecord]) -> Option<u32> {
    let LinkDetails::Tcx {
        ifindex,
        direction,
        nsid,
        ..
    } = link.details
    else {
        return None;
    };
    let siblings = siblings(links, nsid, ifindex, direction);
    let before = siblings.iter().take_while(|sibling| sibling.id != link.id);
    Some(count(before))
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

fn refuse_duplicate(
    request: &AttachRequest<'_>,
    interface: &str,
    siblings: &[Sibling],
    direction: Direction,
) -> Result<(), Failure> {
    let program_id = request.record.program_id;
    match siblings
        .iter()
        .find(|sibling| sibling.program_id == program_id)
    {
        None => Ok(()),
        Some(sibling) => Err(Failure::new(
            FailureCode::AlreadyExists,
            Stage::Attach,
            format!(
                "program {program_id} is already attached to {interface} {} as link {}",
                direction.name(),
                sibling.id
            ),
        )
        .remedy("detach it first")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sibling(id: u64, priority: i32) -> Sibling {
        Sibling {
            id,
            program_id: 100 + id as u32,
            priority,
        }
    }

    #[test]
    fn the_first_goes_to_the_head() {
        assert_eq!(place(&[], &[], 50), Place::Head);
        assert_eq!(place(&[], &[7, 8], 50), Place::Head);
    }

    #[test]
    fn before_the_first_that_is_greater_after_its_equals() {
        let siblings = [
            sibling(1, 10),
            sibling(2, 50),
            sibling(3, 50),
            sibling(4, 90),
        ];
        let programs = [101, 102, 103, 104];
        assert_eq!(place(&siblings, &programs, 5), Place::Before(101));
        assert_eq!(place(&siblings, &programs, 10), Place::Before(102));
        assert_eq!(place(&siblings, &programs, 50), Place::Before(104));
        assert_eq!(place(&siblings, &programs, 90), Place::After(104));
    }

    #[test]
    fn anchors_that_are_gone_are_dropped() {
        let siblings = [sibling(1, 10), sibling(2, 50), sibling(3, 90)];
        assert_eq!(place(&siblings, &[103], 20), Place::Before(103));
        assert_eq!(place(&siblings, &[101], 20), Place::After(101));
        assert_eq!(place(&siblings, &[7], 20), Place::Head);
    }

    #[test]
    fn ranks_follow_priority_then_age() {
        let siblings = [sibling(1, 10), sibling(2, 50), sibling(3, 90)];
        assert_eq!(rank(&siblings, 50), 2);
        assert_eq!(rank(&siblings, 0), 0);
        assert_eq!(rank(&siblings, i32::MAX), 3);
    }

    #[test]
    fn positions_rank_by_priority_then_id_on_the_same_hook() {
        let record = |id, details| LinkRecord {
            id,
            program_id: 1,
            kernel_link_id: None,
            kind: ProgramKind::Tcx,
            pin_path: String::new(),
            details,
            created_at: 0,
            metadata: Default::default(),
        };
        let tcx = |id, ifindex, direction, priority| {
            let interface = "eth0".into();
            let netns = String::new();
            let details = LinkDetails::Tcx {
                interface,
                ifindex,
                direction,
                priority,
                position: 0,
                netns,
                nsid: 1,
            };
            record(id, details)
        };
        let tracepoint = LinkDetails::Tracepoint {
            group: "g".into(),
            name: "n".into(),
        };
        let links = [
            tcx(1, 2, Direction::Ingress, 50),
            tcx(2, 2, Direction::Ingress, 10),
            tcx(3, 2, Direction::Ingress, 50),
            tcx(4, 2, Direction::Egress, 1),
            tcx(5, 3, Direction::Ingress, 1),
            record(6, tracepoint),
        ];
        let ranks: Vec<_> = links.iter().map(|link| position(link, &links)).collect();
        assert_eq!(ranks, [Some(1), Some(0), Some(2), Some(0), Some(0), None]);
    }

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
