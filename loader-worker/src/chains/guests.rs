//! Dispatchers of libxdp that bpfman takes part in: who is in the new one, in which order. Pure.
//!
//! The order is libxdp's: lower priorities first, then names, then who was there first. What its other members said of
//! themselves is carried over.

use super::dispatcher;
use super::foreign::Slot;
use super::strategy::LIBXDP_MEMBERS;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::LibxdpDispatcher;

/// The version that is written; libxdp does not go on with an older one than its own.
const VERSION: u8 = 2;

/// `BPF_F_XDP_HAS_FRAGS`.
const HAS_FRAGS: u32 = 1 << 5;

/// libxdp goes on after a member that says it is not there, whatever else was asked for.
const DISPATCHER_RETURN: i32 = 31;

/// The kernel keeps as many characters of a program's name.
const NAME_BYTES: usize = 15;

/// A program of bpfman's that comes.
#[derive(Clone, Copy, Debug)]
pub struct Ours<'a> {
    /// C function name.
    pub name: &'a str,
    /// Lower runs first.
    pub priority: i32,
    /// One bit per verdict after which the chain goes on.
    pub mask: u32,
    /// Whether it takes packets in several pieces.
    pub has_frags: bool,
}

/// Where a member of the new dispatcher comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// The present one has it in this place.
    Present(usize),
    /// It is bpfman's that comes.
    Ours,
}

/// A dispatcher that is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Composition {
    /// Members, in the order in which they run.
    pub sources: Vec<Source>,
    /// What each says of itself.
    pub slots: Vec<Slot>,
}

impl Composition {
    /// It takes packets in several pieces only if every member does.
    pub fn has_frags(&self) -> bool {
        self.slots.iter().all(|slot| slot.flags & HAS_FRAGS != 0)
    }

    /// Contents of its read-only data.
    pub fn configuration(&self) -> Vec<u8> {
        dispatcher::shared_configuration(&self.slots, self.has_frags())
    }
}

/// The verdicts for the record: libxdp adds one.
pub fn recorded(mut proceed_on: Vec<i32>) -> Vec<i32> {
    if !proceed_on.contains(&DISPATCHER_RETURN) {
        proceed_on.push(DISPATCHER_RETURN);
    }
    proceed_on
}

/// With a program of bpfman's among those that are there; `None`: the interface is empty.
pub fn with(present: Option<&LibxdpDispatcher>, ours: Ours<'_>) -> Result<Composition, Failure> {
    let (mut sources, mut slots) = match present {
        Some(present) => members(present)?,
        None => Default::default(),
    };
    if sources.len() >= LIBXDP_MEMBERS {
        let cause = format!("no free dispatcher slots (all {LIBXDP_MEMBERS} occupied)");
        let failure = Failure::new(FailureCode::ResourceExhausted, Stage::Attach, cause);
        return Err(failure.remedy("detach one first; see `xdp-loader status`"));
    }
    // Requests have checked that it is not negative.
    let priority = ours.priority.unsigned_abs();
    let name = kept(ours.name);
    let present = present.map_or(&[][..], |present| &present.members);
    let place = present
        .iter()
        .take_while(|member| (member.priority, member.name.as_str()) <= (priority, name))
        .count();
    sources.insert(place, Source::Ours);
    let slot = Slot {
        priority,
        proceed_on: ours.mask,
        flags: if ours.has_frags { HAS_FRAGS } else { 0 },
    };
    slots.insert(place, slot);
    Ok(Composition { sources, slots })
}

/// Without a program that is there; `None`: nobody is left.
pub fn without(
    present: &LibxdpDispatcher,
    program_id: u32,
) -> Result<Option<Composition>, Failure> {
    let stays = |place: usize| present.members[place].program_id != program_id;
    if !(0..present.members.len()).any(stays) {
        return Ok(None);
    }
    let (sources, slots) = members(present)?;
    let (sources, slots) = sources
        .into_iter()
        .zip(slots)
        .enumerate()
        .filter(|(place, _)| stays(*place))
        .map(|(_, member)| member)
        .unzip();
    Ok(Some(Composition { sources, slots }))
}

fn members(present: &LibxdpDispatcher) -> Result<(Vec<Source>, Vec<Slot>), Failure> {
    if present.version != VERSION {
        let cause = format!(
            "the dispatcher on the interface is of version {} of libxdp's protocol, bpfman makes those of version \
             {VERSION}",
            present.version
        );
        let failure = Failure::new(FailureCode::Unsupported, Stage::Attach, cause);
        return Err(
            failure.remedy("leave the interface to xdp-loader (xdp-loader load, unload --id)")
        );
    }
    let slot = |member: &ipc::messages::helper::LibxdpMember| Slot {
        priority: member.priority,
        proceed_on: member.proceed_on,
        flags: member.flags,
    };
    let sources = (0..present.members.len()).map(Source::Present);
    Ok((
        sources.collect(),
        present.members.iter().map(slot).collect(),
    ))
}

