//! `cargo xtask fuzz`: runs the fuzz targets, which need the nightly compiler. What they found interesting is kept in
//! `tests/fuzz/corpus`, so that the next run goes on from there.

use crate::run::{cargo, run, workspace};
use crate::setup::on_path;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

const VERSION: &str = "0.13.2";

/// Bytes of one input: more than any bound that a target could meet would only slow it down.
const INPUT_BYTES: u32 = 64 * 1024;
/// Seconds for one input: everything that is fuzzed answers in milliseconds.
const INPUT_SECONDS: u32 = 10;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Seconds for each target
    #[arg(long, default_value_t = 3600)]
    seconds: u32,
    /// Targets; all of them when none is named
    targets: Vec<String>,
}

pub(crate) fn run_fuzz(options: &Options) -> Result<()> {
    if !has_nightly() {
        bail!("fuzzing needs the nightly compiler: rustup toolchain install nightly");
    }
    fuzz(&options.targets, options.seconds)
}

/// Every target for some seconds. On a machine without the nightly compiler it says so.
pub(crate) fn run_briefly(seconds: u32) -> Result<()> {
    if !has_nightly() {
        println!("skipped: there is no nightly compiler here");
        return Ok(());
    }
    fuzz(&[], seconds)
}

fn has_nightly() -> bool {
    on_path("rustup")
        && Command::new("rustup")
            .args(["run", "nightly", "cargo", "--version"])
            .output()
            .is_ok_and(|output| output.status.success())
}

fn fuzz(wanted: &[String], seconds: u32) -> Result<()> {
    let tools = tools()?;
    let mut targets = wanted.to_vec();
    if targets.is_empty() {
        targets = known()?;
    }
    for target in &targets {
        println!("fuzzing {target} for {seconds} s");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(
            [tools.clone()]
                .into_iter()
                .chain(std::env::split_paths(&path)),
        )?;
        let corpus = format!("tests/fuzz/corpus/{target}");
        let seeds = format!("tests/fuzz/seeds/{target}");
        std::fs::create_dir_all(workspace().join(&corpus))?;
        let folders = [corpus, seeds];
        // New inputs are written to the first folder alone.
        let folders = folders
            .iter()
            .filter(|folder| workspace().join(folder).is_dir());
        run(Command::new("rustup")
            .current_dir(workspace())
            .args([
                "run",
                "nightly",
                "cargo",
                "fuzz",
                "run",
                "--fuzz-dir",
                "tests/fuzz",
            ])
            // Debug assertions and overflow checks stay on.
            .args(["--dev", target])
            .args(folders)
            .arg("--")
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={INPUT_BYTES}"))
            .arg(format!("-timeout={INPUT_SECONDS}"))
            .args(["-print_funcs=0", "-print_pcs=0", "-verbosity=0"])
            .env("PATH", path)
            .env_remove("RUSTUP_TOOLCHAIN"))?;
    }
    Ok(())
}

/// One file, one target.
fn known() -> Result<Vec<String>> {
    let folder = workspace().join("tests/fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            targets.push(name.to_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// The folder with `cargo-fuzz`, installed when it is missing.
fn tools() -> Result<PathBuf> {
    let tools = workspace().join("target/tools");
    if !on_path("cargo-fuzz") && !tools.join("bin/cargo-fuzz").exists() {
        println!("installing cargo-fuzz {VERSION} into {}", tools.display());
        run(cargo()
            .args(["install", "--quiet", "--locked", "--profile", "dev"])
            .args(["cargo-fuzz", "--version", VERSION])
            .arg("--root")
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build")))?;
    }
    Ok(tools.join("bin"))
}
