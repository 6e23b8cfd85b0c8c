//! Each worker's sandbox, entered as the worker enters it, and what it must not do tried inside.
//!
//! Each act is first tried without a sandbox: a test that could not fail would show nothing.

use bpfman_tests::binaries::program;
use bpfman_tests::process::UNNAMED;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const WORKERS: [&str; 3] = ["loader", "image", "api"];

/// How an attempt ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done,
    Refused(String),
    /// By a signal: the system call policy ends the process.
    Killed(i32),
}

fn attempt(role: &str, act: &str, operand: &str) -> Outcome {
    let folder = worker_folder();
    let output = Command::new(program("forbidden-acts"))
        .args([
            role.as_ref(),
            folder.path().as_os_str(),
            act.as_ref(),
            operand.as_ref(),
        ])
        .stdin(Stdio::null())
        .output()
        .expect("cannot start forbidden-acts");
    let text = String::from_utf8_lossy(&output.stdout);
    // A program that replaced itself prints the last word without the first.
    let entered = text.lines().any(|line| line == "entered");
    assert!(
        entered,
        "{role} {act}: did not enter: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if let Some(signal) = output.status.signal() {
        assert!(!text.contains("done"), "{role} {act}: {text}");
        return Outcome::Killed(signal);
    }
    match text.lines().last() {
        Some("done") => Outcome::Done,
        Some(line) if line.starts_with("refused: ") => Outcome::Refused(line.to_owned()),
        other => panic!("{role} {act}: {other:?} {output:?}"),
    }
}

/// The directories of a worker; whoever enters makes them its own.
fn worker_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    for name in ["run/fs", "state", "cache"] {
        let path = folder.path().join(name);
        fs::create_dir_all(&path).expect("mkdir");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("chmod");
    }
    folder
}

#[track_caller]
fn assert_forbidden(roles: &[&str], act: &str, operand: &str) {
    assert_eq!(
        attempt("none", act, operand),
        Outcome::Done,
        "{act} is impossible without a sandbox too"
    );
    for role in roles {
        let outcome = attempt(role, act, operand);
        const SIGSYS: i32 = 31;
        assert!(
            matches!(outcome, Outcome::Refused(_) | Outcome::Killed(SIGSYS)),
            "{role} {act}: {outcome:?}"
        );
    }
}

#[test]
fn a_sandbox_by_itself_lets_a_worker_live() {
    for role in WORKERS {
        assert_eq!(attempt(role, "nothing", ""), Outcome::Done, "{role}");
    }
}

#[test]
fn image_and_api_cannot_use_bpf() {
    assert_forbidden(&["image", "api"], "bpf-map-create", "");
    assert_forbidden(&["image", "api"], "bpf-next-id", "");
}

#[test]
fn the_loader_can_use_bpf_but_not_look_at_what_others_loaded() {
    assert_eq!(attempt("loader", "bpf-map-create", ""), Outcome::Done);
    assert_forbidden(&["loader"], "bpf-next-id", "");
}

#[test]
fn nobody_reads_the_shadow_file() {
    assert_forbidden(&WORKERS, "open-shadow", "");
}

#[test]
fn nobody_writes_outside_of_its_directories() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("chmod");
    let path = folder.path().join("file");
    assert_forbidden(&WORKERS, "write-outside", &path.to_string_lossy());
}

#[test]
fn only_the_image_worker_connects() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind");
    let port = listener
        .local_addr()
        .expect("an address")
        .port()
        .to_string();
    for act in ["tcp-connect", "udp-socket"] {
        assert_forbidden(&["loader", "api"], act, &port);
        assert_eq!(attempt("image", act, &port), Outcome::Done, "{act}");
    }
}

#[test]
fn nobody_listens_or_speaks_below_tcp_and_udp() {
    for act in ["tcp-listen", "packet-socket"] {
        assert_forbidden(&WORKERS, act, "");
    }
    // Services of the machine listen on such sockets.
    assert_forbidden(&["image", "api"], "unix-socket", "");
}

#[test]
fn nobody_executes() {
    assert_forbidden(&WORKERS, "exec", "");
}

#[test]
fn nobody_traces_signals_or_reads_a_sibling() {
    let sibling = Sibling::start();
    let pid = sibling.0.id().to_string();
    for act in ["ptrace", "kill", "read-proc"] {
        assert_forbidden(&WORKERS, act, &pid);
    }
}

#[test]
fn nobody_gets_privileges_back() {
    assert_forbidden(&WORKERS, "become-root", "");
    assert_forbidden(&WORKERS, "unshare-user", "");
    let folder = tempfile::tempdir().expect("a directory");
    assert_forbidden(&WORKERS, "mount", &folder.path().to_string_lossy());
}

/// Another process, of the same user as the workers of the tests: nothing but their sandboxes is between them.
struct Sibling(Child);

impl Sibling {
    fn start() -> Self {
        let child = Command::new(program("uprobe-target"))
            .uid(UNNAMED)
            .gid(UNNAMED)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("cannot start uprobe-target");
        Self(child)
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // Already ended is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
