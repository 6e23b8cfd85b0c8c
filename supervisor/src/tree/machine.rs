//! The process tree's decisions: events in, actions out. No clock, no socket, no process.
//!
//! Start: loader and image worker together; the API worker's process too, but it is activated only when the loader has
//! reconciled (or is given up) and the image worker is there (or is not coming soon). Stop: API worker, image worker,
//! loader. Whenever a worker begins to serve it is linked with every peer that serves; whenever it ends, its peers hear
//! so at once.

use super::events::{Action, Event};
use super::restart::{History, Verdict};
use super::worker::{Phase, Running, State};
use crate::limits::{END_DEADLINE, START_DEADLINE};
use crate::spawner::protocol::Exit;
use ipc::messages::supervision::SandboxReport;
use ipc::role::Role;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Whether a report is what the policy demands of a role.
pub type Demand = Box<dyn Fn(Role, &SandboxReport) -> Result<(), String> + Send>;

/// The tree.
pub struct Machine {
    pub(super) workers: [Slot; 3],
    demand: Demand,
    pub(super) announced: bool,
    stopping: bool,
    pub(super) finished: bool,
}

/// One worker with its past.
pub(super) struct Slot {
    pub(super) role: Role,
    pub(super) state: State,
    history: History,
    restarts: u32,
}

impl Machine {
    /// A tree in which nothing was started yet.
    pub fn new(now: Instant, demand: Demand) -> Self {
        let slot = |role| Slot {
            role,
            state: State::Starting { since: now },
            history: History::default(),
            restarts: 0,
        };
        Self {
            workers: Role::WORKERS.map(slot),
            demand,
            announced: false,
            stopping: false,
            finished: false,
        }
    }

    /// The state of a worker; `None` for roles that are none.
    pub fn state(&self, role: Role) -> Option<&State> {
        self.workers
            .iter()
            .find(|slot| slot.role == role)
            .map(|slot| &slot.state)
    }

    /// Restarts of a worker so far.
    pub fn restarts(&self, role: Role) -> u32 {
        self.workers
            .iter()
            .find(|slot| slot.role == role)
            .map_or(0, |slot| slot.restarts)
    }

