//! One `bpfmand` in temporary directories, its log, and its end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what fails here fails the test that uses it"
)]

use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use sandbox::status::ProcessStatus;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for anything; generous, because machines may be emulated.
const PATIENCE: Duration = Duration::from_secs(30);

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// `supervisor`, or the worker.
    pub(crate) name: String,
    pub(crate) text: String,
}

struct Directories {
    root: tempfile::TempDir,
}

impl Directories {
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        // Not mounted when bpfmand refused to start.
        let _ = rustix::mount::unmount(self.path("run/fs"), UnmountFlags::DETACH);
    }
}

pub(crate) struct Instance {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<Line>,
    directories: Rc<Directories>,
    notify: UnixDatagram,
    pub(crate) begun: Instant,
}

impl Instance {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::launch(Self::directories(), arguments, None)
    }

    /// As a service manager with a socket unit starts it.
    pub(crate) fn start_with_socket(listener: UnixListener) -> Self {
        Self::launch(Self::directories(), &[], Some(listener))
    }

    fn directories() -> Rc<Directories> {
        let root = tempfile::tempdir().unwrap();
        // Workers of other users pass through it.
        std::fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let workers = root.path().join("workers");
        std::fs::create_dir(&workers).unwrap();
        for name in ["bpfman-loader", "bpfman-image", "bpfman-api"] {
            symlink(fake_worker(), workers.join(name)).unwrap();
        }
        Rc::new(Directories { root })
    }

    pub(crate) fn start_with_config(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut instance = Self::start(&["--config", file.path().to_str().unwrap()]);
        // It is read before anything else.
        instance.wait_ready();
        instance
    }

    /// Another bpfmand in the same directories.
    pub(crate) fn successor(&self, arguments: &[&str]) -> Self {
        Self::launch(Rc::clone(&self.directories), arguments, None)
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a test starts bpfmand, as a service manager would"
    )]
    fn launch(
        directories: Rc<Directories>,
        arguments: &[&str],
        listener: Option<UnixListener>,
    ) -> Self {
        let path = directories.path("notify");
        let _ = std::fs::remove_file(&path);
        let notify = UnixDatagram::bind(&path).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let bpfmand = env!("CARGO_BIN_EXE_bpfmand");
        let mut command = match listener {
            None => {
                let mut command = Command::new(bpfmand);
                command.stdin(Stdio::null());
                command
            }
            Some(listener) => {
                // The protocol of sd_listen_fds(3): descriptor 3, for this process id.
                let script = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null";
                let mut command = Command::new("sh");
                command
                    .args(["-c", script, bpfmand])
                    .stdin(OwnedFd::from(listener));
                command
            }
        };
        for (flag, name) in [
            ("--runtime-dir", "run"),
            ("--state-dir", "state"),
            ("--image-cache-dir", "cache"),
            ("--worker-dir", "workers"),
        ] {
            if !arguments.contains(&flag) {
                command.arg(flag).arg(directories.path(name));
            }
        }
        let mut child = command
            .args(arguments)
            .env_remove("BPFMAN_CONFIG")
            .env_remove("BPFMAN_LOG")
            .env("NOTIFY_SOCKET", &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
            directories,
            notify,
            begun,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directories.path("run/bpfmanctl.sock")
    }

    pub(crate) fn wait_ready(&mut self) {
        let mut text = [0; 256];
        match self.notify.recv(&mut text) {
            Ok(length) => assert!(
                text[..length].starts_with(b"READY=1"),
                "{:?}",
                &text[..length]
            ),
            Err(error) => panic!("not ready: {error}; log: {:?}", self.raw_now()),
        }
    }

    pub(crate) fn heard_stopping(&self) -> bool {
        let mut text = [0; 256];
        self.notify
            .recv(&mut text)
            .is_ok_and(|length| text[..length].starts_with(b"STOPPING=1"))
    }

    /// Waits for a line; each line satisfies one expectation only.
    pub(crate) fn expect(&mut self, name: &str, text: &str) {
        let matches = |line: &Line| line.name == name && line.text.contains(text);
        if let Some(position) = self.seen.iter().position(matches) {
            self.seen.remove(position);
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline) {
                Some(line) if matches(&line) => return,
                Some(line) => self.seen.push(line),
                None => panic!("{name} did not say `{text}`; log: {:#?}", self.seen),
            }
        }
    }

    /// All lines up to this one.
    pub(crate) fn lines_until(&mut self, name: &str, text: &str) -> Vec<Line> {
        let deadline = Instant::now() + PATIENCE;
        while !self
            .seen
            .iter()
            .any(|line| line.name == name && line.text.contains(text))
        {
            match self.next(deadline) {
                Some(line) => self.seen.push(line),
                None => panic!("{name} did not say `{text}`; log: {:#?}", self.seen),
            }
        }
        self.seen.clone()
    }

    /// Makes sure that a worker does not say something for a while.
    pub(crate) fn expect_silence(&mut self, name: &str, text: &str, duration: Duration) {
        let deadline = Instant::now() + duration;
        while let Some(line) = self.next(deadline) {
            assert!(line.name != name || !line.text.contains(text), "{line:?}");
            self.seen.push(line);
        }
    }

    fn next(&mut self, deadline: Instant) -> Option<Line> {
        let line = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .ok()?;
        Some(parse(&line))
    }

    /// What is still to be read, after the end.
    pub(crate) fn rest(&mut self) -> Vec<Line> {
        self.seen
            .drain(..)
            .chain(self.lines.iter().map(|line| parse(&line)))
            .collect()
    }

    pub(crate) fn raw_rest(&mut self) -> Vec<String> {
        self.lines.iter().collect()
    }

    fn raw_now(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL to a process of this instance.
    pub(crate) fn kill(&self, pid: u32) {
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    }

    pub(crate) fn wait_end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "bpfmand does not end; log: {:#?}",
                self.raw_now()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn spawner(&self) -> u32 {
        let children = children_of(self.pid());
        assert_eq!(children.len(), 1, "the supervisor has one child");
        children[0]
    }

    /// The process id of a worker.
    pub(crate) fn worker(&self, role: &str) -> u32 {
        let setting = format!("role={role}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = children_of(self.spawner()).into_iter().find(|pid| {
                std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                    line.split(|byte| *byte == 0)
                        .any(|argument| argument == setting.as_bytes())
                })
            });
            if let Some(pid) = found {
                return pid;
            }
            assert!(Instant::now() < deadline, "there is no {role}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn status_of(&self, pid: u32) -> ProcessStatus {
        ProcessStatus::parse(&std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap())
            .unwrap()
    }

    pub(crate) fn is_running(&self, pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|text| !text.lines().any(|line| line.starts_with("State:\tZ")))
    }

    pub(crate) fn wait_gone(&self, pid: u32) {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running(pid) {
            assert!(Instant::now() < deadline, "{pid} does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn bpffs_is_mounted(&self) -> bool {
        rustix::fs::statfs(self.directories.path("run/fs"))
            .unwrap()
            .f_type as u32
            == 0xcafe_4a11
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let spawner = children_of(self.pid());
            let _ = self.child.kill();
            let _ = self.child.wait();
            for pid in spawner {
                self.wait_gone(pid);
            }
        }
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// `TIME worker[pid] text`, or a line of bpfmand itself.
fn parse(line: &str) -> Line {
    let mut words = line.splitn(3, ' ');
    let (_time, mark, text) = (
        words.next(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    match mark.split_once('[') {
        Some((name, _)) if mark.ends_with(']') => Line {
            name: name.to_owned(),
            text: text.to_owned(),
        },
        _ => Line {
            name: "supervisor".to_owned(),
            text: line.to_owned(),
        },
    }
}

/// Beside the tests, in `examples`.
fn fake_worker() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples/fake_worker");
    assert!(path.exists(), "{} is built by `cargo test`", path.display());
    path
}
