//! A Python of its own in `target/`, with the libraries of the client that the tests of the gRPC interface drive.

use crate::run::{run, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// Makes it, unless it is there with the libraries that are named now.
pub(crate) fn ensure() -> Result<()> {
    let wanted = workspace().join("tests/clients/python/requirements.txt");
    let folder = workspace().join("target/python");
    // Copied when all is there.
    let installed = folder.join("installed.txt");
    let requirements = fs::read(&wanted).context("the list of Python libraries")?;
    if fs::read(&installed).is_ok_and(|there| there == requirements) {
        return Ok(());
    }
    println!("installing with pip: what {} lists", wanted.display());
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:", "--requirement"])
        .arg(&wanted))?;
    fs::write(&installed, requirements).context("the Python in target/")
}
