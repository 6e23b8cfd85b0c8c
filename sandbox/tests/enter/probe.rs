//! The inner process: enters a profile, then does what it is told on standard input and says how it went.

use crate::{acts, raw};
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use sandbox::seccomp::Policy;
use sandbox::{Expectation, Landlock, Profile, WorkerArguments, demand, profiles};
use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::process::ExitCode;

/// First argument of a probe.
pub const MARK: &str = "probe";

/// What is done before the sandbox is entered, beside the usual.
#[derive(Debug, Default)]
pub struct Setup {
    /// Leave a thread behind.
    pub thread: bool,
    /// Do not open descriptor 3.
    pub without_socket: bool,
    /// Make descriptor 3 this file, opened with O_PATH.
    pub descriptor: Option<String>,
    /// Make descriptor 3 a network namespace that nobody is in.
    pub namespace: bool,
    /// Make descriptor 2 this file, to append to.
    pub log: Option<String>,
    /// Demand an ABI that no kernel has.
    pub newest_landlock: bool,
    /// Only start a probe with the same arguments, and wait.
    pub parent: bool,
}

impl Setup {
    pub fn to_arguments(&self) -> [String; 1] {
        [format!(
            "{},{},{},{},{},{},{}",
            self.thread,
            self.without_socket,
            self.newest_landlock,
            self.parent,
            self.namespace,
            self.log.as_deref().unwrap_or_default(),
            self.descriptor.as_deref().unwrap_or_default()
        )]
    }

    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.splitn(7, ',').collect();
        Self {
            thread: parts[0] == "true",
            without_socket: parts[1] == "true",
            newest_landlock: parts[2] == "true",
            parent: parts[3] == "true",
            namespace: parts[4] == "true",
            log: Some(parts[5].to_owned()).filter(|path| !path.is_empty()),
            descriptor: Some(parts[6].to_owned()).filter(|path| !path.is_empty()),
        }
    }
}

pub fn main(arguments: &[OsString]) -> ExitCode {
    let setup = Setup::parse(arguments[0].to_str().expect("written above"));
    let arguments =
        WorkerArguments::parse(arguments[1..].iter().cloned()).expect("written by to_argv");
    if setup.parent {
        return be_parent(&arguments);
    }
    prepare(&setup);
    let profile = profile(&arguments, &setup);
    let report = match sandbox::enter(&profile, arguments.mode) {
        Ok(report) => report,
        Err(error) => {
            say(&format!("refused: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // As the supervisor will.
    let expectation = Expectation::of_worker(&arguments, std::process::id());
    demand(&report, &expectation).expect("the report is what the supervisor demands");
    say("entered");
    let mut line = String::new();
    while std::io::stdin()
        .lock()
        .read_line(&mut line)
        .expect("a pipe")
        > 0
    {
        let (act, argument) = line
            .trim_end()
            .split_once(' ')
            .unwrap_or((line.trim_end(), ""));
        match acts::perform(act, argument) {
            Ok(()) => say("ok"),
            Err(error) => say(&acts::name(&error)),
        }
        line.clear();
    }
    ExitCode::SUCCESS
}

/// Descriptors as the spawner passes them, and some that it should not have left open.
fn prepare(setup: &Setup) {
    if setup.without_socket {
        raw::close_from(3);
    } else if let Some(path) = &setup.descriptor {
        raw::open_path_as(path, 3);
    } else if setup.namespace {
        raw::open_network_namespace_as(3);
    } else {
        raw::open_socket_as(3);
    }
    if !setup.without_socket {
        raw::open_path_as("/etc/passwd", 4);
        raw::open_path_as("/etc", 57);
    }
    if let Some(log) = &setup.log {
        raw::open_log(log);
    }
    if setup.thread {
        std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_secs(60)));
    }
}

fn profile(arguments: &WorkerArguments, setup: &Setup) -> Profile {
    let policy = match (arguments.role, arguments.helper) {
        (Role::Loader, _) => include_str!("../../../loader-worker/sandbox/seccomp.json"),
        (Role::Image, _) => include_str!("../../../image-worker/sandbox/seccomp.json"),
        (Role::Supervisor, _) => include_str!("../../../supervisor/sandbox/seccomp.json"),
        (_, Some(HelperKind::PerfEvent)) => {
            include_str!("../../../loader-worker/sandbox/helper-perf.json")
        }
        (_, Some(HelperKind::ChangeGroup)) => {
            include_str!("../../../loader-worker/sandbox/helper-group.json")
        }
        (_, Some(HelperKind::NetworkNamespace)) => {
            include_str!("../../../loader-worker/sandbox/helper-netns.json")
        }
        (_, Some(HelperKind::OpenPath)) => {
            include_str!("../../../loader-worker/sandbox/helper-open.json")
        }
        (_, Some(HelperKind::DescribeXdp)) => {
            include_str!("../../../loader-worker/sandbox/helper-xdp.json")
        }
        (_, Some(HelperKind::OpenInContainer)) => {
            include_str!("../../../loader-worker/sandbox/helper-container.json")
        }
        (_, Some(HelperKind::MountVolume)) => {
            include_str!("../../../loader-worker/sandbox/helper-mount.json")
        }
        (_, Some(HelperKind::Libxdp)) => {
            include_str!("../../../loader-worker/sandbox/helper-libxdp.json")
        }
        _ => include_str!("../../../api-worker/sandbox/seccomp.json"),
    };
    let mut profile = profiles::profile(
        arguments,
        Policy::parse(policy).expect("a policy of the product"),
    );
    if setup.newest_landlock {
        profile.landlock = Landlock::AtLeast(u8::MAX);
    }
    profile
}

fn be_parent(arguments: &WorkerArguments) -> ExitCode {
    let mut child = crate::harness::Probe::spawn(arguments, &Setup::default());
    assert_eq!(child.line(), "entered");
    // It must not end because its standard input does.
    child.tell("sleep");
    say(&format!("child {}", child.pid()));
    // Until it is killed, or the test ends.
    let _end = std::io::stdin().lock().read_line(&mut String::new());
    child.kill();
    ExitCode::SUCCESS
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").expect("a pipe");
    stdout.flush().expect("a pipe");
}
