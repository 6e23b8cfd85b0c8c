//! `cargo xtask test`: every tier, cheapest first, and one line with the sum at the end.

use crate::artifacts::{Artifacts, Profile, build_all};
use crate::matrix::{Column, Matrix};
use crate::run::{cargo, run, workspace};
use crate::vm::{self, Clock, Series};
use crate::{deny, fuzz, package, setup};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Seconds for each fuzz target: what is found in that time is what a change broke; `cargo xtask fuzz` looks for longer.
const FUZZ_SECONDS: u32 = 20;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave the virtual machines out
    #[arg(long)]
    no_vm: bool,
}

pub(crate) fn run_all(options: &Options) -> Result<()> {
    let mut session = Session {
        counts: Counts::default(),
        broken: Vec::new(),
        started: Instant::now(),
    };
    session.tier("what the machine lacks", |_| setup::run());
    session.tier("formatting", |_| {
        run(cargo().args(["fmt", "--all", "--check"]))
    });
    session.tier("lints", |_| {
        run(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]))
    });
    session.tier("licences, sources, duplicates", |_| deny::check());
    let mut built = None;
    session.tier("build", |_| {
        built = Some(build_all(Profile::Dev)?);
        Ok(())
    });
    if let Some(artifacts) = built {
        session.tier("unit and property tests", |counts| {
            unit_tests(&artifacts, counts)
        });
        session.tier("packages", |_| packages(&artifacts));
        let mut matrix = Matrix::default();
        session.tier("system tests on this kernel", |counts| {
            system_tests(&artifacts, &[], counts, &mut matrix)
        });
        session.tier("fuzz targets", |_| fuzz::run_briefly(FUZZ_SECONDS));
        if !options.no_vm {
            session.tier("system tests on Linux 6.12 and 6.1", |counts| {
                virtual_machines(&artifacts, &[], counts, &mut matrix)
            });
        }
        session.tier("table of kinds in docs/kinds.md", |_| matrix.check());
    }
    session.finish()
}

/// Tests by how they ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Counts {
    passed: i32,
    failed: i32,
    skipped: i32,
    /// Names of tests that said that they do not apply, each perhaps for several reasons.
    said: BTreeSet<String>,
}

impl Counts {
    /// Takes in a line of a test executable.
    fn note(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            let number = |what: &str| -> i32 {
                result
                    .split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed += number("failed");
            self.skipped += number("ignored");
        } else if let Some((_, said)) = line.split_once("skipped: ") {
            // To the test harness, a test that found that it does not apply has passed. The line may stand behind the
            // harness's own "test name ... ".
            let name = said.split(": ").next().unwrap_or(said);
            if self.said.insert(name.to_owned()) {
                self.skipped += 1;
                self.passed -= 1;
            }
        }
    }

    fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// What has happened so far.
struct Session {
    counts: Counts,
    broken: Vec<String>,
    started: Instant,
}

impl Session {
    /// One tier: a heading, its work, its time. A tier that fails does not keep the next from running.
    fn tier(&mut self, name: &str, work: impl FnOnce(&mut Counts) -> Result<()>) {
        println!("\n=== {name}");
        let started = Instant::now();
        let mut counts = Counts::default();
        let result = work(&mut counts);
        self.counts.add(counts);
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(()) => println!("--- {name}: good ({seconds:.1} s)"),
            Err(error) => {
                println!("--- {name}: FAILED ({seconds:.1} s): {error:#}");
                self.broken.push(name.to_owned());
            }
        }
    }

    fn finish(self) -> Result<()> {
        let Counts {
            passed,
            failed,
            skipped,
            said: _,
        } = self.counts;
        println!();
        for name in &self.broken {
            println!("tier that failed: {name}");
        }
        println!("{:.0} s in all", self.started.elapsed().as_secs_f64());
        println!("{passed} passed, {failed} failed, {skipped} skipped");
        if !self.broken.is_empty() || failed > 0 {
            bail!("not everything passed");
        }
        Ok(())
    }
}

fn unit_tests(artifacts: &Artifacts, counts: &mut Counts) -> Result<()> {
    let mut broken = Vec::new();
    for test in &artifacts.unit_tests {
        let mut command = Command::new(&test.executable);
        // As cargo starts them: some read test data of their crate.
        command
            .current_dir(&test.folder)
            .env("CARGO_MANIFEST_DIR", &test.folder);
        // Between fork and exec a child that another test starts holds every descriptor of the process: a link that is
        // closed meanwhile stays on its hook for a moment more.
        if test.folder.ends_with("loader-worker") {
            command.arg("--test-threads=1");
        }
        if !run_tests(&mut command, &mut |line| counts.note(line))? {
            broken.push(name(&test.executable));
        }
    }
    let mut documentation = cargo();
    documentation.args(["test", "--workspace", "--doc", "--quiet"]);
    if !run_tests(&mut documentation, &mut |line| counts.note(line))? {
        broken.push("documentation".to_owned());
    }
    verdict(&broken)
}

