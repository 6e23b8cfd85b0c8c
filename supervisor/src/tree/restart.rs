//! When a worker that ended is started again. Pure: the caller brings the clock.

use crate::limits::{
    BURST, BURST_WINDOW, FAILURES_BEFORE_HOLD, FIRST_PAUSE, LONGEST_PAUSE, MINIMUM_RUN,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What follows the end of a worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Start it again after this pause.
    RestartAfter(Duration),
    /// It failed too often in a row: leave it.
    Hold,
}

/// The history of one worker, as far as it matters for the next verdict.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Ends without [`MINIMUM_RUN`] of service since the last that had it.
    failures: u32,
    /// The last [`BURST`] ends.
    recent: VecDeque<Instant>,
}

impl History {
    /// A worker ended at `now`, after having served for `served` (zero when it never did).
    pub fn ended(&mut self, now: Instant, served: Duration) -> Verdict {
        self.failures = if served >= MINIMUM_RUN {
            1
        } else {
            self.failures.saturating_add(1)
        };
        if self.recent.len() == BURST {
            self.recent.pop_front();
        }
        self.recent.push_back(now);

        if self.failures > FAILURES_BEFORE_HOLD {
            return Verdict::Hold;
        }
        if self.is_burst(now) {
            return Verdict::RestartAfter(LONGEST_PAUSE);
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16));
        Verdict::RestartAfter(doubled.min(LONGEST_PAUSE))
    }

    fn is_burst(&self, now: Instant) -> bool {
        self.recent.len() == BURST
            && self
                .recent
                .front()
                .is_some_and(|first| now.saturating_duration_since(*first) < BURST_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEALTHY: Duration = MINIMUM_RUN;
    const NEVER: Duration = Duration::ZERO;

    #[test]
    fn a_first_crash_is_repaired_at_once() {
        assert_eq!(
            History::default().ended(Instant::now(), HEALTHY),
            Verdict::RestartAfter(FIRST_PAUSE)
        );
        assert_eq!(
            History::default().ended(Instant::now(), NEVER),
            Verdict::RestartAfter(FIRST_PAUSE)
        );
    }

    #[test]
    fn pauses_double_until_the_worker_is_held() {
        let now = Instant::now();
        let mut history = History::default();
        let mut expected = FIRST_PAUSE;
        for _ in 0..FAILURES_BEFORE_HOLD {
            assert_eq!(
                history.ended(now, NEVER),
                Verdict::RestartAfter(expected.min(LONGEST_PAUSE))
            );
            expected *= 2;
        }
        assert_eq!(history.ended(now, NEVER), Verdict::Hold);
    }

    #[test]
    fn service_wipes_the_slate() {
        let now = Instant::now();
        let mut history = History::default();
        for _ in 0..FAILURES_BEFORE_HOLD {
            history.ended(now, NEVER);
        }
        assert_eq!(
            history.ended(now, HEALTHY),
            Verdict::RestartAfter(FIRST_PAUSE)
        );
        assert_eq!(
            history.ended(now, NEVER),
            Verdict::RestartAfter(FIRST_PAUSE * 2)
        );
    }

    #[test]
    fn a_burst_of_healthy_deaths_is_slowed_down_and_then_forgiven() {
        let start = Instant::now();
        let mut history = History::default();
        for death in 0..BURST as u32 - 1 {
            let now = start + MINIMUM_RUN * death;
            assert_eq!(
                history.ended(now, HEALTHY),
                Verdict::RestartAfter(FIRST_PAUSE)
            );
        }
        let now = start + MINIMUM_RUN * BURST as u32;
        assert_eq!(
            history.ended(now, HEALTHY),
            Verdict::RestartAfter(LONGEST_PAUSE)
        );
        assert_eq!(
            history.ended(now + BURST_WINDOW, HEALTHY),
            Verdict::RestartAfter(FIRST_PAUSE)
        );
    }

    proptest! {
        #[test]
        fn a_worker_that_never_serves_is_held_and_no_pause_is_longer_than_the_longest(
            steps in prop::collection::vec((0u64..20_000, 0u64..300), 1..200)
        ) {
            let mut now = Instant::now();
            let mut history = History::default();
            let mut in_a_row = 0u32;
            for (gap, served) in steps {
                now += Duration::from_millis(gap);
                let served = Duration::from_millis(served);
                in_a_row = if served >= MINIMUM_RUN { 1 } else { in_a_row + 1 };
                match history.ended(now, served) {
                    Verdict::Hold => prop_assert!(in_a_row > FAILURES_BEFORE_HOLD),
                    Verdict::RestartAfter(pause) => {
                        prop_assert!(in_a_row <= FAILURES_BEFORE_HOLD);
                        prop_assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&pause));
                    }
                }
                prop_assert!(history.recent.len() <= BURST);
            }
        }
    }
}
