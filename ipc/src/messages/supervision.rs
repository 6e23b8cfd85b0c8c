//! Supervisor ⇄ workers.

use super::edge;
use super::hello::Hello;
use super::helper::HelperKind;
use crate::limits::FAULT_BYTES;
use crate::role::Role;
use bincode::{Decode, Encode};

/// Supervisor to worker.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Control {
    /// Since version 1. The generation is the one that the supervisor gives to the worker.
    Hello(Hello),
    /// The sandbox report is what the policy demands: begin. Beside it the listening sockets (API
    /// worker) or a sealed memfd with [`crate::messages::pull::ImageSettings`] (image worker).
    Activate,
    /// A peer is there; beside it this worker's end of the link to it.
    PeerUp {
        /// Which.
        peer: Role,
        /// Its incarnation.
        generation: u32,
    },
    /// A peer is gone: fail or retry what was in flight.
    PeerDown {
        /// Which.
        peer: Role,
        /// The incarnation that ended.
        generation: u32,
    },
    /// To `StartHelper`; beside it the socket of the helper.
    HelperStarted,
    /// To `StartHelper`.
    HelperRefused {
        /// Why.
        reason: String,
    },
    /// To `QueryStatus`.
    StatusReport(
        #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))] Vec<ProcessStatus>,
    ),
    /// Finish what is in flight, take nothing new, answer `Drained`, exit.
    Stop,
    /// Log this from now on: the configuration has changed.
    SetLog {
        /// As on the command line.
        specification: String,
    },
}

edge!(Control: Hello, Activate, PeerUp, PeerDown, HelperStarted, HelperRefused, StatusReport, Stop, SetLog);

/// Worker to supervisor.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Status {
    /// Since version 1.
    Hello(Hello),
    /// The sandbox is entered; this is what /proc says.
    Ready(SandboxReport),
    /// Ready for work (the loader: has reconciled).
    Serving,
    /// A peer broke the protocol: its link was dropped.
    PeerFault {
        /// Which.
        peer: Role,
        /// Its incarnation.
        generation: u32,
        /// What it did.
        fault: String,
    },
    /// Start a one-shot helper (loader only).
    StartHelper {
        /// For what.
        kind: HelperKind,
    },
    /// Tell me about every process (API worker only).
    QueryStatus,
    /// All work is finished, exit follows.
    Drained,
}

edge!(Status: Hello, Ready, Serving, PeerFault, StartHelper, QueryStatus, Drained);

impl Status {
    /// A report about a peer. What it did quotes the peer, hence is cut to [`FAULT_BYTES`]: a report that is too long for
    /// its row would not be sent.
    pub fn peer_fault(peer: Role, generation: u32, fault: &str) -> Self {
        let end = fault.floor_char_boundary(FAULT_BYTES);
        Self::PeerFault {
            peer,
            generation,
            fault: fault[..end].to_owned(),
        }
    }
}

/// What a process gave up, read back from /proc and the kernel after the sandbox was entered.
#[derive(Clone, Debug, Default, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct SandboxReport {
    /// Process id.
    pub pid: u32,
    /// Real, effective, saved user ids (all equal, or the report is refused).
    pub uids: [u32; 3],
    /// Real, effective, saved group ids.
    pub gids: [u32; 3],
    /// Supplementary groups.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub groups: Vec<u32>,
    /// CapInh.
    pub cap_inheritable: u64,
    /// CapPrm.
    pub cap_permitted: u64,
    /// CapEff.
    pub cap_effective: u64,
    /// CapBnd.
    pub cap_bounding: u64,
    /// CapAmb.
    pub cap_ambient: u64,
    /// NoNewPrivs.
    pub no_new_privs: bool,
    /// Seccomp mode: 2 is filter.
    pub seccomp_mode: u8,
    /// Number of filters.
    pub seccomp_filters: u32,
    /// Landlock ABI of the kernel, 0 for none.
    pub landlock_abi: u8,
    /// Landlock ABI up to which rights are enforced.
    pub landlock_enforced: u8,
    /// Whether every right of the profile is enforced.
    pub landlock_full: bool,
    /// Whether the process can be dumped or traced by its own user.
    pub dumpable: bool,
    /// Threads at the time of the report: 1.
    pub threads: u32,
    /// Open descriptors, ascending.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub descriptors: Vec<i32>,
    /// Violations are only logged (`--sandbox=log`).
    pub learning: bool,
}

/// State of a process, as in `bpfmanctl status`.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum ProcessState {
    /// Started, not yet ready.
    Starting,
    /// At work.
    Serving,
    /// Waiting for its next start.
    Backoff,
    /// Failed too often; held until the service is restarted.
    Held,
    /// Ending.
    Stopping,
}

impl ProcessState {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            ProcessState::Starting => "starting",
            ProcessState::Serving => "serving",
            ProcessState::Backoff => "backoff",
            ProcessState::Held => "held",
            ProcessState::Stopping => "stopping",
        }
    }
}

/// A row of `bpfmanctl status`.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ProcessStatus {
    /// `spawner`, `supervisor`, `loader`, `image`, `api`.
    pub role: String,
    /// State.
    pub state: ProcessState,
    /// Process id, 0 when there is none.
    pub pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// CapEff.
    pub cap_effective: u64,
    /// CapPrm.
    pub cap_permitted: u64,
    /// Seccomp mode.
    pub seccomp_mode: u8,
    /// NoNewPrivs.
    pub no_new_privs: bool,
    /// Landlock ABI enforced, 0 for none.
    pub landlock: u8,
    /// Incarnation.
    pub generation: u32,
    /// Restarts since the service started.
    pub restarts: u32,
    /// Resident bytes.
    pub memory: u64,
    /// Why it is not serving, or what is unusual; empty otherwise.
    pub note: String,
}
