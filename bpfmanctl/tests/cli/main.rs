//! Whole commands against a service that a test plays.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which the exception in clippy.toml does not see"
)]

#[allow(dead_code, reason = "shared with the unit tests, which use more of it")]
#[path = "../../src/samples.rs"]
mod samples;

mod columns;
mod configuration;
mod conformance;
mod cooperation;
mod failures;
mod grammar;
mod lists;
mod namespaces;
mod netkit;
mod removals;
mod requests;
mod schemas;
mod service;

/// What a command did.
#[derive(Debug)]
struct Outcome {
    code: u8,
    output: String,
    errors: String,
}

/// Runs a command line, words separated by spaces.
fn run(line: &str) -> Outcome {
    run_words(&line.split_whitespace().collect::<Vec<_>>())
}

fn run_words(words: &[&str]) -> Outcome {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut console = bpfmanctl::Console {
        output: &mut output,
        errors: &mut errors,
        width: None,
    };
    let arguments = std::iter::once("/usr/bin/bpfman").chain(words.iter().copied());
    let code = bpfmanctl::run(arguments.map(Into::into), &mut console);
    Outcome {
        code,
        output: String::from_utf8(output).unwrap(),
        errors: String::from_utf8(errors).unwrap(),
    }
}
