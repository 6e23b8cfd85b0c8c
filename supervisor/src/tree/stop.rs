//! The ordered stop.

use super::events::Action;
use super::machine::Machine;
use super::worker::{Phase, State};
use crate::limits::DRAIN_DEADLINE;
use ipc::role::Role;
use std::time::Instant;

/// The order of the ordered stop: who asks ends before who is asked.
pub(super) const STOP_ORDER: [Role; 3] = [Role::Api, Role::Image, Role::Loader];

impl Machine {
    /// Stops one worker after the other.
    pub(super) fn advance_stop(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for role in STOP_ORDER {
            let Some(slot) = self.slot(role) else {
                continue;
            };
            match &mut slot.state {
                State::Stopped => continue,
                State::Backoff { .. } | State::Held { .. } => slot.state = State::Stopped,
                // Its process appears in a moment, to be killed.
                State::Starting { .. } => return,
                State::Running(running) => match running.phase {
                    Phase::Serving | Phase::Active { .. } => {
                        running.phase = Phase::Stopping {
                            deadline: now + DRAIN_DEADLINE,
                        };
                        actions.push(Action::Drain(role));
                        return;
                    }
                    // Nothing is in flight in it.
                    Phase::Greeting { .. } | Phase::Prepared => {
                        running.phase = Phase::Doomed {
                            reason: None,
                            for_good: false,
                        };
                        actions.push(Action::Kill(role));
                        return;
                    }
                    Phase::Stopping { .. } | Phase::Ending { .. } | Phase::Doomed { .. } => return,
                },
            }
        }
        if !self.finished {
            self.finished = true;
            actions.push(Action::Finish);
        }
    }
}
