//! Tests that need what this kernel does not have say so, visibly.

use std::io::Write;

/// Says why a test does not apply here. `cargo xtask test` counts these lines.
pub fn skip(test: &str, reason: &str) {
    // Written past the test harness, which swallows the output of tests that pass. Nobody reading is no reason to fail.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// Returns from the test when a feature is missing: `let Some(()) = ... else { return };` is hidden here.
#[macro_export]
macro_rules! require {
    ($feature:expr) => {
        if let Err(reason) = $feature {
            // The name of the test is the thread's.
            let thread = std::thread::current();
            $crate::skip::skip(thread.name().unwrap_or(module_path!()), &reason);
            return;
        }
    };
}
