//! What is recorded of an attachment, by its kind.

use super::attach::{Direction, Sampling, XdpMode};
use super::chain::{HookKey, HookKind, Strategy};
use super::mprog::{MprogHook, MprogPlace, NetkitHook};
use super::netfilter::NetfilterPlace;
use bincode::{Decode, Encode};

/// What is recorded of an attachment.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum LinkDetails {
    /// tcx.
    Tcx {
        /// Interface name at the time of attaching.
        interface: String,
        /// Interface index.
        ifindex: u32,
        /// Direction.
        direction: Direction,
        /// Lower runs first.
        priority: i32,
        /// Rank among bpfman's links on the hook, computed when asked.
        position: u32,
        /// Path of the network namespace, empty for bpfman's own.
        netns: String,
        /// Inode of the network namespace.
        nsid: u64,
    },
    /// xdp.
    Xdp {
        /// Interface name at the time of attaching.
        interface: String,
        /// Interface index.
        ifindex: u32,
        /// Lower runs first.
        priority: i32,
        /// Place in the chain, from 0.
        position: u32,
        /// Verdicts after which the chain goes on, ascending by mask bit.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        proceed_on: Vec<i32>,
        /// Path of the network namespace, empty for bpfman's own.
        netns: String,
        /// Inode of the network namespace.
        nsid: u64,
        /// Kernel id of the program on the hook.
        dispatcher_id: u32,
        /// Revision of the hook.
        revision: u32,
        /// How the kernel runs it.
        mode: XdpMode,
        /// How the chain is called.
        strategy: Strategy,
    },
    /// tracepoint.
    Tracepoint {
        /// Group.
        group: String,
        /// Name.
        name: String,
    },
    /// uprobe and uretprobe.
    Uprobe {
        /// What the user wrote.
        target: String,
        /// The path that was opened.
        path: String,
        /// Function, empty when only an offset was given.
        function: String,
        /// Offset as the user gave it.
        offset: u64,
        /// Offset in the file at which the probe sits.
        file_offset: u64,
        /// Only this process; 0 for all.
        pid: i32,
        /// At return.
        retprobe: bool,
        /// Process whose mount namespace the target is in; 0 for bpfman's.
        container_pid: i32,
    },
    /// kprobe and kretprobe. Since version 2.
    Kprobe {
        /// Kernel function.
        function: String,
        /// Bytes after its start.
        offset: u64,
        /// At return.
        retprobe: bool,
    },
    /// fentry. Since version 2.
    Fentry {
        /// Kernel function.
        function: String,
    },
    /// fexit. Since version 2.
    Fexit {
        /// Kernel function.
        function: String,
    },
    /// lsm. Since version 2.
    Lsm {
        /// Security hook.
        hook: String,
    },
    /// raw_tracepoint. Since version 2.
    RawTracepoint {
        /// Name, without group.
        name: String,
    },
    /// tp_btf. Since version 2.
    TpBtf {
        /// Name, without group.
        name: String,
    },
    /// iter: runs when the link's pin is read. Since version 2.
    Iter {
        /// What is iterated over.
        target: String,
    },
    /// sk_lookup. Since version 2.
    SkLookup {
        /// Path of the network namespace, empty for bpfman's own.
        netns: String,
        /// Inode of the network namespace.
        nsid: u64,
    },
    /// Kinds for control groups. Since version 2.
    Cgroup {
        /// The path that was opened.
        path: String,
        /// Name of the hook ([`crate::cgroup_hooks`]).
        hook: String,
    },
    /// perf_event. Since version 2.
    PerfEvent {
        /// Name of the event.
        event: String,
        /// When the program runs.
        sampling: Sampling,
        /// Only this thread.
        pid: Option<i32>,
        /// Only this CPU.
        cpu: Option<u32>,
    },
    /// tc. Since version 2.
    Tc {
        /// Interface name at the time of attaching.
        interface: String,
        /// Interface index.
        ifindex: u32,
        /// Direction.
        direction: Direction,
        /// Lower runs first.
        priority: i32,
        /// Place in the chain, from 0.
        position: u32,
        /// Verdicts after which the chain goes on, ascending by mask bit.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        proceed_on: Vec<i32>,
        /// Path of the network namespace, empty for bpfman's own.
        netns: String,
        /// Inode of the network namespace.
        nsid: u64,
        /// Kernel id of the program on the hook.
        dispatcher_id: u32,
        /// Revision of the hook.
        revision: u32,
        /// How the chain is called.
        strategy: Strategy,
    },
    /// kprobe_multi and kretprobe_multi. Since version 2.
    KprobeMulti {
        /// Kernel functions.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        functions: Vec<String>,
        /// At return.
        retprobe: bool,
    },
    /// uprobe_multi and uretprobe_multi. Since version 2.
    UprobeMulti {
        /// What the user wrote.
        target: String,
        /// The path that was opened.
        path: String,
        /// Functions.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        functions: Vec<String>,
        /// Only this process; 0 for all.
        pid: i32,
        /// At return.
        retprobe: bool,
        /// Process whose mount namespace the target is in; 0 for bpfman's own.
        container_pid: i32,
    },
    /// usdt. Since version 2.
    Usdt {
        /// What the user wrote.
        target: String,
        /// The path that was opened.
        path: String,
        /// Provider of the probe.
        provider: String,
        /// Name of the probe.
        name: String,
        /// Only this process; 0 for all.
        pid: i32,
        /// At how many places the probe is.
        places: u32,
        /// Process whose mount namespace the target is in; 0 for bpfman's own.
        container_pid: i32,
    },
    /// netfilter. Since version 2.
    Netfilter {
        /// Where.
        place: NetfilterPlace,
        /// Path of the network namespace, empty for bpfman's own.
        netns: String,
        /// Inode of the network namespace.
        nsid: u64,
    },
    /// netkit. Since version 2.
    Netkit {
        /// Name of the primary device at the time of attaching.
        interface: String,
        /// Its index.
        ifindex: u32,
        /// Which end.
        hook: NetkitHook,
        /// Lower runs first.
        priority: i32,
        /// Rank among bpfman's links on the hook, computed when asked.
        position: u32,
        /// Path of the network namespace, empty for bpfman's own.
        netns: String,
        /// Inode of the network namespace.
        nsid: u64,
    },
    /// xdp, in a dispatcher of libxdp that bpfman takes part in. Since version 2.
    XdpGuest {
        /// Interface name at the time of attaching.
        interface: String,
        /// Interface index.
        ifindex: u32,
        /// Lower runs first.
        priority: i32,
        /// Place in the dispatcher, from 0, when it was last looked at.
        position: u32,
        /// Verdicts after which the chain goes on, ascending by mask bit.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        proceed_on: Vec<i32>,
        /// Inode of the network namespace, which is bpfman's own.
        nsid: u64,
        /// Kernel id of the dispatcher that has the program as a member; 0 when it was found that none has.
        dispatcher_id: u32,
        /// How the kernel runs it.
        mode: XdpMode,
    },
}