    /// Whether the service is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.workers
            .iter()
            .filter_map(|slot| slot.state.deadline())
            .min()
    }

    /// What follows from an event.
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Begin => {
                for slot in &mut self.workers {
                    slot.state = State::Starting { since: now };
                    actions.push(Action::Start(slot.role));
                }
            }
            Event::Started {
                role,
                generation,
                pid,
            } => self.started(role, generation, pid, now, &mut actions),
            Event::StartFailed { role, reason } => {
                self.ended(role, reason, Duration::ZERO, false, now)
            }
            Event::Exited {
                role,
                generation,
                exit,
                words,
            } => self.exited(role, generation, (exit, &words), now, &mut actions),
            Event::Ready {
                role,
                generation,
                report,
            } => self.ready(role, generation, report, &mut actions),
            Event::Serving { role, generation } => {
                self.serving(role, generation, now, &mut actions)
            }
            Event::LinkLost {
                role,
                generation,
                reason,
            } => {
                if let Some(reason) = reason {
                    warn!("{role} (generation {generation}): {reason}");
                    self.doom(role, generation, Some(reason), false, &mut actions);
                } else {
                    self.ending(role, generation, now, &mut actions);
                }
            }
            Event::PeerFault {
                reporter,
                peer,
                generation,
                fault,
            } => {
                warn!(
                    "{peer} (generation {generation}) broke the protocol, says {reporter}: {fault}"
                );
                let reason = Some(format!("broke the protocol towards {reporter}: {fault}"));
                self.doom(peer, generation, reason, false, &mut actions);
            }
            Event::Tick => self.tick(now, &mut actions),
            Event::Stop if self.stopping => {}
            Event::Stop => {
                self.stopping = true;
                actions.push(Action::AnnounceStopping);
            }
        }
        if self.stopping {
            self.advance_stop(now, &mut actions);
        } else {
            self.activate(now, &mut actions);
        }
        actions
    }

    pub(super) fn slot(&mut self, role: Role) -> Option<&mut Slot> {
        self.workers.iter_mut().find(|slot| slot.role == role)
    }

    /// The process of this generation; what concerns an older one came too late and is nobody's business any more.
    pub(super) fn running(&mut self, role: Role, generation: u32) -> Option<&mut Running> {
        match &mut self.slot(role)?.state {
            State::Running(running) if running.generation == generation => Some(running),
            _ => None,
        }
    }

    fn started(
        &mut self,
        role: Role,
        generation: u32,
        pid: u32,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let stopping = self.stopping;
        let Some(slot) = self.slot(role) else { return };
        let phase = if stopping {
            actions.push(Action::Kill(role));
            Phase::Doomed {
                reason: None,
                for_good: false,
            }
        } else {
            Phase::Greeting {
                deadline: now + START_DEADLINE,
            }
        };
        slot.state = State::Running(Running {
            pid,
            generation,
            report: None,
            serving_since: None,
            phase,
        });
    }

    fn ready(
        &mut self,
        role: Role,
        generation: u32,
        report: SandboxReport,
        actions: &mut Vec<Action>,
    ) {
        let verdict = (self.demand)(role, &report);
        let Some(running) = self.running(role, generation) else {
            return;
        };
        let verdict = match (&running.phase, verdict) {
            (Phase::Greeting { .. }, Ok(())) if report.pid == running.pid => Ok(()),
            (Phase::Greeting { .. }, Ok(())) => Err(format!("reports for process {}", report.pid)),
            (Phase::Greeting { .. }, Err(refusal)) => Err(refusal),
            // It is being ended already.
            (Phase::Ending { .. } | Phase::Doomed { .. }, _) => return,
            _ => Err("reports twice".to_owned()),
        };
        match verdict {
            Ok(()) => {
                running.report = Some(report);
                running.phase = Phase::Prepared;
            }
            Err(refusal) => {
                error!(
                    "{role} (generation {generation}) is not sandboxed as demanded and is not trusted: {refusal}"
                );
                // The next start would have the same profile, the same kernel and the same end.
                let reason = Some(format!("sandbox report refused: {refusal}"));
                self.doom(role, generation, reason, true, actions);
            }
        }
    }

    fn serving(&mut self, role: Role, generation: u32, now: Instant, actions: &mut Vec<Action>) {
        let Some(running) = self.running(role, generation) else {
            return;
        };
        match running.phase {
            Phase::Active { .. } => {
                self.connect_all(role, generation, actions);
                self.begin_service(role, now);
            }
            // Workers other than the loader serve from their activation on; saying so is no offence.
            Phase::Serving
            | Phase::Stopping { .. }
            | Phase::Ending { .. }
            | Phase::Doomed { .. } => {}
            Phase::Greeting { .. } | Phase::Prepared => {
                let reason = Some("claims to serve before it was activated".to_owned());
                self.doom(role, generation, reason, false, actions);
            }
        }
    }

    /// Kills a worker that may not go on. Its peers hear of it now, not when it has ended.
    fn doom(
        &mut self,
        role: Role,
        generation: u32,
        reason: Option<String>,
        for_good: bool,
        actions: &mut Vec<Action>,
    ) {
        let Some(running) = self.running(role, generation) else {
            return;
        };
        if let Phase::Doomed { .. } = running.phase {
            return;
        }
        let was_linked = is_linked(running);
        running.phase = Phase::Doomed { reason, for_good };
        actions.push(Action::Kill(role));
        if was_linked {
            self.disconnect_all(role, generation, actions);
        }
    }

    /// Leaves a worker that has closed its link the time to end. Its peers hear of it now.
    fn ending(&mut self, role: Role, generation: u32, now: Instant, actions: &mut Vec<Action>) {
        let Some(running) = self.running(role, generation) else {
            return;
        };
        // In an ordered stop the link ends because the worker does.
        if let Phase::Stopping { .. } | Phase::Ending { .. } | Phase::Doomed { .. } = running.phase
        {
            return;
        }
        let was_linked = is_linked(running);
        running.phase = Phase::Ending {
            deadline: now + END_DEADLINE,
        };
        if was_linked {
            self.disconnect_all(role, generation, actions);
        }
    }

    fn disconnect_all(&self, role: Role, generation: u32, actions: &mut Vec<Action>) {
        for peer in self.workers.iter().filter(|peer| peer.role != role) {
            if peer.state.linked().is_some() {
                actions.push(Action::Disconnect {
                    to: peer.role,
                    peer: role,
                    generation,
                });
            }
        }
    }

    fn exited(
        &mut self,
        role: Role,
        generation: u32,
        (exit, words): (Exit, &str),
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let stopping = self.stopping;
        let Some(running) = self.running(role, generation) else {
            return;
        };
        let served = served(running, now);
        let (reason, for_good, was_linked) = match &running.phase {
            Phase::Doomed { reason, for_good } => (
                reason.clone().unwrap_or_else(|| told(exit, words)),
                *for_good,
                false,
            ),
            _ => (told(exit, words), false, is_linked(running)),
        };
        let pid = running.pid;
        if stopping {
            info!("{role} (generation {generation}, process {pid}) {exit}");
        } else {
            warn!("{role} (generation {generation}, process {pid}) ended: {reason}");
        }
        self.ended(role, reason, served, for_good, now);
        if was_linked {
            self.disconnect_all(role, generation, actions);
        }
    }

    /// Decides on the next start of a worker without process.
    fn ended(
        &mut self,
        role: Role,
        reason: String,
        served: Duration,
        for_good: bool,
        now: Instant,
    ) {
        let stopping = self.stopping;
        let Some(slot) = self.slot(role) else { return };
        if stopping {
            slot.state = State::Stopped;
            return;
        }
        slot.state = match slot.history.ended(now, served) {
            Verdict::RestartAfter(pause) if !for_good => State::Backoff {
                until: now + pause,
                reason,
            },
            _ => {
                error!("{role} is held and not started again until bpfmand is restarted: {reason}");
                State::Held { reason }
            }
        };
    }

    fn tick(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for role in Role::WORKERS {
            let Some(slot) = self.slot(role) else {
                continue;
            };
            if slot.state.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            match &slot.state {
                State::Starting { .. } => {
                    error!("the spawner does not answer");
                    actions.push(Action::Abandon);
                }
                State::Backoff { .. } => {
                    slot.state = State::Starting { since: now };
                    slot.restarts = slot.restarts.saturating_add(1);
                    actions.push(Action::Start(role));
                }
                State::Running(running) => {
                    let generation = running.generation;
                    let reason = match running.phase {
                        Phase::Greeting { .. } => "did not report its sandbox in time",
                        Phase::Active { .. } => "did not reconcile in time",
                        Phase::Ending { .. } => "closed its control link and did not end",
                        _ => "did not stop in time",
                    };
                    warn!("{role} (generation {generation}) {reason}");
                    self.doom(role, generation, Some(reason.to_owned()), false, actions);
                }
                State::Held { .. } | State::Stopped => {}
            }
        }
    }
}

/// A process that was killed has not said why.
fn told(exit: Exit, words: &str) -> String {
    match exit {
        Exit::Code(code) if code != 0 && !words.is_empty() => format!("{exit}: {words}"),
        _ => exit.to_string(),
    }
}

/// Whether peers have links to this process.
fn is_linked(running: &Running) -> bool {
    running.serving_since.is_some()
        && !matches!(running.phase, Phase::Ending { .. } | Phase::Doomed { .. })
}

fn served(running: &Running, now: Instant) -> Duration {
    running
        .serving_since
        .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "machine_properties.rs"]
mod properties;
