//! A whole bpfman: `bpfmand` with its workers, in directories and a network namespace of its own.

use crate::binaries::program;
use crate::ctl::{Run, ctl, ctl_as};
use crate::netns::Netns;
use crate::{process, wait};
use ipc::blocking::Link;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::supervision::{ProcessState, ProcessStatus};
use ipc::role::Role;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File};
use std::io::PipeReader;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Generous: what must be quick is measured by `cargo xtask bench`.
const START_BOUND: Duration = Duration::from_secs(10);

/// A connection of a client.
pub type Client = Link<ClientReply, ClientRequest>;

/// A running service.
#[derive(Debug)]
pub struct Instance {
    folder: Arc<TempDir>,
    netns: Arc<Netns>,
    daemon: Child,
    pids: Vec<u32>,
}

impl Instance {
    /// Starts a service in fresh directories and a fresh network namespace, and waits until it serves.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments for `bpfmand`.
    pub fn start_with(arguments: &[&str]) -> Self {
        let (folder, netns) = Self::fresh_place();
        Self::start_in(folder, netns, arguments)
    }

    /// Fresh directories and a fresh network namespace.
    pub fn fresh_place() -> (Arc<TempDir>, Arc<Netns>) {
        let folder = tempfile::Builder::new()
            .prefix("bpfman-test-")
            .tempdir()
            .expect("a directory");
        // Workers with other uids must get through to their directories.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        (Arc::new(folder), Arc::new(Netns::new()))
    }

    /// Starts a service in a place, fresh or that of one before it, and waits until it serves.
    pub fn start_in(folder: Arc<TempDir>, netns: Arc<Netns>, arguments: &[&str]) -> Self {
        let daemon = spawn(folder.path(), &netns, arguments).0;
        Self::wait_for(daemon, folder, netns)
    }

    /// Starts a service in a fresh place by `bpfman serve`, which is told the runtime directory alone: state and cache are
    /// below that.
    pub fn serve() -> Self {
        let (folder, netns) = Self::fresh_place();
        let mut command = Command::new(program("bpfmanctl"));
        command
            .arg("serve")
            .arg("--runtime-dir")
            .arg(folder.path().join("run"));
        let daemon = launch(command, folder.path(), &netns).0;
        Self::wait_for(daemon, folder, netns)
    }

    fn wait_for(daemon: Child, folder: Arc<TempDir>, netns: Arc<Netns>) -> Self {
        let mut instance = Self {
            daemon,
            folder,
            netns,
            pids: Vec::new(),
        };
        let ready = wait::until(START_BOUND, || {
            if let Ok(Some(status)) = instance.daemon.try_wait() {
                panic!(
                    "bpfmand ended with {status} instead of serving\n{}",
                    instance.log()
                );
            }
            instance.try_status()
        });
        assert!(
            ready.is_some(),
            "bpfmand does not serve after {START_BOUND:?}\n{}",
            instance.log()
        );
        instance.remember();
        instance
    }

    /// Starts a service whose loader cannot start, because somebody has its store open, and waits until clients are let in
    /// to hear so.
    pub fn start_without_loader() -> Self {
        let mut before = Self::start();
        let (folder, netns) = before.place();
        assert!(before.stop().success());
        let lock = File::options()
            .write(true)
            .open(folder.path().join("state/store/LOCK"));
        let lock = lock.expect("the store's lock");
        fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
        let mut instance = Self {
            daemon: spawn(folder.path(), &netns, &[]).0,
            folder,
            netns,
            pids: Vec::new(),
        };
        let reached = wait::until(START_BOUND, || instance.try_client());
        assert!(
            reached.is_some(),
            "clients are kept waiting\n{}",
            instance.log()
        );
        // It is held by now, and not started again.
        drop(lock);
        instance.remember();
        instance
    }

    /// Starts `bpfmand` in a fresh place and returns how it ended, for cases in which it must not serve.
    pub fn refusal(arguments: &[&str]) -> (ExitStatus, String) {
        let (folder, netns) = Self::fresh_place();
        let (mut daemon, log) = spawn(folder.path(), &netns, arguments);
        let ended = wait::until(START_BOUND, || daemon.try_wait().ok().flatten());
        if ended.is_none() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        // Every process that could log is gone, so this ends.
        log.join().expect("the log");
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        let _ = Command::new("umount")
            .arg(folder.path().join("run/fs"))
            .output();
        (
            ended.unwrap_or_else(|| panic!("bpfmand did not end\n{log}")),
            log,
        )
    }

