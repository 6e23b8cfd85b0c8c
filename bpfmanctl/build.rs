//! Tells `bpfmanctl version` what it was built from. Packages set `BPFMAN_GIT_COMMIT`, `BPFMAN_GIT_BRANCH`,
//! `BPFMAN_GIT_STATE` and `SOURCE_DATE_EPOCH`; a checkout is asked otherwise, and what cannot be found out is "unknown".

#![allow(
    clippy::disallowed_methods,
    reason = "a build script runs where the compiler runs, and is told by the environment"
)]

use std::process::Command;

fn main() {
    let state = || {
        let changes = output("git", &["status", "--porcelain", "--untracked-files=no"])?;
        Some(if changes.is_empty() { "clean" } else { "dirty" }.to_owned())
    };
    tell("BPFMAN_GIT_COMMIT", || {
        output("git", &["rev-parse", "HEAD"])
    });
    tell("BPFMAN_GIT_BRANCH", || {
        output("git", &["rev-parse", "--abbrev-ref", "HEAD"])
    });
    tell("BPFMAN_GIT_STATE", state);
    tell("BPFMAN_BUILD_DATE", build_date);
    tell("BPFMAN_RUST_VERSION", || {
        output(&std::env::var("RUSTC").ok()?, &["--version"])
    });
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    if let Some(git) = output("git", &["rev-parse", "--absolute-git-dir"]) {
        println!("cargo::rerun-if-changed={git}/HEAD");
        println!("cargo::rerun-if-changed={git}/logs/HEAD");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

/// The variable as the environment has it, else as found out.
fn tell(name: &str, find: impl FnOnce() -> Option<String>) {
    let value = variable(name).or_else(find);
    println!(
        "cargo::rustc-env={name}={}",
        value.unwrap_or_else(|| "unknown".to_owned())
    );
    println!("cargo::rerun-if-env-changed={name}");
}

fn build_date() -> Option<String> {
    let given = variable("SOURCE_DATE_EPOCH").map(|seconds| format!("@{seconds}"));
    output(
        "date",
        &[
            "-u",
            "-d",
            given.as_deref().unwrap_or("now"),
            "+%Y-%m-%dT%H:%M:%SZ",
        ],
    )
}

/// An empty variable is none.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
