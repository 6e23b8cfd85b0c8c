//! Times that the kernel counts from the boot on, as the clock on the wall had them.

use rustix::time::{ClockId, clock_gettime};

/// Seconds since the Unix epoch of a time that the kernel counts in nanoseconds since boot, sleep included.
pub fn since_epoch(since_boot: u64) -> i64 {
    const SECOND: i128 = 1_000_000_000;
    let now = |clock| {
        let time = clock_gettime(clock);
        i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec)
    };
    let boot = now(ClockId::Realtime) - now(ClockId::Boottime);
    i64::try_from((boot + i128::from(since_boot)).div_euclid(SECOND)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_was_before_now() {
        let boot = since_epoch(0);
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        assert!(boot <= now);
        assert!((since_epoch(5_000_000_000) - boot - 5).abs() <= 1);
    }
}
