//! clsact and the filters on it, by rtnetlink: what carries programs of kind tc. Layouts: `linux/rtnetlink.h`,
//! `linux/pkt_cls.h`.

use super::Error;
use super::netlink::{
    ACKNOWLEDGE, CREATE, DUMP, EXCLUSIVE, Message, Socket, attributes, text, word,
};
use ipc::messages::attach::Direction;
use ipc::messages::chain::Filter;
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

const NEW_QDISC: u16 = 36;
const GET_QDISC: u16 = 38;
const NEW_FILTER: u16 = 44;
const DELETE_FILTER: u16 = 45;
const GET_FILTER: u16 = 46;

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const INGRESS_BLOCK: u16 = 13;
const EGRESS_BLOCK: u16 = 14;
const BPF_FD: u16 = 6;
const BPF_NAME: u16 = 7;
const BPF_FLAGS: u16 = 8;
const BPF_ID: u16 = 11;
/// The program's verdict is the filter's.
const DIRECT_ACTION: u32 = 1;

/// `TC_H_CLSACT`, under which the two hooks are; the qdisc itself has this handle.
const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// `ETH_P_ALL`.
const ALL_PROTOCOLS: u16 = 3;

/// What sits where clsact would.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Qdisc {
    /// Nothing.
    None,
    /// clsact, whoever made it.
    Clsact(Blocks),
    /// Another one, by kind.
    Other(String),
}

/// Numbers of the blocks (`ingress_block`, `egress_block`) that have the filters of a hook in the place of the interface, so that
/// interfaces share them; `None` for filters of its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Blocks {
    /// Of packets that arrive.
    pub ingress: Option<u32>,
    /// Of packets that leave.
    pub egress: Option<u32>,
}

/// A filter on a hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where.
    pub filter: Filter,
    /// `ETH_P_*` of the packets that it looks at.
    pub protocol: u16,
    /// Kind: `bpf`, `flower` and so on.
    pub kind: String,
    /// Kernel id of its program (bpf).
    pub program_id: Option<u32>,
    /// What its maker called it (bpf).
    pub name: String,
}

/// What sits where clsact would, on this interface.
pub fn qdisc(socket: &Socket, ifindex: u32) -> Result<Qdisc, Error> {
    let request = Message::new(GET_QDISC, DUMP).head(&[0, ifindex, 0, 0, 0]);
    let mut found = Qdisc::None;
    socket.dump("RTM_GETQDISC", request, |body| {
        let Some(reply) = traffic(body) else {
            return;
        };
        if reply.ifindex == ifindex && reply.handle == CLSACT_HANDLE {
            let mut blocks = Blocks::default();
            for (name, value) in attributes(reply.attributes) {
                match name {
                    INGRESS_BLOCK => blocks.ingress = word(value, 0),
                    EGRESS_BLOCK => blocks.egress = word(value, 0),
                    _ => {}
                }
            }
            found = match attributes(reply.attributes).find(|(name, _)| *name == KIND) {
                Some((_, kind)) if text(kind) == "clsact" => Qdisc::Clsact(blocks),
                Some((_, kind)) => Qdisc::Other(text(kind)),
                None => Qdisc::Other(String::new()),
            };
        }
    })?;
    Ok(found)
}

/// Puts clsact on an interface (`EEXIST`: something is there).
pub fn add_qdisc(socket: &Socket, ifindex: u32) -> Result<(), Error> {
    let request = Message::new(NEW_QDISC, ACKNOWLEDGE | CREATE | EXCLUSIVE)
        .head(&[0, ifindex, CLSACT_HANDLE, CLSACT, 0])
        .string(KIND, "clsact");
    socket.request("RTM_NEWQDISC clsact", request)
}

