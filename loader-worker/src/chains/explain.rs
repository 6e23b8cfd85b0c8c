//! Why each program stands where it stands, for people. Pure.

use super::order::{Rank, Reason};
use ipc::messages::chain::{DispatcherMember, HookEntry, InterfaceHook};
use std::cmp::Ordering;

/// The members of a chain, each compared with the one before it.
pub fn members(members: &[DispatcherMember]) -> Vec<HookEntry> {
    let mut entries = Vec::with_capacity(members.len());
    let mut before: Option<&DispatcherMember> = None;
    for member in members {
        entries.push(HookEntry {
            program_id: member.program_id,
            name: member.program_name.clone(),
            member: Some(member.clone()),
            reason: before.map_or_else(
                || format!("first: nobody has a priority below {}", member.priority),
                |before| behind(member, before),
            ),
            has_moved: false,
        });
        before = Some(member);
    }
    entries
}

fn behind(member: &DispatcherMember, before: &DispatcherMember) -> String {
    let other = format!("link {}", before.link_id);
    match rank(member).compare(&rank(before)).1 {
        Reason::Priority => format!(
            "behind {other}: priority {} is greater than {}",
            member.priority, before.priority
        ),
        Reason::Name => format!(
            "behind {other}: same priority, and \"{}\" comes after \"{}\"",
            member.program_name, before.program_name
        ),
        Reason::Program => format!(
            "behind {other}: same priority and name, and program {} was loaded after {}",
            member.program_id, before.program_id
        ),
        Reason::Mask => format!(
            "behind {other}: the same program, and its verdicts ({:#x}) come after {:#x}",
            member.proceed_on, before.proceed_on
        ),
        Reason::Age => format!("behind {other}: equal in everything, and attached later"),
    }
}

fn rank(member: &DispatcherMember) -> Rank {
    Rank {
        priority: member.priority,
        name: member.program_name.clone(),
        program_id: member.program_id,
        mask: member.proceed_on,
        link_id: member.link_id,
    }
}

/// A program on a hook of tcx or netkit, by priority and link, beside the one of bpfman's that runs before it. The kernel
/// keeps the order.
pub fn by_the_kernel((priority, link_id): (i32, u64), before: Option<(i32, u64)>) -> String {
    let Some((lower, other)) = before else {
        return format!("first of bpfman's: none has a priority below {priority}");
    };
    match (priority.cmp(&lower), link_id > other) {
        (Ordering::Greater, _) => {
            format!("behind link {other}: priority {priority} is greater than {lower}")
        }
        (Ordering::Equal, true) => {
            format!("behind link {other}: same priority, and attached later")
        }
        _ => format!(
            "behind link {other}, whose priority is {lower}, although its own is {priority}: somebody else has moved it"
        ),
    }
}

/// A program that bpfman did not put there.
pub fn foreign(program_id: u32, name: String, hook: InterfaceHook) -> HookEntry {
    HookEntry {
        program_id,
        name,
        member: None,
        reason: match hook {
            InterfaceHook::Xdp => "not bpfman's; while it is here, nothing else can be".to_owned(),
            _ => "not bpfman's; it keeps the place that its owner gave it".to_owned(),
        },
        has_moved: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn each_member_is_explained_by_the_one_before_it() {
        let member = |link_id, priority, name: &str, program_id| DispatcherMember {
            program_id,
            program_name: name.into(),
            program_pin: String::new(),
            link_id,
            kernel_link_id: None,
            link_pin: String::new(),
            position: 0,
            priority,
            proceed_on: 4,
            metadata: BTreeMap::new(),
            counters: None,
        };
        let chain = [
            member(9, 1, "a", 5),
            member(2, 7, "a", 6),
            member(3, 7, "b", 4),
            member(4, 7, "b", 8),
            member(5, 7, "b", 8),
        ];
        let reasons: Vec<String> = members(&chain)
            .into_iter()
            .map(|entry| entry.reason)
            .collect();
        assert_eq!(
            reasons,
            [
                "first: nobody has a priority below 1",
                "behind link 9: priority 7 is greater than 1",
                "behind link 2: same priority, and \"b\" comes after \"a\"",
                "behind link 3: same priority and name, and program 8 was loaded after 4",
                "behind link 4: equal in everything, and attached later",
            ]
        );
    }

    #[test]
    fn the_kernels_order_is_explained_by_what_bpfman_asked_for() {
        assert_eq!(
            by_the_kernel((10, 3), None),
            "first of bpfman's: none has a priority below 10"
        );
        assert_eq!(
            by_the_kernel((20, 1), Some((10, 3))),
            "behind link 3: priority 20 is greater than 10"
        );
        assert_eq!(
            by_the_kernel((10, 5), Some((10, 3))),
            "behind link 3: same priority, and attached later"
        );
        for moved in [(9, 5), (10, 2)] {
            let words = by_the_kernel(moved, Some((10, 3)));
            assert!(words.ends_with("somebody else has moved it"), "{words}");
        }
    }
}
