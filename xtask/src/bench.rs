//! `cargo xtask bench`: measures a release build and writes docs/benchmarks.md.

use crate::artifacts::{Profile, build_all, build_programs};
use crate::run::{capture, workspace};
use crate::setup;
use crate::vm::{self, Clock, Series};
use anyhow::{Context, Result, bail};
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
150 ms; a fused chain costs a packet no more instructions than one of freplace; a load from a verified image in the cache
under 20 ms over one from a file; a list of 1,000 programs over gRPC under 20 ms for 99 of 100; the 99th of 100 answers to
199 clients at most twice as late when a hostile one is there.
";

pub(crate) fn run(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the benchmark loads programs into the kernel: run as root");
    }
    setup::ensure()?;
    let artifacts = build_programs(Profile::Release)?;
    println!("measuring (about a minute) ...");
    let measured = capture(Command::new(artifacts.program("bench")?).env("TMPDIR", "/tmp"))?;
    let emulated = emulated()?;
    let report = format!(
        "# Benchmarks\n\nMade by `cargo xtask bench` from one run of a release build; do not edit.\n\n{}\n{BARS}\n{measured}\n{emulated}",
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

/// What a packet costs where the kernel has freplace, too: in an emulated machine, where instructions can be counted and
/// time means little.
fn emulated() -> Result<String> {
    let artifacts = build_all(Profile::Dev)?;
    let outcome = vm::boot(
        Series::V6_12,
        &artifacts,
        &["per_packet"],
        Clock::Instructions,
    )?;
    if outcome.status != 0 {
        bail!("the packets could not be measured in the machine");
    }
    let costs: Vec<(String, f64)> = outcome.console.lines().filter_map(cost).collect();
    let (_, direct) = costs.first().context("nothing was measured")?;
    let mut table = "## Per packet, with freplace\n\nThe same on Linux 6.12 in an emulated machine whose clock counts instructions: \
         those of one packet, from the kernel's\nloop of runs through all members and back, and how many more than where one \
         program is on the hook directly. A fused\nprogram counts packets and verdicts of each member, a dispatcher does not.\n\n\
         | strategy, members | instructions | over direct |\n|---|---|---|\n"
        .to_owned();
    for (what, instructions) in &costs {
        table += &format!("| {what} | {instructions} | {} |\n", instructions - direct);
    }
    Ok(table)
}

/// A line of the test: how programs are called, how many there are, nanoseconds by the machine's clock.
fn cost(line: &str) -> Option<(String, f64)> {
    let (_, measured) = line.split_once("measured: per packet: ")?;
    let (what, nanoseconds) = measured.strip_suffix(" ns")?.rsplit_once(' ')?;
    Some((what.replace(' ', ", "), nanoseconds.parse().ok()?))
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