impl LinkDetails {
    /// First protocol version that knows this variant.
    pub fn since(&self) -> u16 {
        match self {
            LinkDetails::Tcx { .. }
            | LinkDetails::Xdp { .. }
            | LinkDetails::Tracepoint { .. }
            | LinkDetails::Uprobe { .. } => 1,
            LinkDetails::Kprobe { .. }
            | LinkDetails::Fentry { .. }
            | LinkDetails::Fexit { .. }
            | LinkDetails::Lsm { .. }
            | LinkDetails::RawTracepoint { .. }
            | LinkDetails::TpBtf { .. }
            | LinkDetails::Iter { .. }
            | LinkDetails::SkLookup { .. }
            | LinkDetails::Cgroup { .. }
            | LinkDetails::PerfEvent { .. }
            | LinkDetails::Tc { .. }
            | LinkDetails::KprobeMulti { .. }
            | LinkDetails::UprobeMulti { .. }
            | LinkDetails::Usdt { .. }
            | LinkDetails::Netfilter { .. }
            | LinkDetails::Netkit { .. }
            | LinkDetails::XdpGuest { .. } => 2,
        }
    }

    /// Of a hook on which the kernel keeps the order: which, and the priority there.
    pub fn mprog(&self) -> Option<(MprogPlace, i32)> {
        let (hook, nsid, ifindex, priority) = match *self {
            LinkDetails::Tcx {
                direction,
                nsid,
                ifindex,
                priority,
                ..
            } => (MprogHook::Tcx(direction), nsid, ifindex, priority),
            LinkDetails::Netkit {
                hook,
                nsid,
                ifindex,
                priority,
                ..
            } => (MprogHook::Netkit(hook), nsid, ifindex, priority),
            _ => return None,
        };
        let place = MprogPlace {
            hook,
            nsid,
            ifindex,
        };
        Some((place, priority))
    }

    /// The program on the hook, where it is another than the link's own: in a chain whose members have no links of their
    /// own.
    pub fn carrier(&self) -> Option<u32> {
        match self {
            LinkDetails::Xdp {
                dispatcher_id,
                strategy,
                ..
            }
            | LinkDetails::Tc {
                dispatcher_id,
                strategy,
                ..
            } if *strategy != Strategy::Libxdp => Some(*dispatcher_id),
            _ => None,
        }
    }

    /// The hook of a link in a dispatcher of libxdp. It is no chain of bpfman's.
    pub fn guest_hook(&self) -> Option<HookKey> {
        match *self {
            LinkDetails::XdpGuest { ifindex, nsid, .. } => Some(HookKey {
                kind: HookKind::Xdp,
                nsid,
                ifindex,
            }),
            _ => None,
        }
    }

    /// The hook that bpfman orders, for links in a chain.
    pub fn hook(&self) -> Option<HookKey> {
        match self {
            LinkDetails::Xdp { ifindex, nsid, .. } => Some(HookKey {
                kind: HookKind::Xdp,
                nsid: *nsid,
                ifindex: *ifindex,
            }),
            LinkDetails::Tc {
                ifindex,
                nsid,
                direction,
                ..
            } => Some(HookKey {
                kind: match direction {
                    Direction::Ingress => HookKind::TcIngress,
                    Direction::Egress => HookKind::TcEgress,
                },
                nsid: *nsid,
                ifindex: *ifindex,
            }),
            _ => None,
        }
    }
}