/// The filters of a hook.
pub fn filters(socket: &Socket, ifindex: u32, direction: Direction) -> Result<Vec<Found>, Error> {
    let parent = parent(direction);
    let request = Message::new(GET_FILTER, DUMP).head(&[0, ifindex, 0, parent, 0]);
    let mut found = Vec::new();
    socket.dump("RTM_GETTFILTER", request, |body| {
        let Some(reply) = traffic(body) else {
            return;
        };
        // Each priority is announced once by itself, without a handle.
        if reply.ifindex != ifindex || reply.parent != parent || reply.handle == 0 {
            return;
        }
        let mut filter = Found {
            filter: Filter {
                priority: (reply.info >> 16) as u16,
                handle: reply.handle,
            },
            protocol: u16::from_be((reply.info & 0xffff) as u16),
            kind: String::new(),
            program_id: None,
            name: String::new(),
        };
        for (name, value) in attributes(reply.attributes) {
            match name {
                KIND => filter.kind = text(value),
                OPTIONS if filter.kind == "bpf" => {
                    for (name, value) in attributes(value) {
                        match (name, value) {
                            (BPF_NAME, name) => filter.name = text(name),
                            (BPF_ID, [a, b, c, d]) => {
                                filter.program_id = Some(u32::from_ne_bytes([*a, *b, *c, *d]));
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        found.push(filter);
    })?;
    Ok(found)
}

/// Where a filter of bpfman's goes among these: priority 50 as the established implementation has it, or, where somebody
/// uses that for filters of another sort (the kernel lets no two sorts share one), the next that is free for it.
pub fn free_place(found: &[Found]) -> Filter {
    const PRIORITY: u16 = 50;
    let at = |priority| {
        found
            .iter()
            .filter(move |found| found.filter.priority == priority)
    };
    let priority = (PRIORITY..u16::MAX)
        .find(|priority| {
            at(*priority).all(|found| found.kind == "bpf" && found.protocol == ALL_PROTOCOLS)
        })
        .unwrap_or(PRIORITY);
    let handle = (1..u32::MAX)
        .find(|handle| at(priority).all(|found| found.filter.handle != *handle))
        .unwrap_or(1);
    Filter { priority, handle }
}

/// Whether a filter is there already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Put {
    /// It must not be (`EEXIST`).
    New,
    /// It must be (`ENOENT`); no packet sees neither program or both.
    InPlace,
}

/// Puts a program on a hook, for all protocols, with the program's verdict as the filter's.
pub fn put(
    socket: &Socket,
    (ifindex, direction): (u32, Direction),
    filter: Filter,
    program: BorrowedFd<'_>,
    name: &str,
    put: Put,
) -> Result<(), Error> {
    let flags = match put {
        Put::New => ACKNOWLEDGE | CREATE | EXCLUSIVE,
        Put::InPlace => ACKNOWLEDGE,
    };
    let request = Message::new(NEW_FILTER, flags)
        .head(&[0, ifindex, filter.handle, parent(direction), info(filter)])
        .string(KIND, "bpf")
        .nested(OPTIONS, |options| {
            options
                .number(BPF_FD, program.as_raw_fd().unsigned_abs())
                .string(BPF_NAME, name)
                .number(BPF_FLAGS, DIRECT_ACTION)
        });
    socket.request("RTM_NEWTFILTER", request)
}

/// Takes exactly this filter away. `false`: it was not there, nor perhaps the interface.
pub fn remove(
    socket: &Socket,
    ifindex: u32,
    direction: Direction,
    filter: Filter,
) -> Result<bool, Error> {
    let request = Message::new(DELETE_FILTER, ACKNOWLEDGE)
        .head(&[0, ifindex, filter.handle, parent(direction), info(filter)])
        .string(KIND, "bpf");
    match socket.request("RTM_DELTFILTER", request) {
        Ok(()) => Ok(true),
        // No interface, no qdisc, no filter.
        Err(error) if matches!(error.errno, Errno::NODEV | Errno::NOENT | Errno::INVAL) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// `struct tcmsg` and the attributes behind it.
struct Traffic<'a> {
    ifindex: u32,
    handle: u32,
    parent: u32,
    info: u32,
    attributes: &'a [u8],
}

fn traffic(body: &[u8]) -> Option<Traffic<'_>> {
    const LENGTH: usize = 20;
    Some(Traffic {
        ifindex: word(body, 4)?,
        handle: word(body, 8)?,
        parent: word(body, 12)?,
        info: word(body, 16)?,
        attributes: body.get(LENGTH..)?,
    })
}

fn parent(direction: Direction) -> u32 {
    match direction {
        Direction::Ingress => INGRESS,
        Direction::Egress => EGRESS,
    }
}

fn info(filter: Filter) -> u32 {
    u32::from(filter.priority) << 16 | u32::from(ALL_PROTOCOLS.to_be())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(priority: u16, handle: u32, kind: &str, protocol: u16) -> Found {
        Found {
            filter: Filter { priority, handle },
            protocol,
            kind: kind.into(),
            program_id: None,
            name: String::new(),
        }
    }

    #[test]
    fn filters_go_where_nobody_else_is() {
        let place = |found: &[Found]| {
            let Filter { priority, handle } = free_place(found);
            (priority, handle)
        };
        assert_eq!(place(&[]), (50, 1));
        assert_eq!(place(&[found(49, 1, "flower", 3)]), (50, 1));
        let ours = [found(50, 1, "bpf", 3), found(50, 3, "bpf", 3)];
        assert_eq!(place(&ours), (50, 2));
        assert_eq!(place(&[found(50, 1, "flower", 3)]), (51, 1));
        let both = [found(50, 1, "bpf", 0x800), found(51, 1, "bpf", 3)];
        assert_eq!(place(&both), (51, 2));
    }
}
