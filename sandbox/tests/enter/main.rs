//! The sandbox as the kernel enforces it: processes enter each profile, are looked at from outside, and try what they must
//! not do.
//!
//! A sandbox binds one thread and cannot be left, so each try needs a process of its own: this program starts itself again
//! as [`probe`]. That is why it has no test harness: libtest runs tests in threads.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, though without the attribute by which clippy knows one"
)]

mod acts;
mod cases;
mod harness;
mod helper_cases;
mod probe;
mod raw;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == probe::MARK) {
        return probe::main(&arguments[1..]);
    }
    if arguments.iter().any(|argument| argument == "--list") {
        cases::ALL
            .iter()
            .for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!(
            "skipped: entering a sandbox drops root's privileges, and this is not root; run the tests as root"
        );
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&str> = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    run(&filters)
}

fn run(filters: &[&str]) -> ExitCode {
    let place = harness::Place::prepare();
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
            continue;
        }
        // The panic message is printed by the hook; the next case runs all the same.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&place)));
        println!(
            "test {name} ... {}",
            if outcome.is_ok() { "ok" } else { "FAILED" }
        );
        failed += u32::from(outcome.is_err());
    }
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
