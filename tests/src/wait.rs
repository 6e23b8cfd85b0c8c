//! Waiting for a condition with a bound.

use std::time::{Duration, Instant};

/// How much slower than a machine of its own the kernel under test is.
pub fn slowness() -> u32 {
    if std::env::var_os("BPFMAN_TEST_SLOW").is_some() {
        10
    } else {
        1
    }
}

/// Polls until the condition gives a value; `None` after the bound (stretched under emulation).
pub fn until<T>(bound: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + bound * slowness();
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
