//! Chains: programs of many owners on one XDP or clsact hook, behind one program of bpfman's. Since version 2.

use super::attach::XdpMode;
use bincode::{Decode, Encode};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Hooks on which bpfman itself orders the programs.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum HookKind {
    /// Before the network stack.
    Xdp,
    /// clsact, packets that arrive.
    TcIngress,
    /// clsact, packets that leave.
    TcEgress,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [HookKind; 3] = [HookKind::Xdp, HookKind::TcIngress, HookKind::TcEgress];

    /// The name in the command line, in JSON and in bpffs.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Xdp => "xdp",
            HookKind::TcIngress => "tc-ingress",
            HookKind::TcEgress => "tc-egress",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for HookKind {
    type Err = UnknownHook;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownHook(text.to_owned()))
    }
}

/// Not the name of a hook.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown dispatcher type \"{0}\" (xdp, tc-ingress, tc-egress)")]
pub struct UnknownHook(pub String);

/// One hook of one interface.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct HookKey {
    /// Which.
    pub kind: HookKind,
    /// Inode of the network namespace.
    pub nsid: u64,
    /// Interface index.
    pub ifindex: u32,
}

/// How the programs of a hook are called.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Strategy {
    /// One program, nothing between it and the hook.
    Direct,
    /// A dispatcher of the libxdp protocol, each of whose functions is replaced by a program (freplace).
    Libxdp,
    /// One program, generated for exactly these members, each of which is a function of it.
    Fused,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Strategy; 3] = [Strategy::Direct, Strategy::Libxdp, Strategy::Fused];

    /// The name in the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Direct => "direct",
            Strategy::Libxdp => "libxdp",
            Strategy::Fused => "fused",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// The clsact filter that carries the program of a hook.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Filter {
    /// Priority among the filters of the hook; not that of any member.
    pub priority: u16,
    /// Handle within that priority.
    pub handle: u32,
}

/// A hook under management.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Dispatcher {
    /// Which hook.
    pub key: HookKey,
    /// Interface name at the time of the last change.
    pub interface: String,
    /// Path of the network namespace, empty for bpfman's own.
    pub netns: String,
    /// How its programs are called.
    pub strategy: Strategy,
    /// What was asked for; `None` lets bpfman choose.
    pub requested: Option<Strategy>,
    /// Why it is this strategy, in a sentence.
    pub reason: String,
    /// How the kernel runs it (XDP).
    pub mode: Option<XdpMode>,
    /// Counts the changes of the hook, from 1.
    pub revision: u32,
    /// Kernel id of the program on the hook.
    pub program_id: u32,
    /// Kernel id of the link on the hook (XDP).
    pub kernel_link_id: Option<u32>,
    /// The filter on the hook (clsact).
    pub filter: Option<Filter>,
    /// Members.
    pub member_count: u32,
}

/// One program of a chain.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct DispatcherMember {
    /// Kernel id of the program.
    pub program_id: u32,
    /// C function name.
    pub program_name: String,
    /// Pin of the program.
    pub program_pin: String,
    /// bpfman's id of the attachment.
    pub link_id: u64,
    /// Kernel id of its link, where it has one of its own.
    pub kernel_link_id: Option<u32>,
    /// Pin of that link, or of what stands for it.
    pub link_pin: String,
    /// Place in the chain, from 0.
    pub position: u32,
    /// Lower runs first.
    pub priority: i32,
    /// One bit per verdict after which the chain goes on.
    pub proceed_on: u32,
    /// Labels of the link.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
    pub metadata: BTreeMap<String, String>,
    /// What it has seen and said, where that is counted (fused).
    pub counters: Option<SlotCounters>,
}

/// Packets that reached a member since it was attached, and its verdicts.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct SlotCounters {
    /// Packets.
    pub packets: u64,
    /// By verdict; those that never came are left out. [`OTHER_VERDICT`] stands for all that have no name.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub verdicts: Vec<(i32, u64)>,
}

/// In the place of a verdict: any that has no name.
pub const OTHER_VERDICT: i32 = i32::MIN;

/// A chain with its members, ascending by position.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Chain {
    /// The hook.
    pub dispatcher: Dispatcher,
    /// Its programs.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub members: Vec<DispatcherMember>,
}

/// A hook of an interface on which several programs may be.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum InterfaceHook {
    /// Before the network stack.
    Xdp,
    /// tcx, packets that arrive.
    TcxIngress,
    /// clsact, packets that arrive.
    TcIngress,
    /// tcx, packets that leave.
    TcxEgress,
    /// clsact, packets that leave.
    TcEgress,
    /// netkit, packets that leave by the primary device.
    NetkitPrimary,
    /// netkit, packets that leave by the peer.
    NetkitPeer,
}

impl InterfaceHook {
    /// Every hook, in the order in which a packet comes by.
    pub const ALL: [InterfaceHook; 7] = [
        InterfaceHook::NetkitPeer,
        InterfaceHook::Xdp,
        InterfaceHook::TcxIngress,
        InterfaceHook::TcIngress,
        InterfaceHook::TcxEgress,
        InterfaceHook::TcEgress,
        InterfaceHook::NetkitPrimary,
    ];

    /// The name for people and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            InterfaceHook::Xdp => "xdp",
            InterfaceHook::TcxIngress => "tcx-ingress",
            InterfaceHook::TcIngress => "tc-ingress",
            InterfaceHook::TcxEgress => "tcx-egress",
            InterfaceHook::TcEgress => "tc-egress",
            InterfaceHook::NetkitPrimary => "netkit-primary",
            InterfaceHook::NetkitPeer => "netkit-peer",
        }
    }
}

/// What is on a hook, whoever put it there.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct HookView {
    /// Which hook.
    pub hook: InterfaceHook,
    /// bpfman's own program on it, where it orders the members itself.
    pub dispatcher: Option<Dispatcher>,
    /// Programs in the order in which they run.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub entries: Vec<HookEntry>,
    /// The dispatcher of somebody else that the entries are members of (XDP).
    pub foreign: Option<ForeignDispatcher>,
}

/// A dispatcher of libxdp's protocol that bpfman did not put there.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ForeignDispatcher {
    /// Kernel id of the program.
    pub program_id: u32,
    /// Version of the protocol, 0 where it does not say.
    pub version: u8,
    /// Members, in the order in which they run; none for versions other than 2 and 3.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub members: Vec<ForeignMember>,
}

/// A member of such a dispatcher.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ForeignMember {
    /// Kernel id of the program; `None` where it is not pinned where libxdp pins it.
    pub program_id: Option<u32>,
    /// Its name; empty where the program is unknown.
    pub name: String,
    /// Lower runs first.
    pub priority: u32,
    /// One bit per verdict after which the chain goes on.
    pub proceed_on: u32,
}

/// A program on a hook.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct HookEntry {
    /// Kernel id of the program.
    pub program_id: u32,
    /// C function name, or what its owner called the filter; empty where the kernel does not tell.
    pub name: String,
    /// bpfman's attachment; `None` for programs of others.
    pub member: Option<DispatcherMember>,
    /// Why it stands here, in a sentence.
    pub reason: String,
    /// bpfman's attachment was made when the interface was in another network namespace or had another number.
    pub has_moved: bool,
}
