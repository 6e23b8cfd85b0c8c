//! Attachments: what is asked for, what is recorded, what is reported.

use super::chain::Strategy;
use super::failure::{Failure, FailureCode, Stage};
use super::kernel::KernelLink;
pub use super::link_details::LinkDetails;
pub use super::link_numbers::LinkNumbers;
use super::mprog::NetkitHook;
use super::netfilter::NetfilterPlace;
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
    /// Several functions of the kernel. Since version 2.
    KprobeMulti {
        /// The functions, each once.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        functions: Vec<String>,
    },
    /// Several functions of one user-space binary or library, whose descriptor travels beside the message. Since version 2.
    UprobeMulti {
        /// What the user wrote: a path or a library name.
        target: String,
        /// The absolute path that was opened.
        path: String,
        /// The functions.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        functions: Vec<String>,
        /// Only this process.
        pid: Option<i32>,
        /// Process whose mount namespace the target is in.
        container_pid: Option<i32>,
    },
    /// A statically defined probe of a user-space binary or library, whose descriptor travels beside the message. Since
    /// version 2.
    Usdt {
        /// What the user wrote: a path or a library name.
        target: String,
        /// The absolute path that was opened.
        path: String,
        /// Provider of the probe.
        provider: String,
        /// Name of the probe.
        name: String,
        /// Only this process.
        pid: Option<i32>,
        /// Process whose mount namespace the target is in.
        container_pid: Option<i32>,
    },
    /// A hook of netfilter in a network namespace. Since version 2.
    Netfilter(NetfilterPlace),
    /// A pair of netkit devices, by a netkit link. Since version 2.
    Netkit {
        /// Name of the primary device.
        interface: String,
        /// Which end.
        hook: NetkitHook,
        /// Lower runs first.
        priority: i32,
    },
    /// An interface, before the network stack, as a member of the dispatcher that libxdp has there. Since version 2.
    XdpGuest {
        /// Interface name.
        interface: String,
        /// Lower runs first.
        priority: i32,
        /// Verdicts after which the chain goes on; empty for the default.
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
        proceed_on: Vec<i32>,
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
            AttachSpec::KprobeMulti { .. } => "kprobe_multi",
            AttachSpec::UprobeMulti { .. } => "uprobe_multi",
            AttachSpec::Usdt { .. } => "usdt",
            AttachSpec::Netfilter(_) => "netfilter",
            AttachSpec::Netkit { .. } => "netkit",
            AttachSpec::XdpGuest { .. } => "xdp",
        }
    }

    /// Whether programs of a kind fit: of the command's own name, or the one that runs at returns.
    pub fn takes(&self, program: ProgramKind) -> bool {
        let at_return = match self {
            AttachSpec::Kprobe { .. } => Some(ProgramKind::Kretprobe),
            AttachSpec::KprobeMulti { .. } => Some(ProgramKind::KretprobeMulti),
            AttachSpec::Uprobe { .. } => Some(ProgramKind::Uretprobe),
            AttachSpec::UprobeMulti { .. } => Some(ProgramKind::UretprobeMulti),
            _ => None,
        };
        program.name() == self.name() || Some(program) == at_return
    }

    /// Refuses a program of a kind that does not fit. To be asked before anything is looked for.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` with the kinds that fit.
    pub fn check_kind(&self, program_id: u32, program: ProgramKind) -> Result<(), Failure> {
        if self.takes(program) {
            return Ok(());
        }
        let all = ProgramKind::ALL.into_iter();
        let accepted: Vec<&str> = all
            .filter(|kind| self.takes(*kind))
            .map(ProgramKind::name)
            .collect();
        let cause = format!(
            "program {program_id} is a {program} program; the {} attach accepts {}",
            self.name(),
            accepted.join(" or ")
        );
        Err(Failure::new(
            FailureCode::FailedPrecondition,
            Stage::Request,
            cause,
        ))
    }

    /// Whether the hook is in a network namespace, so that another than bpfman's own may be asked for.
    pub fn is_in_network_namespace(&self) -> bool {
        matches!(
            self,
            AttachSpec::Tcx { .. }
                | AttachSpec::Tc { .. }
                | AttachSpec::Xdp { .. }
                | AttachSpec::XdpGuest { .. }
                | AttachSpec::SkLookup
                | AttachSpec::Netfilter(_)
                | AttachSpec::Netkit { .. }
        )
    }
}

/// A place in a file at which a probe sits.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProbePlace {
    /// Offset in the file.
    pub offset: u64,
    /// Offset of a counter in the file that the kernel raises while the probe is there; 0 for none (USDT).
    pub semaphore: u64,
}

impl ProbePlace {
    /// Without a semaphore.
    pub fn at(offset: u64) -> Self {
        Self {
            offset,
            semaphore: 0,
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
    #[cfg_attr(test, proptest(strategy = "crate::messages::one()"))]
    pub details: LinkDetails,
    /// Seconds since the Unix epoch.
    pub created_at: i64,
    /// Labels.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few_labels()"))]
    pub metadata: BTreeMap<String, String>,
}

impl LinkRecord {
    /// First version of the protocol that knows links of this kind.
    pub fn since(&self) -> u16 {
        self.details.since().max(self.kind.since())
    }
}

/// A link with its state in the kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The record.
    pub record: LinkRecord,
    /// C function name of the program.
    pub program_name: String,
    /// What the kernel says.
    pub kernel: Option<KernelLink>,
    /// Whether the pin is there.
    pub pin_present: bool,
    /// What else it says. Since version 2.
    pub numbers: LinkNumbers,
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
