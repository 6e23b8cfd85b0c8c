//! `cargo xtask bench`: measures a release build and writes docs/benchmarks.md.

use crate::artifacts::{Profile, build_programs};
use crate::run::{capture, workspace};
use crate::setup;
use anyhow::{Result, bail};
use std::fs;
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only print, leave docs/benchmarks.md as it is
    #[arg(long)]
    dry_run: bool,
}

/// What bpfman has set out to reach; kept beside the numbers, also when they miss it.
const BARS: &str = "\
Bars: over the floor, load under 2 ms and attach under 1 ms; `program list` of ten programs under 5 ms as a whole process;
idle PSS of all processes together under 40 MiB (40960 KiB); start to ready under 300 ms; a killed worker back in under
150 ms.
";

pub(crate) fn run(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark loads programs into the kernel: run as root");
    }
    setup::ensure()?;
    let artifacts = build_programs(Profile::Release)?;
    println!("measuring (about a minute) ...");
    let measured = capture(Command::new(artifacts.program("bench")?).env("TMPDIR", "/tmp"))?;
    let report = format!(
        "# Benchmarks\n\nMade by `cargo xtask bench` from one run of a release build; do not edit.\n\n{}\n{BARS}\n{measured}",
        machine()
    );
    print!("{report}");
    if !options.dry_run {
        let path = workspace().join("docs/benchmarks.md");
        fs::write(&path, &report)?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}

/// Kernel, processors, memory: what numbers depend on.
fn machine() -> String {
    let system = rustix::system::uname();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?
                .split_once(": ")
                .map(|(_, name)| name.to_owned())
        })
        .unwrap_or_else(|| "unknown".to_owned());
    format!(
        "Kernel {} {}, {processors} CPUs ({model}).\n",
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
    )
}
