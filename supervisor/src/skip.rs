//! Tests that cannot run here say so where it is seen: in the line that `cargo xtask test` counts, written past the test
//! harness, which swallows what passing tests print. Also part of `tests/tree.rs`.

use std::io::Write;

/// Says why a test does not apply.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!(
        "skipped: {}: {reason}\n",
        thread.name().unwrap_or("a test without a name")
    );
    // In one piece, among the lines of tests that run beside it. Nobody reading is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Whether a test that only root can run may go on.
pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip("only root can do what it tests; run the tests as root");
    }
    is_root
}