    /// `--runtime-dir`.
    pub fn runtime_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// `--state-dir`.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `--image-cache-dir`.
    pub fn cache_dir(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The BPF file system.
    pub fn fs(&self) -> PathBuf {
        self.runtime_dir().join("fs")
    }

    /// The socket of `bpfmanctl`.
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir().join("bpfmanctl.sock")
    }

    /// The socket of the gRPC interface.
    pub fn grpc_socket(&self) -> PathBuf {
        self.folder.path().join("run-sock/bpfman.sock")
    }

    /// The namespace that it runs in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Directories and namespace, to start another service on them.
    pub fn place(&self) -> (Arc<TempDir>, Arc<Netns>) {
        (Arc::clone(&self.folder), Arc::clone(&self.netns))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Pid of the process that was started.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    /// Runs `bpfmanctl` as root.
    pub fn ctl(&self, arguments: &[&str]) -> Run {
        ctl(&self.runtime_dir(), arguments)
    }

    /// Runs `bpfmanctl` as another user.
    pub fn ctl_as(&self, uid: u32, arguments: &[&str]) -> Run {
        ctl_as(uid, &self.runtime_dir(), arguments)
    }

    /// A connection that has said hello.
    pub fn client(&self) -> Client {
        self.try_client().expect("a connection")
    }

    /// A connection, if the service takes one.
    pub fn try_client(&self) -> Option<Client> {
        let socket = UnixStream::connect(self.socket()).ok()?;
        let deadline = Duration::from_secs(5) * wait::slowness();
        Link::establish(socket, Role::Client, 0, Role::Api, deadline)
            .ok()
            .map(|(link, _)| link)
    }

    /// One request over a fresh connection.
    pub fn request(&self, request: &ClientRequest) -> ClientReply {
        ask(&mut self.client(), request)
    }

    /// Every process of the service.
    pub fn status(&self) -> Vec<ProcessStatus> {
        match self.request(&ClientRequest::Status) {
            ClientReply::Status(rows) => rows,
            other => panic!("status answered {other:?}"),
        }
    }

    /// The rows of `status` when every process is at work.
    pub fn try_status(&self) -> Option<Vec<ProcessStatus>> {
        let mut client = self.try_client()?;
        client.send(1, &ClientRequest::Status, &[]).ok()?;
        let deadline = Duration::from_secs(5) * wait::slowness();
        match client.receive(deadline).ok()??.message {
            ClientReply::Status(rows) => rows
                .iter()
                .all(|row| row.state == ProcessState::Serving)
                .then_some(rows),
            _ => None,
        }
    }

    /// The row of a role.
    pub fn process(&self, role: &str) -> ProcessStatus {
        let rows = self.status();
        rows.iter()
            .find(|row| row.role == role)
            .cloned()
            .unwrap_or_else(|| panic!("no {role} in {rows:?}"))
    }

    /// Waits until every process is at work again; how long it took.
    pub fn wait_until_serving(&mut self) -> Duration {
        let started = Instant::now();
        let rows = wait::until(START_BOUND, || self.try_status());
        assert!(
            rows.is_some(),
            "not back after {START_BOUND:?}\n{}",
            self.log()
        );
        let elapsed = started.elapsed();
        self.remember();
        elapsed
    }

    /// Kills a process of it and waits for its successor.
    pub fn kill_and_wait(&mut self, role: &str) {
        let before = self.process(role).pid;
        process::kill(before);
        self.wait_for_successor(role, before);
    }

    /// Waits until another process than the one before has a role and all are at work: until a death is noticed, `status`
    /// still has the dead one as serving.
    pub fn wait_for_successor(&mut self, role: &str, before: u32) {
        let rows = wait::until(START_BOUND, || {
            let rows = self.try_status()?;
            let row = rows.iter().find(|row| row.role == role)?;
            (row.pid != before).then_some(rows)
        });
        assert!(rows.is_some(), "{role} is not back\n{}", self.log());
        self.remember();
    }

    /// What `doctor` finds different between store, pins and kernel.
    pub fn findings(&self) -> Vec<String> {
        match self.request(&ClientRequest::Doctor) {
            ClientReply::Doctor(report) => report.findings,
            other => panic!("doctor answered {other:?}"),
        }
    }

    /// `doctor` finds nothing.
    #[track_caller]
    pub fn assert_no_drift(&self) {
        let findings = self.findings();
        assert!(findings.is_empty(), "drift: {findings:#?}\n{}", self.log());
    }

    /// Ends it as an administrator does; waits until every process is gone.
    pub fn stop(&mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.daemon);
        kill_process(pid, Signal::TERM).expect("kill");
        let ended = wait::until(START_BOUND, || self.daemon.try_wait().ok().flatten());
        let status = ended.unwrap_or_else(|| panic!("bpfmand did not end\n{}", self.log()));
        self.assert_all_gone();
        status
    }

