//! Durations of one thing done many times.

use std::time::{Duration, Instant};

/// Measured durations.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Measures one run and passes on what it gave.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = work();
        self.0.push(started.elapsed());
        value
    }

    /// Takes a duration that was measured elsewhere.
    pub(crate) fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Half of the runs were not longer.
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// 99 of 100 runs were not longer; the longest when there were fewer.
    pub(crate) fn p99(&self) -> Duration {
        self.quantile(99)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    fn quantile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

/// Milliseconds with as many digits as mean something.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let value = duration.as_secs_f64() * 1e3;
    if value < 10.0 {
        format!("{value:.3}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let mut samples = Samples::default();
        (1..=100)
            .rev()
            .for_each(|number| samples.push(Duration::from_millis(number)));
        assert_eq!(samples.median(), Duration::from_millis(50));
        assert_eq!(samples.p99(), Duration::from_millis(99));
        let mut one = Samples::default();
        one.push(Duration::from_millis(7));
        assert_eq!(one.p99(), Duration::from_millis(7));
    }
}
