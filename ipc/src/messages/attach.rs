//! Attachments: what is asked for, what is recorded, what is reported.

use super::chain::{HookKey, HookKind, Strategy};
use super::kernel::KernelLink;
use super::program::ProgramKind;
use bincode::{Decode, Encode};
use std::collections::BTreeMap;

/// Traffic direction of an interface hook.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Direction {
    /// Packets that arrive.
    Ingress,
    /// Packets that leave.
    Egress,
}

impl Direction {
    /// `ingress` or `egress`.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// How an XDP program runs on its interface.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// After the socket buffer was made.
    Generic,
}

impl XdpMode {
    /// `native` or `generic`.
    pub fn name(self) -> &'static str {
        match self {
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
        }
    }
}

/// Which occurrences of a perf event are samples.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Sampling {
    /// Every so many; of clocks, nanoseconds.
    Period(u64),
    /// So many in a second; the kernel adapts the period.
    Frequency(u64),
}

/// Where to attach. A uprobe's target travels beside the message as a descriptor that the client opened.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum AttachSpec {
    /// An interface, through a tcx link.
    Tcx {
        /// Interface name.
        interface: String,
        /// Direction.
        direction: Direction,
        /// Lower runs first.
        priority: i32,
    },
    /// An interface, before the network stack, in a chain with others.
    Xdp {
        /// Interface name.
        interface: String,
        /// Lower runs first.
        priority: i32,
        /// Verdicts after which the chain goes on; empty for the default.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        proceed_on: Vec<i32>,
        /// How the chain is to be called from now on; `None` keeps what was asked for before, or lets bpfman choose.
        strategy: Option<Strategy>,
    },
    /// A tracepoint.
    Tracepoint {
        /// Group, for example `syscalls`.
        group: String,
        /// Name, for example `sys_enter_openat`.
        name: String,
    },
    /// A function or offset of a user-space binary or library.
    Uprobe {
        /// What the user wrote: a path or a library name.
        target: String,
        /// The absolute path that was opened.
        path: String,
        /// Function, if any.
        function: Option<String>,
        /// Added to the function's address; a file offset when there is no function.
        offset: u64,
        /// Only this process.
        pid: Option<i32>,
        /// Process whose mount namespace the target is in.
        container_pid: Option<i32>,
    },
    /// A function of the kernel. Since version 2.
    Kprobe {
        /// The function.
        function: String,
        /// Bytes after its start; 0 for a kretprobe.
        offset: u64,
    },
    /// The start of the kernel function that the program was loaded for. Since version 2.
    Fentry,
    /// The return of the kernel function that the program was loaded for. Since version 2.
    Fexit,
    /// The security hook that the program was loaded for. Since version 2.
    Lsm,
    /// A tracepoint without the copy of its fields that perf makes. Since version 2.
    RawTracepoint {
        /// Name, without group.
        name: String,
    },
    /// The tracepoint that the program was loaded for. Since version 2.
    TpBtf,
    /// The iterator that the program was loaded for. Since version 2.
    Iter,
    /// The look-up of sockets in a network namespace. Since version 2.
    SkLookup,
    /// A control group, at the hook that the program was loaded for. Its directory travels beside the message as a
    /// descriptor that the client opened. Since version 2.
    Cgroup {
        /// Which programs fit: one of the kinds for control groups.
        kind: ProgramKind,
        /// The absolute path that was opened.
        path: String,
    },
    /// Samples of a perf event: of one process, or of all on one CPU. Since version 2.
    PerfEvent {
        /// Name of the event, for example `cpu-clock`.
        event: String,
        /// When the program runs.
        sampling: Sampling,
        /// Only this thread; all of those on the CPU otherwise.
        pid: Option<i32>,
        /// Only this CPU; all on which the process runs otherwise.
        cpu: Option<u32>,
    },
    /// An interface, through clsact, in a chain with others. Since version 2.
    Tc {
        /// Interface name.
        interface: String,
        /// Direction.
        direction: Direction,
        /// Lower runs first.
        priority: i32,
        /// Verdicts after which the chain goes on; empty for the default.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        proceed_on: Vec<i32>,
        /// How the chain is to be called from now on; `None` keeps what was asked for before, or lets bpfman choose.
        strategy: Option<Strategy>,
    },
}

impl AttachSpec {
    /// The name of the attach command, which decides which program kinds fit.
    pub fn name(&self) -> &'static str {
        match self {
            AttachSpec::Tcx { .. } => "tcx",
            AttachSpec::Xdp { .. } => "xdp",
            AttachSpec::Tracepoint { .. } => "tracepoint",
            AttachSpec::Uprobe { .. } => "uprobe",
            AttachSpec::Kprobe { .. } => "kprobe",
            AttachSpec::Fentry => "fentry",
            AttachSpec::Fexit => "fexit",
            AttachSpec::Lsm => "lsm",
            AttachSpec::RawTracepoint { .. } => "raw_tracepoint",
            AttachSpec::TpBtf => "tp_btf",
            AttachSpec::Iter => "iter",
            AttachSpec::SkLookup => "sk_lookup",
            AttachSpec::Cgroup { kind, .. } => kind.name(),
            AttachSpec::PerfEvent { .. } => "perf_event",
            AttachSpec::Tc { .. } => "tc",
        }
    }

    /// Whether the hook is in a network namespace, so that another than bpfman's own may be asked for.
    pub fn is_in_network_namespace(&self) -> bool {
        matches!(
            self,
            AttachSpec::Tcx { .. } | AttachSpec::Xdp { .. } | AttachSpec::SkLookup
        )
    }
}

/// A place in a file at which a probe sits.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Place {
    /// Offset in the file.
    pub offset: u64,
    /// Offset of a counter in the file that the kernel raises while the probe is there; 0 for none (USDT).
    pub semaphore: u64,
}

impl Place {
    /// Without a semaphore.
    pub fn at(offset: u64) -> Self {
        Self {
            offset,
            semaphore: 0,
        }
    }
}

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
            | LinkDetails::Tc { .. } => 2,
        }
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

/// An attachment under management, as it is stored.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct LinkRecord {
    /// bpfman's own id, from 1, never reused.
    pub id: u64,
    /// Kernel id of the program.
    pub program_id: u32,
    /// Kernel id of the link; `None` while it is not in the kernel.
    pub kernel_link_id: Option<u32>,
    /// Kind of the link (a uprobe attach of a uretprobe program gives a uretprobe link).
    pub kind: ProgramKind,
    /// Link pin.
    pub pin_path: String,
    /// By kind.
    pub details: LinkDetails,
    /// Seconds since the Unix epoch.
    pub created_at: i64,
    /// Labels.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
    pub metadata: BTreeMap<String, String>,
}

/// A link with its state in the kernel.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Link {
    /// The record.
    pub record: LinkRecord,
    /// C function name of the program.
    pub program_name: String,
    /// What the kernel says.
    pub kernel: Option<KernelLink>,
    /// Whether the pin is there.
    pub pin_present: bool,
}

/// A row of `link list`.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct LinkEntry {
    /// The record.
    pub record: LinkRecord,
    /// C function name of the program.
    pub program_name: String,
    /// Declared kind of the program.
    pub program_kind: ProgramKind,
    /// Labels of the program.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
    pub program_metadata: BTreeMap<String, String>,
}