    /// Kills the first process; waits until every other one is gone too.
    pub fn crash(&mut self) {
        self.daemon.kill().expect("kill");
        self.daemon.wait().expect("wait");
        self.assert_all_gone();
    }

    /// Every process that was ever seen is gone.
    pub fn assert_all_gone(&self) {
        let gone = wait::until(START_BOUND, || {
            (!self.pids.iter().any(|pid| process::is_alive(*pid))).then_some(())
        });
        assert!(
            gone.is_some(),
            "processes of a stopped service are left: {:?}",
            self.pids
        );
    }

    /// Loads programs of an object and returns their ids.
    #[track_caller]
    pub fn load(&self, object: &Path, programs: &str, more: &[&str]) -> Vec<u32> {
        let path = object.to_string_lossy();
        let mut arguments = vec![
            "program",
            "load",
            "file",
            &path,
            "--programs",
            programs,
            "-o",
            "json",
        ];
        arguments.extend(more);
        let loaded = self.ctl(&arguments).json();
        loaded["programs"]
            .as_array()
            .expect("programs")
            .iter()
            .map(program_id)
            .collect()
    }

    /// Attaches and returns the link's id and what was printed.
    #[track_caller]
    pub fn attach(&self, arguments: &[&str]) -> (u64, Value) {
        let mut all = vec!["link", "attach"];
        all.extend(arguments);
        all.extend(["-o", "json"]);
        let link = self.ctl(&all).json();
        (link["record"]["id"].as_u64().expect("a link id"), link)
    }

    fn remember(&mut self) {
        let rows = self.status();
        self.pids
            .extend(rows.iter().map(|row| row.pid).filter(|pid| *pid != 0));
    }
}

fn program_id(program: &Value) -> u32 {
    program["record"]["program_id"]
        .as_u64()
        .and_then(|id| u32::try_from(id).ok())
        .expect("a program id")
}

/// One request and its answer.
#[track_caller]
pub fn ask(client: &mut Client, request: &ClientRequest) -> ClientReply {
    ask_with(client, request, &[])
}

/// One request with descriptors beside it, and its answer.
pub fn ask_with(
    client: &mut Client,
    request: &ClientRequest,
    descriptors: &[BorrowedFd<'_>],
) -> ClientReply {
    client.send(1, request, descriptors).expect("send");
    let deadline = Duration::from_secs(60);
    client
        .receive(deadline)
        .expect("an answer")
        .expect("an open connection")
        .message
}

fn spawn(folder: &Path, netns: &Netns, arguments: &[&str]) -> (Child, JoinHandle<()>) {
    let mut command = Command::new(program("bpfmand"));
    command.args(arguments);
    for (flag, value) in [
        // What a failed test prints. The benchmark measures what users have.
        ("--log", PathBuf::from("debug")),
        ("--runtime-dir", folder.join("run")),
        ("--state-dir", folder.join("state")),
        ("--image-cache-dir", folder.join("cache")),
    ] {
        // What a configuration says of the log is what its test is about.
        let configured = flag == "--log" && arguments.contains(&"--config");
        if !configured && !arguments.contains(&flag) {
            command.arg(flag).arg(value);
        }
    }
    launch(command, folder, netns)
}

fn launch(mut command: Command, folder: &Path, netns: &Netns) -> (Child, JoinHandle<()>) {
    let (log, writer) = std::io::pipe().expect("a pipe");
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().expect("a descriptor"))
        .stderr(writer);
    // The namespace of the thread that forks is the child's.
    let daemon = netns.inside(|| command.spawn().expect("cannot start bpfmand"));
    (daemon, keep_log(log, &folder.join("log")))
}

/// Writes what comes out of the pipe to a file, until the last process that holds the other end is gone.
fn keep_log(mut log: PipeReader, path: &Path) -> JoinHandle<()> {
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("a log file");
    std::thread::spawn(move || {
        std::io::copy(&mut log, &mut file).expect("the log is written");
    })
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What went wrong may be logged a moment later.
            std::thread::sleep(Duration::from_millis(300));
            eprintln!("--- log of bpfmand\n{}---", self.log());
        }
        // Already ended is what is wanted.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = wait::until(START_BOUND, || {
            (!self.pids.iter().any(|pid| process::is_alive(*pid))).then_some(())
        });
        if Arc::strong_count(&self.folder) == 1 {
            // Pins go with the last mount, and with them programs and links.
            let _ = Command::new("umount").arg(self.fs()).output();
        }
    }
}
