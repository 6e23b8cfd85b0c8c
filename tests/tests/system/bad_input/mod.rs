//! Bad input of every kind: an error that names stage, cause and remedy, and nothing left in kernel, pins, store, on disk.

mod chains;
mod command_lines;
mod objects;
mod places;
mod users;

use bpfman_tests::ctl::Run;
use bpfman_tests::instance::Instance;
use std::path::Path;

/// Stages of the errors that these tests provoke.
const STAGES: [&str; 12] = [
    "connect", "request", "policy", "object", "compile", "maps", "load", "resolve", "attach",
    "detach", "unload", "query",
];

/// Tries to load a program of an object.
fn load(instance: &Instance, object: &Path, programs: &str) -> Run {
    instance.ctl(&[
        "program",
        "load",
        "file",
        &object.to_string_lossy(),
        "--programs",
        programs,
    ])
}

/// The error is `STAGE: CAUSE; REMEDY`, and all of the words are in it.
#[track_caller]
fn assert_says(error: &str, words: &[&str]) {
    assert!(
        error.lines().any(is_explained),
        "stage, cause or remedy is missing: {error}"
    );
    assert_mentions(error, words);
}

/// Whether a line, behind what it is about, goes on with a stage, a cause and a remedy.
fn is_explained(line: &str) -> bool {
    let mut parts = line.split(": ").skip_while(|part| !STAGES.contains(part));
    let rest: Vec<&str> = parts.by_ref().skip(1).collect();
    rest.join(": ")
        .split_once("; ")
        .is_some_and(|(cause, remedy)| !cause.is_empty() && !remedy.is_empty())
}

/// All of the words are in the error, whatever their case.
#[track_caller]
fn assert_mentions(error: &str, words: &[&str]) {
    let lower = error.to_lowercase();
    for word in words {
        assert!(
            lower.contains(&word.to_lowercase()),
            "no \"{word}\" in: {error}"
        );
    }
}
