//! Dispatchers of libxdp's protocol that are somebody else's: what their configuration says, where they are pinned, and the
//! words for it. Pure.
//!
//! The configuration is one structure of fixed size, as [`super::dispatcher`] writes it. Versions 2 and 3 begin alike:
//! magic, version, number of programs, whether packets may be in pieces; then ten masks of verdicts, ten priorities, ten
//! flags. Version 3 has a byte more. Version 1 has no magic and is not read.

use super::strategy::LIBXDP_MEMBERS;
use ipc::messages::chain::{ForeignDispatcher, ForeignMember};
use std::path::PathBuf;

/// What the kernel calls a dispatcher.
pub const PROGRAM_NAME: &str = "xdp_dispatcher";

/// Bytes of the longest configuration that is known (version 3).
pub const CONFIGURATION_BYTES: u32 = 128;

const MAGIC: u8 = 236;
const ACTIONS: usize = 4;
const PRIORITIES: usize = 44;
const FLAGS: usize = 84;
/// What versions 2 and 3 have in common.
const COMMON: usize = 124;

/// What a dispatcher says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Configuration {
    /// Version of the protocol, 0 where it does not say.
    pub version: u8,
    /// Members; none for versions that are not read.
    pub slots: Vec<Slot>,
}

/// What it says of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slot {
    /// Lower runs first.
    pub priority: u32,
    /// One bit per verdict after which the chain goes on.
    pub proceed_on: u32,
    /// Flags with which its program would be loaded alone.
    pub flags: u32,
}

/// Reads the contents of a dispatcher's data, whatever their length and whatever is in them.
pub fn parse(data: &[u8]) -> Configuration {
    let (version, count) = match data {
        [MAGIC, version, count, ..] => (*version, usize::from(*count)),
        _ => (0, 0),
    };
    let count = match version {
        2 | 3 if data.len() >= COMMON => count.min(LIBXDP_MEMBERS),
        _ => 0,
    };
    let word = |offset: usize| {
        let bytes = data.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    };
    let slots = (0..count).map(|slot| Slot {
        priority: word(PRIORITIES + 4 * slot),
        proceed_on: word(ACTIONS + 4 * slot),
        flags: word(FLAGS + 4 * slot),
    });
    Configuration {
        version,
        slots: slots.collect(),
    }
}

/// Where libxdp keeps its pins. Its lock is a lock of this directory.
pub const PIN_ROOT: &str = "/sys/fs/bpf/xdp";

/// Where it keeps those of one dispatcher.
pub fn directory(ifindex: u32, dispatcher: u32) -> PathBuf {
    PathBuf::from(format!("{PIN_ROOT}/dispatch-{ifindex}-{dispatcher}"))
}

/// Where it pins a member of a dispatcher.
pub fn member_pin(ifindex: u32, dispatcher: u32, position: usize) -> PathBuf {
    directory(ifindex, dispatcher).join(format!("prog{position}-prog"))
}

/// Where it pins the link of a member.
pub fn link_pin(ifindex: u32, dispatcher: u32, position: usize) -> PathBuf {
    directory(ifindex, dispatcher).join(format!("prog{position}-link"))
}

/// What is on a hook, in words.
pub fn in_words(program_id: u32, name: &str, dispatcher: Option<&ForeignDispatcher>) -> String {
    let Some(dispatcher) = dispatcher else {
        return format!("program {program_id} \"{name}\"");
    };
    let version = dispatcher.version;
    let what =
        format!("program {program_id}, a dispatcher of libxdp's protocol, version {version}");
    if !is_read(version) {
        return format!("{what}, which bpfman does not read");
    }
    let members: Vec<String> = dispatcher.members.iter().map(member_in_words).collect();
    match members.len() {
        0 => format!("{what}, without members"),
        1 => format!("{what}, with 1 member ({})", members.concat()),
        count => format!("{what}, with {count} members ({})", members.join(", ")),
    }
}

fn member_in_words(member: &ForeignMember) -> String {
    match member.program_id {
        Some(id) => format!("\"{}\", program {id}", member.name),
        None => "one that is not pinned".to_owned(),
    }
}

/// How to get a hook free.
pub fn remedy(interface: &str, dispatcher: Option<&ForeignDispatcher>) -> String {
    match dispatcher {
        Some(_) => format!(
            "see `xdp-loader status {interface}`; `xdp-loader unload {interface} --all` takes its programs off, and \
             `--cooperate libxdp` has a program called beside them"
        ),
        None => {
            format!("detach the one on {interface} first (ip link show dev {interface})")
        }
    }
}

/// Whether the members of a dispatcher of this version are known.
fn is_read(version: u8) -> bool {
    matches!(version, 2 | 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chains::dispatcher;
    use ipc::messages::chain::HookKind;
    use proptest::prelude::*;

    #[test]
    fn what_bpfman_writes_is_read_as_version_2_and_as_3_with_a_byte_more() {
        let mut data = dispatcher::configuration(HookKind::Xdp, &[4, 2], false);
        let slots = vec![
            Slot {
                priority: 50,
                proceed_on: 4,
                flags: 0,
            },
            Slot {
                priority: 50,
                proceed_on: 2,
                flags: 0,
            },
        ];
        let version = |version| Configuration {
            version,
            slots: slots.clone(),
        };
        assert_eq!(parse(&data), version(2));
        data[1] = 3;
        data.extend([1, 0, 0, 0]);
        assert_eq!(data.len(), CONFIGURATION_BYTES as usize);
        assert_eq!(parse(&data), version(3));
    }

    #[test]
    fn other_versions_and_short_data_have_a_version_at_most() {
        let none = |version| Configuration {
            version,
            slots: Vec::new(),
        };
        let mut data = dispatcher::configuration(HookKind::Xdp, &[4], false);
        assert_eq!(parse(&data[..COMMON - 1]), none(2));
        for version in [0, 1, 4, 255] {
            data[1] = version;
            assert_eq!(parse(&data), none(version));
        }
        // Version 1 begins with the number of programs.
        data[0] = 3;
        assert_eq!(parse(&data), none(0));
        assert_eq!(parse(&[]), none(0));
    }

    #[test]
    fn more_members_than_there_are_slots_are_none() {
        let mut data = dispatcher::configuration(HookKind::Xdp, &[4; 10], false);
        for (count, expected) in [(10, 10), (11, 10), (255, 10)] {
            data[2] = count;
            assert_eq!(parse(&data).slots.len(), expected, "{count}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&data).slots.len() <= LIBXDP_MEMBERS);
        }
    }

    #[test]
    fn words_tell_who_is_there() {
        let member = |program_id, name: &str| ForeignMember {
            program_id,
            name: name.into(),
            priority: 50,
            proceed_on: 4,
        };
        let of = |version, members| ForeignDispatcher {
            program_id: 7,
            version,
            members,
        };
        let words = |dispatcher: &ForeignDispatcher| in_words(7, PROGRAM_NAME, Some(dispatcher));
        assert_eq!(in_words(7, "xdp_count", None), "program 7 \"xdp_count\"");
        assert_eq!(
            words(&of(2, vec![member(Some(5), "xdp_pass"), member(None, "")])),
            "program 7, a dispatcher of libxdp's protocol, version 2, with 2 members (\"xdp_pass\", program 5, one that \
             is not pinned)"
        );
        assert!(
            words(&of(3, vec![member(None, "")])).ends_with("1 member (one that is not pinned)")
        );
        assert!(words(&of(2, Vec::new())).ends_with("without members"));
        assert!(words(&of(4, Vec::new())).ends_with("version 4, which bpfman does not read"));
    }
}
