//! The states of one worker.
//!
//! ```text
//!            Starting ──▶ Running: Greeting ─▶ Prepared ─▶ Active ─▶ Serving ─▶ Stopping ─▶ Stopped
//!               ▲ │          │        (any phase) ─▶ Ending ─▶ Doomed
//!               │ ▼          ▼
//!             Backoff ◀── ended ──▶ Held
//! ```

use ipc::messages::supervision::{ProcessState, SandboxReport};
use std::time::Instant;

/// Where a worker is.
#[derive(Clone, Debug)]
pub enum State {
    /// The start command is sent (or, before `Begin`, about to be).
    Starting {
        /// When.
        since: Instant,
    },
    /// There is a process.
    Running(Running),
    /// It ended; the next start is due.
    Backoff {
        /// When it is due.
        until: Instant,
        /// Why it ended.
        reason: String,
    },
    /// It failed too often, or cannot be trusted: it is left alone until the service is restarted.
    Held {
        /// Why.
        reason: String,
    },
    /// The service is stopping and this worker is done.
    Stopped,
}

/// A worker's process.
#[derive(Clone, Debug)]
pub struct Running {
    /// Process id.
    pub pid: u32,
    /// Incarnation.
    pub generation: u32,
    /// What /proc said in its report, once accepted.
    pub report: Option<SandboxReport>,
    /// When it began to serve.
    pub serving_since: Option<Instant>,
    /// How far it is.
    pub phase: Phase,
}

/// How far a running worker is.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Sandbox report awaited.
    Greeting {
        /// Killed when it has not come by then.
        deadline: Instant,
    },
    /// Report accepted; what it depends on is not there yet.
    Prepared,
    /// Told to begin; its word that it serves is awaited (loader).
    Active {
        /// Killed when it has not come by then.
        deadline: Instant,
    },
    /// At work: it has links to all peers that are.
    Serving,
    /// Told to stop: it finishes what is in flight, with its peers' help.
    Stopping {
        /// Killed when it has not ended by then.
        deadline: Instant,
    },
    /// Its control link is lost without a fault: it is ending by itself, and its exit status will tell why.
    Ending {
        /// Killed when it has not ended by then.
        deadline: Instant,
    },
    /// Killed: its end is awaited.
    Doomed {
        /// Why, unless its exit status says it best.
        reason: Option<String>,
        /// It will not be trusted with another start.
        for_good: bool,
    },
}

impl State {
    /// The process, if there is one.
    pub fn running(&self) -> Option<&Running> {
        match self {
            State::Running(running) => Some(running),
            _ => None,
        }
    }

    /// The generation of the process that peers have links to.
    pub fn linked(&self) -> Option<u32> {
        self.running()
            .filter(|running| {
                running.serving_since.is_some()
                    && matches!(running.phase, Phase::Serving | Phase::Stopping { .. })
            })
            .map(|running| running.generation)
    }

    /// Whether waiting for this worker to serve makes sense in the moment.
    pub fn is_coming(&self) -> bool {
        match self {
            State::Starting { .. } => true,
            State::Running(running) => !matches!(
                running.phase,
                Phase::Serving | Phase::Ending { .. } | Phase::Doomed { .. }
            ),
            State::Backoff { .. } | State::Held { .. } | State::Stopped => false,
        }
    }

    /// When something must have happened by.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            State::Starting { since } => Some(*since + crate::limits::SPAWNER_DEADLINE),
            State::Backoff { until, .. } => Some(*until),
            State::Running(running) => match running.phase {
                Phase::Greeting { deadline }
                | Phase::Active { deadline }
                | Phase::Stopping { deadline }
                | Phase::Ending { deadline } => Some(deadline),
                Phase::Prepared | Phase::Serving | Phase::Doomed { .. } => None,
            },
            State::Held { .. } | State::Stopped => None,
        }
    }

    /// As `status` shows it.
    pub fn reported(&self) -> ProcessState {
        match self {
            State::Starting { .. } => ProcessState::Starting,
            State::Backoff { .. } => ProcessState::Backoff,
            State::Held { .. } => ProcessState::Held,
            State::Stopped => ProcessState::Stopping,
            State::Running(running) => match running.phase {
                Phase::Greeting { .. } | Phase::Prepared | Phase::Active { .. } => {
                    ProcessState::Starting
                }
                Phase::Serving => ProcessState::Serving,
                Phase::Stopping { .. } | Phase::Ending { .. } | Phase::Doomed { .. } => {
                    ProcessState::Stopping
                }
            },
        }
    }

    /// Why it is not serving, for `status`.
    pub fn note(&self) -> &str {
        match self {
            State::Backoff { reason, .. } | State::Held { reason } => reason,
            State::Running(Running {
                phase:
                    Phase::Doomed {
                        reason: Some(reason),
                        ..
                    },
                ..
            }) => reason,
            _ => "",
        }
    }
}
