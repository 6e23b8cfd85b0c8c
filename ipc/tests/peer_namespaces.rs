//! Clients in process namespaces that cannot be seen into. The test starts itself again, in a namespace of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may start processes and tell them things by the environment"
)]

use ipc::peer::credentials;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const NAME: &str = "a_client_outside_of_the_namespace_has_no_process_id";
const SOCKET: &str = "BPFMAN_TEST_SOCKET";

#[test]
fn a_client_outside_of_the_namespace_has_no_process_id() {
    if let Some(path) = std::env::var_os(SOCKET) {
        let (client, _) = UnixListener::bind(path).unwrap().accept().unwrap();
        let found = credentials(&client).unwrap();
        println!("pid {} uid {}", found.pid, found.uid);
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: {NAME}: only root makes process namespaces");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let service = Command::new("unshare")
        .args(["--pid", "--fork", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(SOCKET, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let client = (0..500).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        UnixStream::connect(&path).ok()
    });
    assert!(client.is_some(), "nobody listens");
    let output = service.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("pid 0 uid 0"), "{told}");
}
