//! `cargo deny`: installed when it is missing, into the build folder, so that it is compiled once per machine.

use crate::run::{cargo, run, workspace};
use crate::setup::on_path;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

const VERSION: &str = "0.20.2";

/// Licences, sources and forbidden crates. Advisories need a database that not every network reaches; see deny.toml.
pub(crate) fn check() -> Result<()> {
    let program = program()?;
    run(Command::new(program)
        .current_dir(workspace())
        .args(["check", "bans", "licenses", "sources"]))
}

fn program() -> Result<PathBuf> {
    if on_path("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let tools = workspace().join("target/tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        println!("installing cargo-deny {VERSION} into {}", tools.display());
        // Unoptimized: it is compiled far longer than it runs.
        run(cargo()
            .args([
                "install",
                "--quiet",
                "--locked",
                "--no-default-features",
                "--profile",
                "dev",
            ])
            .args(["cargo-deny", "--version", VERSION])
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build")))?;
    }
    Ok(program)
}
