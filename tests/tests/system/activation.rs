//! Sockets that a service manager holds: the first client starts the service, and whoever stops it leaves them.

use api_worker::proto::ListRequest;
use bpfman_tests::binaries::program;
use bpfman_tests::ctl::ctl;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use bpfman_tests::{require, wait};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const MANAGER: &str = "systemd-socket-activate";

fn manager() -> Result<(), String> {
    match Path::new("/usr/bin").join(MANAGER).exists() {
        true => Ok(()),
        false => Err(format!("{MANAGER} is not in this machine")),
    }
}

/// The manager, which becomes the service when somebody connects; ended with the test.
struct Held<'a> {
    process: Child,
    folder: &'a Path,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Already ended is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = unmount(self.folder.join("run/fs"), UnmountFlags::DETACH);
    }
}

#[test]
fn the_first_client_starts_the_service_and_its_sockets_stay() {
    require!(manager());
    let (folder, netns) = Instance::fresh_place();
    let at = |name: &str| folder.path().join(name);
    let sockets = [at("run/bpfmanctl.sock"), at("run-sock/bpfman.sock")];
    let mut command = Command::new(MANAGER);
    for socket in &sockets {
        fs::create_dir(socket.parent().expect("a folder")).expect("a folder");
        command.arg("--listen").arg(socket);
    }
    command.arg(program("bpfmand"));
    for (flag, name) in [
        ("--runtime-dir", "run"),
        ("--state-dir", "state"),
        ("--image-cache-dir", "cache"),
    ] {
        command.arg(flag).arg(at(name));
    }
    let log = fs::File::create(at("log")).expect("a log");
    command.stdin(Stdio::null()).stderr(log);
    let mut held = Held {
        process: netns.inside(|| command.spawn().expect("started")),
        folder: folder.path(),
    };
    let made = wait::until(Duration::from_secs(10), || {
        sockets.iter().all(|socket| socket.exists()).then_some(())
    });
    assert!(made.is_some(), "the manager makes no sockets");
    let inodes = || {
        sockets
            .each_ref()
            .map(|socket| fs::metadata(socket).expect("it").ino())
    };
    let before = inodes();
    let name = || {
        let path = format!("/proc/{}/comm", held.process.id());
        fs::read_to_string(path).expect("its name")
    };
    assert!(name().starts_with("systemd-socket"), "{}", name());

    // Waits in the socket until there is somebody to answer.
    let listed = ctl(&at("run"), &["program", "list", "-o", "json"]).json();
    assert_eq!(listed["programs"], serde_json::json!([]));
    assert_eq!(name().trim(), "bpfmand");
    let grpc = Grpc::connect(&sockets[1]).expect("connected");
    assert!(
        grpc.list(ListRequest::default())
            .expect("listed")
            .is_empty()
    );

    let pid = Pid::from_raw(held.process.id().cast_signed()).expect("a pid");
    kill_process(pid, Signal::TERM).expect("told to stop");
    let ended = held.process.wait().expect("ended");
    let log = fs::read_to_string(at("log")).expect("the log");
    assert!(ended.success(), "{ended}\n{log}");
    assert_eq!(inodes(), before, "they are the manager's");
}
