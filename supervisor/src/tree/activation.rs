//! Who may begin, and when: the ordered start.

use super::events::Action;
use super::machine::Machine;
use super::worker::{Phase, Running, State};
use crate::limits::RECONCILE_DEADLINE;
use ipc::role::Role;
use std::time::Instant;
use tracing::info;

impl Machine {
    /// Activates whoever is prepared and has what it depends on.
    pub(super) fn activate(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for role in Role::WORKERS {
            let Some(State::Running(Running {
                generation,
                phase: Phase::Prepared,
                ..
            })) = self.state(role)
            else {
                continue;
            };
            let generation = *generation;
            match role {
                Role::Loader => {
                    actions.push(Action::Activate(role));
                    if let Some(running) = self.running(role, generation) {
                        running.phase = Phase::Active {
                            deadline: now + RECONCILE_DEADLINE,
                        };
                    }
                }
                Role::Api if !self.clients_may_come() => {}
                Role::Api => {
                    // Links first: the first request finds them.
                    self.connect_all(role, generation, actions);
                    actions.push(Action::Activate(role));
                    self.begin_service(role, now);
                }
                _ => {
                    actions.push(Action::Activate(role));
                    self.connect_all(role, generation, actions);
                    self.begin_service(role, now);
                }
            }
        }
        let serves = |role| {
            self.state(role)
                .is_some_and(|state| state.linked().is_some())
        };
        if !self.announced && serves(Role::Loader) && serves(Role::Api) {
            self.announced = true;
            actions.push(Action::AnnounceReady);
        }
    }

    /// No client is accepted before the loader has reconciled: until then they wait in the socket's backlog. Only a
    /// loader that is given up lets them in, to hear so. An image worker that fails to start keeps nobody waiting.
    fn clients_may_come(&self) -> bool {
        let loader = self
            .state(Role::Loader)
            .is_some_and(|state| state.linked().is_some() || matches!(state, State::Held { .. }));
        let image = self
            .state(Role::Image)
            .is_some_and(|state| !state.is_coming());
        loader && image
    }

    pub(super) fn begin_service(&mut self, role: Role, now: Instant) {
        if let Some(State::Running(running)) = self.slot(role).map(|slot| &mut slot.state) {
            running.serving_since = Some(now);
            running.phase = Phase::Serving;
            info!(
                "{role} (generation {}, process {}) serves",
                running.generation, running.pid
            );
        }
    }

    pub(super) fn connect_all(&self, role: Role, generation: u32, actions: &mut Vec<Action>) {
        for peer in self.workers.iter().filter(|peer| peer.role != role) {
            if let Some(other) = peer.state.linked() {
                actions.push(Action::Connect([(role, generation), (peer.role, other)]));
            }
        }
    }
}
