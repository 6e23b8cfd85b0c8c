//! When to ask again.

use crate::limits::{RETRY_PAUSES, RETRY_TIME};
use std::time::{Duration, Instant};

/// The pauses of one request.
pub(crate) struct Retry {
    started: Instant,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Retry {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            pauses: RETRY_PAUSES.iter(),
        }
    }

    /// Waits before the next attempt; false when there should be none.
    pub(crate) fn pause(&mut self) -> bool {
        let Some(pause) = self.next(self.started.elapsed()) else {
            return false;
        };
        std::thread::sleep(pause);
        true
    }

    fn next(&mut self, elapsed: Duration) -> Option<Duration> {
        let pause = *self.pauses.next()?;
        (elapsed + pause <= RETRY_TIME).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_within_the_time_that_a_user_waits() {
        assert!(RETRY_PAUSES.iter().sum::<Duration>() < RETRY_TIME);
        let mut retry = Retry::new();
        let mut elapsed = Duration::ZERO;
        while let Some(pause) = retry.next(elapsed) {
            elapsed += pause;
        }
        assert_eq!(elapsed, RETRY_PAUSES.iter().sum());
    }

    #[test]
    fn a_slow_answer_is_not_waited_for_twice() {
        assert_eq!(Retry::new().next(RETRY_TIME), None);
    }
}
