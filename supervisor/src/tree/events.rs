//! What the tree hears, and what it decides to do.

use crate::spawner::protocol::Exit;
use ipc::messages::supervision::SandboxReport;
use ipc::role::Role;

/// Something happened. Generations are those of the process that it is about.
#[derive(Clone, Debug)]
#[allow(
    missing_docs,
    reason = "fields: who, which incarnation of it, and what the variant's name says"
)]
pub enum Event {
    /// The service starts.
    Begin,
    /// The spawner has started a worker.
    Started {
        role: Role,
        generation: u32,
        pid: u32,
    },
    /// The spawner could not.
    StartFailed { role: Role, reason: String },
    /// A worker's process ended; its own words for why, or none.
    Exited {
        role: Role,
        generation: u32,
        exit: Exit,
        words: String,
    },
    /// A worker has entered its sandbox.
    Ready {
        role: Role,
        generation: u32,
        report: SandboxReport,
    },
    /// A worker is ready for work.
    Serving { role: Role, generation: u32 },
    /// A worker's control link ended, or the worker broke the protocol on it.
    LinkLost {
        role: Role,
        generation: u32,
        reason: Option<String>,
    },
    /// A worker reports that a peer broke the protocol.
    PeerFault {
        reporter: Role,
        peer: Role,
        generation: u32,
        fault: String,
    },
    /// Time has passed.
    Tick,
    /// The service is asked to stop.
    Stop,
}

/// Something is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(
    missing_docs,
    reason = "fields: who, which incarnation of it, and what the variant's name says"
)]
pub enum Action {
    /// Have the spawner start a worker.
    Start(Role),
    /// Have the spawner kill it.
    Kill(Role),
    /// Tell it to begin.
    Activate(Role),
    /// Make a link and give each of the two its end, with the generation of the other.
    Connect([(Role, u32); 2]),
    /// Tell `to` that this incarnation of `peer` is gone.
    Disconnect {
        to: Role,
        peer: Role,
        generation: u32,
    },
    /// Tell it to stop.
    Drain(Role),
    /// Tell the service manager that clients are served.
    AnnounceReady,
    /// Tell the service manager that the stop has begun.
    AnnounceStopping,
    /// Every worker has ended: end the spawner, and the supervisor after it.
    Finish,
    /// The spawner does not answer: nothing can be done any more.
    Abandon,
}
