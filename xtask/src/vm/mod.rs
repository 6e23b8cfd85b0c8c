//! `cargo xtask vm`: the system tests on Debian's kernels, in a machine emulated in software.

mod cpio;
mod image;
mod kernel;

use crate::artifacts::{Artifacts, Profile, build_all};
use crate::setup;
use anyhow::{Context, Result, bail};
pub(crate) use kernel::Series;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A whole run of the system tests under emulation takes a quarter of an hour, longer where two share the processors; a machine
/// that hangs must not hang the test command.
const DEADLINE: Duration = Duration::from_secs(45 * 60);

/// What the machine prints last.
const END: &str = "vm: exit status ";

/// What a machine's clock counts.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Clock {
    /// Time, as far as an emulator keeps up with it.
    Time,
    /// Instructions, one nanosecond for each: the same in every run, whatever else this machine does, and free of what the
    /// emulator itself finds hard.
    Instructions,
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernel series
    #[arg(long, value_enum)]
    kernel: Series,
    /// Only tests whose name contains this
    #[arg(long)]
    run: Option<String>,

    /// What the machine's clock counts
    #[arg(long, value_enum, default_value = "time")]
    clock: Clock,

    /// Run this executable instead of the system tests, to look at what a kernel does
    #[arg(long, value_name = "FILE")]
    executable: Option<PathBuf>,
}

/// What a machine said.
pub(crate) struct Outcome {
    /// Everything on its console.
    pub(crate) console: String,
    /// Exit status of the tests.
    pub(crate) status: i32,
    /// From power on to the first line of its init.
    pub(crate) boot: Option<Duration>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    let artifacts = match &options.executable {
        Some(file) => Artifacts {
            system_tests: vec![file.clone()],
            ..Artifacts::default()
        },
        None => build_all(Profile::Dev)?,
    };
    let outcome = boot(
        options.kernel,
        &artifacts,
        options.run.as_deref().as_slice(),
        options.clock,
    )?;
    if outcome.status != 0 {
        bail!(
            "the system tests ended with status {} on {}",
            outcome.status,
            options.kernel.name()
        );
    }
    Ok(())
}

/// Modules of the system tests that tell nothing new on another kernel: what workers do with bytes from outside. They run on
/// this machine's, where it takes a tenth of the time, and in a machine when they are asked for by name.
const WHATEVER_THE_KERNEL: [&str; 9] = [
    "bad_input::command_lines::",
    "bad_input::objects::",
    "configuration::",
    "frames::",
    "grpc::bounds::",
    "grpc::crowd::",
    "grpc::given_up::",
    "grpc::health::",
    "grpc::waiting::",
];

/// Fetches the kernel of a series when it is not there yet: before machines are started side by side, because apt-get runs
/// one at a time.
pub(crate) fn prepare(series: Series) -> Result<()> {
    kernel::fetch(series).map(drop)
}

/// Boots a kernel of the series with the programs and system tests, runs them, and powers off.
pub(crate) fn boot(
    series: Series,
    artifacts: &Artifacts,
    filters: &[&str],
    clock: Clock,
) -> Result<Outcome> {
    if artifacts.system_tests.is_empty() {
        bail!("no system test was built");
    }
    let kernel = kernel::fetch(series)?;
    let programs: Vec<_> = artifacts
        .programs
        .iter()
        .filter(|program| {
            program
                .file_name()
                .is_some_and(|name| name != "xtask" && name != "bench")
        })
        .cloned()
        .collect();
    let mut arguments = vec!["--test-threads=1".to_owned()];
    arguments.extend(filters.iter().copied().map(str::to_owned));
    if filters.is_empty() {
        let skipped = WHATEVER_THE_KERNEL.map(|module| format!("--skip={module}"));
        arguments.extend(skipped);
    }
    let mut tests: Vec<_> = artifacts
        .system_tests
        .iter()
        .map(|test| (test.clone(), arguments.clone()))
        .collect();
    // What the loader does where the kernel lets a program replace a function of another.
    if let (Some(engine), []) = (artifacts.unit_test("engine"), filters) {
        let filters = [
            "chains::",
            "guests::",
            "sequences::",
            "unloads::an_unload_that_fails",
        ];
        let arguments = ["--test-threads=1"].into_iter().chain(filters);
        let arguments: Vec<String> = arguments.map(str::to_owned).collect();
        tests.push((engine.to_owned(), arguments));
    }
    let initramfs = tempfile::Builder::new()
        .prefix("bpfman-vm-")
        .suffix(".cpio")
        .tempfile()?;
    image::write(
        initramfs.path(),
        &kernel,
        &image::Content {
            programs: &programs,
            tests: &tests,
        },
    )?;
    let size = initramfs.as_file().metadata()?.len() / (1024 * 1024);
    println!("booting {} with an initramfs of {size} MiB", kernel.release);
    let machine = Machine::start(series, clock, &kernel.image, initramfs.path())?;
    machine.watch()
}

/// A running emulator; ended when dropped.
struct Machine {
    series: Series,
    emulator: Child,
    started: Instant,
}

impl Machine {
    fn start(series: Series, clock: Clock, image: &Path, initramfs: &Path) -> Result<Self> {
        let processors: &[&str] = match clock {
            Clock::Time => &["-accel", "tcg,thread=multi", "-smp", "2"],
            // Instructions are counted on one processor only.
            Clock::Instructions => &[
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
            ],
        };
        let started = Instant::now();
        let emulator = Command::new("qemu-system-x86_64")
            .args(processors)
            .args(["-cpu", "max", "-m", "2G"])
            .args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(image)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", "console=ttyS0 quiet panic=-1 random.trust_cpu=on mitigations=off lsm=landlock,lockdown,yama,bpf"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start qemu-system-x86_64; run `cargo xtask setup`")?;
        Ok(Self {
            series,
            emulator,
            started,
        })
    }

    /// Copies the console to standard output until the machine is off. Lines carry the series: two machines may run at once.
    fn watch(mut self) -> Result<Outcome> {
        let console = self
            .emulator
            .stdout
            .take()
            .context("the emulator has no console")?;
        let lines = read_lines(console);
        let name = self.series.name();
        let mut outcome = Outcome {
            console: String::new(),
            status: -1,
            boot: None,
        };
        let mut ended = false;
        loop {
            let left = DEADLINE.saturating_sub(self.started.elapsed());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    println!("[{name}] {line}");
                    if outcome.boot.is_none() && line.starts_with("vm: ") {
                        outcome.boot = Some(self.started.elapsed());
                    }
                    if let Some(status) = line.strip_prefix(END) {
                        outcome.status = status.trim().parse().unwrap_or(-1);
                        ended = true;
                    }
                    outcome.console.push_str(&line);
                    outcome.console.push('\n');
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the machine did not end within {} s", DEADLINE.as_secs())
                }
            }
        }
        if !ended {
            bail!("the machine ended without a result (kernel panic or initramfs failure above)");
        }
        let boot = outcome.boot.unwrap_or_default();
        println!(
            "[{name}] machine: {:.1} s from power on to init, {:.1} s in all",
            boot.as_secs_f64(),
            self.started.elapsed().as_secs_f64()
        );
        std::io::stdout().flush()?;
        Ok(outcome)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Already gone is what is wanted.
        let _ = self.emulator.kill();
        let _ = self.emulator.wait();
    }
}

/// Lines as they come, without the carriage returns of a serial console.
fn read_lines(console: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(console);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\r', '\n'])
                .to_owned();
            bytes.clear();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
