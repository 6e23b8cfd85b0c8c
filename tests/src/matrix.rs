//! What tests have seen of the kinds of program on this kernel: rows of the table in docs/kinds.md, with which
//! `cargo xtask test` compares them.

use ipc::messages::program::ProgramKind;
use std::fmt::Display;
use std::io::Write;

/// Says what was seen of a kind. To be called where it was seen, not before.
pub fn saw(kind: impl Display, outcome: &str) {
    // The thread has the name of the test.
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default();
    let test = name.rsplit("::").next().unwrap_or(name);
    let kinds = ProgramKind::ALL.map(ProgramKind::name).join(" ");
    let outcome = outcome.replace('|', "/");
    // Past the test harness, as `skip` does, and in lines of their own.
    let lines = format!("\nmatrix of kinds: {kinds}\nmatrix: {kind} | {outcome} | {test}\n");
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

/// Says how a kind was refused, in the words of bpfman: where, and what was found missing.
#[track_caller]
pub fn saw_refused(kind: impl Display, refused: &str) {
    let said = refused
        .lines()
        .find_map(|line| line.split_once("error: "))
        .map(|(_, said)| said.split("; ").next().unwrap_or(said));
    let (stage, cause) = said
        .and_then(|said| said.split_once(": "))
        .expect("a refusal names its stage and its cause");
    // Which program it was does not matter.
    let cause = cause.find("this kernel").map_or(cause, |at| &cause[at..]);
    saw(kind, &format!("unsupported at {stage}: {cause}"));
}
