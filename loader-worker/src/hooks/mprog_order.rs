//! The order of programs on a hook of tcx or netkit. Pure.
//!
//! Lower priorities run first; of equal ones the older. Programs of others on the hook are left where they are.

use crate::kernel::link::Place;
use ipc::messages::attach::LinkRecord;
use ipc::messages::mprog::{MprogMember, MprogPlace};
use std::collections::BTreeMap;

/// bpfman's links on one hook, in running order. The kernel takes a program on a hook once: of several records of one
/// program all but the youngest are of links that are gone, whatever took them (a pin removed by hand, an interface that came
/// again with its number).
pub fn siblings(links: &[LinkRecord], on: MprogPlace) -> Vec<MprogMember> {
    let mut youngest = BTreeMap::new();
    for link in links {
        let Some((place, priority)) = link.details.mprog() else {
            continue;
        };
        let member = MprogMember {
            program_id: link.program_id,
            priority,
            link_id: link.id,
        };
        if place == on {
            let known = youngest.entry(link.program_id).or_insert(member);
            if known.link_id < link.id {
                *known = member;
            }
        }
    }
    let mut siblings: Vec<MprogMember> = youngest.into_values().collect();
    siblings.sort_by_key(|sibling| (sibling.priority, sibling.link_id));
    siblings
}

/// Where a new program goes. `programs` are those that are on the hook; siblings that are gone from it are no anchors.
pub fn place(siblings: &[MprogMember], programs: &[u32], priority: i32) -> Place {
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
pub fn rank(siblings: &[MprogMember], priority: i32) -> u32 {
    count(
        siblings
            .iter()
            .filter(|sibling| sibling.priority <= priority),
    )
}

/// Rank of a link among bpfman's links on its hook, from 0: by priority, then in the order of attaching. A link in whose
/// stead there is another has none.
pub fn position(link: &LinkRecord, links: &[LinkRecord]) -> Option<u32> {
    let (on, _) = link.details.mprog()?;
    let rank = siblings(links, on)
        .iter()
        .position(|sibling| sibling.link_id == link.id)?;
    u32::try_from(rank).ok()
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::{Direction, LinkDetails};
    use ipc::messages::mprog::NetkitHook;
    use ipc::messages::program::ProgramKind;

    fn sibling(link_id: u64, priority: i32) -> MprogMember {
        MprogMember {
            program_id: 100 + link_id as u32,
            priority,
            link_id,
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
            program_id: 100 + id as u32,
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
        let netkit = |id, hook, priority| {
            let details = LinkDetails::Netkit {
                interface: "eth0".into(),
                ifindex: 2,
                hook,
                priority,
                position: 0,
                netns: String::new(),
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
            netkit(7, NetkitHook::Primary, 50),
            netkit(8, NetkitHook::Primary, 10),
            netkit(9, NetkitHook::Peer, 60),
        ];
        let ranks: Vec<_> = links.iter().map(|link| position(link, &links)).collect();
        assert_eq!(
            ranks,
            [1, 0, 2, 0, 0, -1, 1, 0, 0].map(|rank| u32::try_from(rank).ok())
        );

        // A record that outlived its link: the same program came again, with another priority.
        let again = LinkRecord {
            program_id: 101,
            ..tcx(10, 2, Direction::Ingress, 5)
        };
        let (on, _) = again.details.mprog().unwrap();
        let links = [links.to_vec(), vec![again]].concat();
        let there: Vec<_> = siblings(&links, on)
            .iter()
            .map(|sibling| (sibling.link_id, sibling.priority))
            .collect();
        assert_eq!(there, [(10, 5), (2, 10), (3, 50)]);
        assert_eq!(position(&links[0], &links), None);
        assert_eq!(position(&links[9], &links), Some(0));
    }
}
