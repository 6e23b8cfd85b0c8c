//! The place where probes run, and the outside view of one.

use crate::probe::{MARK, Setup};
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use sandbox::status::ProcessStatus;
use sandbox::{Identity, Mode, WorkerArguments};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A user id that nobody has.
pub const UID: u32 = 61_999;

const BPFFS: [&str; 2] = ["run/fs", "elsewhere-fs"];

/// Directories of one run, in a mount namespace of this process's own, so that nothing is left when it ends.
pub struct Place {
    root: tempfile::TempDir,
}

impl Place {
    pub fn prepare() -> Self {
        crate::raw::unshare_mounts().expect("a mount namespace");
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )
        .expect("private mounts");
        let root = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
        let place = Self { root };
        for directory in [
            "run",
            "run/fs",
            "elsewhere-fs",
            "state",
            "cache",
            "elsewhere",
        ] {
            std::fs::create_dir(place.path(directory)).expect("mkdir");
        }
        for directory in BPFFS {
            mount(
                "bpffs",
                place.path(directory),
                "bpf",
                MountFlags::empty(),
                None,
            )
            .expect("bpffs");
        }
        if std::fs::read_dir("/sys/kernel/tracing/events").is_err() {
            mount(
                "tracefs",
                "/sys/kernel/tracing",
                "tracefs",
                MountFlags::empty(),
                None,
            )
            .expect("tracefs");
        }
        // Everything here belongs to the probes and is open to all: only Landlock can be what refuses.
        for directory in ["run/fs", "elsewhere-fs", "state", "cache", "elsewhere"] {
            chown(place.path(directory), Some(UID), Some(UID)).expect("chown");
            std::fs::set_permissions(place.path(directory), PermissionsExt::from_mode(0o777))
                .expect("chmod");
        }
        std::fs::write(place.path("elsewhere/open-to-all"), "x").expect("write");
        std::fs::set_permissions(
            place.path("elsewhere/open-to-all"),
            PermissionsExt::from_mode(0o666),
        )
        .expect("chmod");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn arguments(&self, role: Role, helper: Option<HelperKind>) -> WorkerArguments {
        let uid = if helper == Some(HelperKind::PerfEvent) {
            0
        } else {
            UID
        };
        WorkerArguments {
            role,
            helper,
            identity: Identity {
                uid,
                gid: uid,
                groups: vec![UID + 1],
            },
            client_gid: None,
            generation: 1,
            mode: Mode::Enforce,
            runtime_dir: self.path("run"),
            state_dir: self.path("state"),
            cache_dir: self.path("cache"),
            log: "info".into(),
            kubelet_dir: None,
            read: Vec::new(),
        }
    }

    /// Every role, with the loader twice: as its own user and as root without root's capabilities.
    pub fn roles(&self) -> Vec<WorkerArguments> {
        let mut root_loader = self.arguments(Role::Loader, None);
        root_loader.identity = Identity {
            uid: 0,
            gid: 0,
            groups: vec![],
        };
        vec![
            self.arguments(Role::Supervisor, None),
            self.arguments(Role::Loader, None),
            root_loader,
            self.arguments(Role::Image, None),
            self.arguments(Role::Api, None),
            self.arguments(Role::Helper, Some(HelperKind::PerfEvent)),
            self.arguments(Role::Helper, Some(HelperKind::ChangeGroup)),
            self.arguments(Role::Helper, Some(HelperKind::NetworkNamespace)),
            self.arguments(Role::Helper, Some(HelperKind::OpenPath)),
            self.arguments(Role::Helper, Some(HelperKind::DescribeXdp)),
            self.arguments(Role::Helper, Some(HelperKind::OpenInContainer)),
            self.arguments(Role::Helper, Some(HelperKind::MountVolume)),
            self.arguments(Role::Helper, Some(HelperKind::Libxdp)),
        ]
    }

    /// A probe that has entered.
    pub fn enter(&self, arguments: &WorkerArguments) -> Probe {
        self.start(arguments, &Setup::default())
    }

    /// A probe that has entered after a special set-up.
    pub fn start(&self, arguments: &WorkerArguments, setup: &Setup) -> Probe {
        let mut probe = Probe::spawn(arguments, setup);
        let line = probe.line();
        assert_eq!(
            line,
            "entered",
            "{:?}: {}",
            arguments.role,
            probe.end().stderr
        );
        probe
    }

    /// The error of a probe that must not get in.
    pub fn refused(&self, arguments: &WorkerArguments, setup: &Setup) -> String {
        let mut probe = Probe::spawn(arguments, setup);
        let line = probe.line();
        line.strip_prefix("refused: ")
            .unwrap_or_else(|| panic!("not refused: {line:?}"))
            .to_owned()
    }
}

/// Directories with something mounted on them cannot be removed, not even from the namespace that does not see it.
impl Drop for Place {
    fn drop(&mut self) {
        for directory in BPFFS {
            unmount(self.path(directory), UnmountFlags::DETACH).expect("mounted by `prepare`");
        }
    }
}

/// A process in (or on its way into) a sandbox.
pub struct Probe {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

/// How a probe ended.
#[derive(Debug)]
pub struct End {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stderr: String,
}

impl Probe {
    pub fn spawn(arguments: &WorkerArguments, setup: &Setup) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the test starts itself again, as the spawner would a worker"
        )]
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .arg(MARK)
            .args(setup.to_arguments())
            .args(arguments.to_argv())
            .env_clear()
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdout }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the probe writes; empty when it ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a pipe");
        line.trim_end().to_owned()
    }

    /// What the probe says to an act: `ok`, an error, or nothing when it died of it.
    pub fn act(&mut self, act: &str) -> String {
        self.tell(act);
        self.line()
    }

    /// Tells the probe to do something without waiting for it.
    pub fn tell(&mut self, act: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{act}").expect("the probe lives");
    }

    /// Lets the probe end.
    pub fn end(mut self) -> End {
        drop(self.child.stdin.take());
        let mut stderr = String::new();
        self.child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut stderr)
            .expect("UTF-8");
        let status = self.child.wait().expect("a child");
        End {
            code: status.code(),
            signal: status.signal(),
            stderr,
        }
    }

    /// What /proc says about every task.
    pub fn statuses(&self) -> Vec<ProcessStatus> {
        std::fs::read_dir(format!("/proc/{}/task", self.pid()))
            .expect("alive")
            .map(|task| {
                let text = std::fs::read_to_string(task.expect("an entry").path().join("status"))
                    .expect("a status");
                ProcessStatus::parse(&text).expect("a kernel that this test knows")
            })
            .collect()
    }

    /// Open descriptors, ascending.
    pub fn descriptors(&self) -> Vec<i32> {
        let mut descriptors: Vec<i32> = std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("alive")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_str()
                    .expect("a number")
                    .parse()
                    .expect("a number")
            })
            .collect();
        descriptors.sort_unstable();
        descriptors
    }

    pub fn kill(mut self) {
        self.child.kill().expect("own child");
        self.child.wait().expect("own child");
    }
}