/// As much of a name as the kernel keeps, which is what it is compared with.
fn kept(name: &str) -> &str {
    let end = (0..=NAME_BYTES.min(name.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    &name[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::helper::LibxdpMember;
    use proptest::prelude::*;

    impl Composition {
        fn ours(&self) -> Option<usize> {
            self.sources
                .iter()
                .position(|source| *source == Source::Ours)
        }
    }

    fn member(program_id: u32, name: &str, priority: u32, flags: u32) -> LibxdpMember {
        LibxdpMember {
            program_id,
            link_id: program_id + 100,
            name: name.into(),
            priority,
            proceed_on: 0x8000_0004 | program_id,
            flags,
        }
    }

    fn of(members: Vec<LibxdpMember>) -> LibxdpDispatcher {
        LibxdpDispatcher {
            version: VERSION,
            members,
        }
    }

    fn ours(name: &str, priority: i32) -> Ours<'_> {
        Ours {
            name,
            priority,
            mask: 0x8000_0002,
            has_frags: true,
        }
    }

    #[test]
    fn who_comes_is_where_libxdp_would_put_it() {
        let present = of(vec![
            member(1, "b", 10, 0),
            member(2, "d", 50, 0),
            member(3, "f", 50, 0),
        ]);
        for (name, priority, place) in [
            ("z", 0, 0),
            ("a", 10, 0),
            // Equals come after those that are there.
            ("b", 10, 1),
            ("c", 10, 1),
            ("c", 50, 1),
            ("d", 50, 2),
            ("e", 50, 2),
            ("a", 51, 3),
        ] {
            let found = with(Some(&present), ours(name, priority)).unwrap();
            assert_eq!(found.ours(), Some(place), "{name} {priority}");
        }
        let first = with(None, ours("a", 7)).unwrap();
        assert_eq!(first.sources, [Source::Ours]);
    }

    #[test]
    fn names_are_compared_as_the_kernel_keeps_them() {
        let present = of(vec![member(1, "fifteen_letters", 50, 0)]);
        let found = with(Some(&present), ours("fifteen_letters_and_more", 50)).unwrap();
        assert_eq!(found.ours(), Some(1));
        assert_eq!(kept("fourteen_bytesü"), "fourteen_bytes");
        assert_eq!(kept("short"), "short");
    }

    #[test]
    fn others_keep_what_they_said_and_pieces_take_all_of_them() {
        let present = of(vec![member(1, "a", 10, 32), member(2, "b", 60, 32)]);
        let three = with(Some(&present), ours("c", 50)).unwrap();
        assert!(three.has_frags());
        let slots: Vec<_> = three
            .slots
            .iter()
            .map(|slot| (slot.priority, slot.proceed_on))
            .collect();
        assert_eq!(
            slots,
            [(10, 0x8000_0005), (50, 0x8000_0002), (60, 0x8000_0006)]
        );
        let plain = Ours {
            has_frags: false,
            ..ours("c", 50)
        };
        let without_frags = with(Some(&present), plain).unwrap();
        assert!(!without_frags.has_frags());
        assert_eq!(without_frags.configuration()[..4], [236, 2, 3, 0]);
        assert_eq!(three.configuration()[..4], [236, 2, 3, 1]);
    }

    #[test]
    fn who_goes_leaves_the_others_in_their_order() {
        let present = of(vec![member(1, "a", 10, 0), member(2, "b", 60, 0)]);
        let one = without(&present, 1).unwrap().unwrap();
        assert_eq!(one.sources, [Source::Present(1)]);
        assert_eq!(one.slots[0].priority, 60);
        assert_eq!(without(&of(vec![member(1, "a", 10, 0)]), 1), Ok(None));
        assert_eq!(without(&of(vec![]), 1), Ok(None));
    }

    #[test]
    fn an_eleventh_member_and_other_versions_are_refused() {
        let many = |count: u32| of((0..count).map(|id| member(id, "m", 50, 0)).collect());
        assert!(with(Some(&many(9)), ours("a", 50)).is_ok());
        let full = with(Some(&many(10)), ours("a", 50)).unwrap_err();
        assert_eq!(full.code, FailureCode::ResourceExhausted);
        for version in [0, 1, 3] {
            let other = LibxdpDispatcher { version, ..many(2) };
            let refused = with(Some(&other), ours("a", 50)).unwrap_err();
            assert_eq!(refused.code, FailureCode::Unsupported);
            let words = format!("of version {version} of libxdp's protocol");
            assert!(refused.cause.contains(&words), "{refused}");
            assert!(without(&other, 1).is_err());
            // To leave as the last takes no new dispatcher.
            assert_eq!(without(&of(vec![member(1, "a", 10, 0)]), 1), Ok(None));
        }
    }

    #[test]
    fn libxdp_always_goes_on_after_who_is_not_there() {
        assert_eq!(recorded(vec![2, 31]), [2, 31]);
        assert_eq!(recorded(vec![1]), [1, 31]);
    }

    proptest! {
        #[test]
        fn coming_and_going_changes_nothing(
            priorities in proptest::collection::vec(0_u32..4, 1..10), priority in 0_i32..4,
        ) {
            let mut priorities = priorities;
            priorities.sort_unstable();
            let members = priorities.iter().enumerate();
            let present = of(members.map(|(id, priority)| member(id as u32, "m", *priority, 0)).collect());
            let came = with(Some(&present), ours("m", priority)).unwrap();
            let mut left = came.clone();
            let place = came.ours().unwrap();
            left.sources.remove(place);
            left.slots.remove(place);
            let all: Vec<_> = (0..present.members.len()).map(Source::Present).collect();
            prop_assert_eq!(&left.sources, &all);
            prop_assert!(came.slots.is_sorted_by_key(|slot| slot.priority));
        }
    }
}
