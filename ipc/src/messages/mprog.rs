//! Hooks of an interface on which the kernel itself keeps several programs in an order (`bpf_mprog`, from 6.6 on).

use super::attach::Direction;
use bincode::{Decode, Encode};

/// An end of a pair of netkit devices. Both are reached through the primary one.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum NetkitHook {
    /// Packets that leave by the primary device.
    Primary,
    /// Packets that leave by its peer.
    Peer,
}

impl NetkitHook {
    /// Both.
    pub const ALL: [NetkitHook; 2] = [NetkitHook::Primary, NetkitHook::Peer];

    /// `primary` or `peer`.
    pub fn name(self) -> &'static str {
        match self {
            NetkitHook::Primary => "primary",
            NetkitHook::Peer => "peer",
        }
    }
}

/// Which hook of the interface.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum MprogHook {
    /// tcx.
    Tcx(Direction),
    /// netkit.
    Netkit(NetkitHook),
}

impl MprogHook {
    /// The name that follows that of the interface.
    pub fn name(self) -> &'static str {
        match self {
            MprogHook::Tcx(direction) => direction.name(),
            MprogHook::Netkit(hook) => hook.name(),
        }
    }

    /// `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
    pub fn attach_type(self) -> u32 {
        match self {
            MprogHook::Tcx(Direction::Ingress) => 46,
            MprogHook::Tcx(Direction::Egress) => 47,
            MprogHook::Netkit(NetkitHook::Primary) => 54,
            MprogHook::Netkit(NetkitHook::Peer) => 55,
        }
    }
}

/// One hook among all.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MprogPlace {
    /// Which hook of the interface.
    pub hook: MprogHook,
    /// Inode of the network namespace.
    pub nsid: u64,
    /// Index of the interface.
    pub ifindex: u32,
}

/// A program that bpfman has on such a hook, or wants there.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct MprogMember {
    /// Kernel id of the program.
    pub program_id: u32,
    /// Lower runs first.
    pub priority: i32,
    /// bpfman's id of the link; 0 for one that is to be made.
    pub link_id: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let tcx = [Direction::Ingress, Direction::Egress].map(MprogHook::Tcx);
        assert_eq!(tcx.map(MprogHook::attach_type), [46, 47]);
        let netkit = NetkitHook::ALL.map(MprogHook::Netkit);
        assert_eq!(netkit.map(MprogHook::attach_type), [54, 55]);
    }
}