/// Where the packages lie that the system tests install.
fn packages_folder() -> PathBuf {
    workspace().join("target/packages/test")
}

/// Two Debian packages of the same programs, to upgrade from one to the other; a container image.
fn packages(artifacts: &Artifacts) -> Result<()> {
    let folder = packages_folder();
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    for version in ["0.0.1~older", "0.0.1"] {
        // Time matters here, size does not.
        package::deb::build(artifacts, version, &folder, "none")?;
    }
    package::container::build(artifacts, &folder.join("image"))
}

/// The tests that say what they saw of a kind, on this kernel and in the virtual machines.
pub(crate) fn look_at_kinds(artifacts: &Artifacts, matrix: &mut Matrix) -> Result<()> {
    let mut counts = Counts::default();
    system_tests(artifacts, &REPORTING, &mut counts, matrix)?;
    virtual_machines(artifacts, &REPORTING, &mut counts, matrix)
}

/// Beginnings of the names of those tests.
const REPORTING: [&str; 4] = [
    "kernel_",
    "main_job::",
    "chains::",
    "a_kernel_without_tcx_says_so",
];

/// Those whose names contain one of the words; all when there is none.
fn system_tests(
    artifacts: &Artifacts,
    filters: &[&str],
    counts: &mut Counts,
    matrix: &mut Matrix,
) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("system tests load programs into the kernel: run as root");
    }
    let own = Column::own();
    own.into_iter().for_each(|column| matrix.ran(column));
    let mut broken = Vec::new();
    for test in &artifacts.system_tests {
        if !run_tests(
            Command::new(test)
                .arg("--test-threads=1")
                .args(filters)
                .env("BPFMAN_PACKAGES", packages_folder()),
            &mut |line| {
                counts.note(line);
                if let Some(column) = own {
                    matrix.note(column, line);
                }
            },
        )? {
            broken.push(name(test));
        }
    }
    verdict(&broken)
}

/// Both machines at once: the tests in each run one after the other and leave a processor idle most of the time.
fn virtual_machines(
    artifacts: &Artifacts,
    filters: &[&str],
    counts: &mut Counts,
    matrix: &mut Matrix,
) -> Result<()> {
    let both = [Series::V6_12, Series::V6_1];
    for series in both {
        vm::prepare(series)?;
        matrix.ran(series.into());
    }
    let outcomes = std::thread::scope(|scope| {
        both.map(|series| {
            (
                series,
                scope.spawn(move || vm::boot(series, artifacts, filters, Clock::Time)),
            )
        })
        .map(|(series, machine)| (series, machine.join()))
    });
    let mut broken = Vec::new();
    for (series, outcome) in outcomes {
        let name = series.name();
        match outcome {
            Ok(Ok(outcome)) => {
                // Of its own: a test that does not apply says so in each machine.
                let mut said = Counts::default();
                for line in outcome.console.lines() {
                    said.note(line);
                    matrix.note(series.into(), line);
                }
                counts.add(said);
                if outcome.status != 0 {
                    broken.push(format!("{name}: exit status {}", outcome.status));
                }
            }
            Ok(Err(error)) => broken.push(format!("{name}: {error:#}")),
            Err(_) => broken.push(format!("{name}: the test command panicked")),
        }
    }
    verdict(&broken)
}

/// Runs one executable, showing what it prints; whether it succeeded.
fn run_tests(command: &mut Command, note: &mut dyn FnMut(&str)) -> Result<bool> {
    let (reader, writer) = std::io::pipe().context("a pipe")?;
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    // The command holds its own copies of the pipe's end; while they are open the reader never sees an end.
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    for line in BufReader::new(reader).lines() {
        let line = line?;
        println!("{line}");
        note(&line);
    }
    Ok(child.wait()?.success())
}

fn verdict(broken: &[String]) -> Result<()> {
    if broken.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", broken.join(", "))
}

fn name(executable: &Path) -> String {
    executable
        .strip_prefix(workspace())
        .unwrap_or(executable)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut counts = Counts::default();
        counts.note("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        counts
            .note("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        counts.note("test a_test ... ok");
        assert_eq!(
            counts,
            Counts {
                passed: 15,
                failed: 2,
                skipped: 1,
                said: BTreeSet::new(),
            }
        );
    }

    #[test]
    fn a_test_that_does_not_apply_is_skipped_not_passed() {
        let mut counts = Counts::default();
        counts.note("test order::lower_priorities ... skipped: order::lower_priorities: Linux 6.1 has no tcx");
        counts.note("skipped: order::lower_priorities: for another reason");
        counts.note("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured");
        assert_eq!((counts.passed, counts.failed, counts.skipped), (4, 0, 1));
    }
}
