//! The whole tree with real processes: `bpfmand` as built, workers that enter the real sandbox and speak the real protocol
//! (`examples/fake_worker.rs`). Needs root, as `bpfmand` does.

#![allow(
    clippy::unwrap_used,
    reason = "what fails here fails the test that uses it"
)]

mod instance;
#[path = "../src/skip.rs"]
mod skip;

use instance::Instance;
use std::time::{Duration, Instant};

/// CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN.
const LOADER: u64 = 1 << 39 | 1 << 38 | 1 << 12;

macro_rules! needs_root {
    () => {
        if !skip::is_root() {
            return;
        }
    };
}

#[test]
fn clients_come_in_last_and_everybody_stops_in_order() {
    needs_root!();
    let mut bpfmand = Instance::start(&[]);
    bpfmand.wait_ready();
    println!("start to ready: {:?}", bpfmand.begun.elapsed());
    let lines = bpfmand.lines_until("api", "activated with 2 sockets");
    let position = |name: &str, text: &str| {
        lines
            .iter()
            .position(|line| line.name == name && line.text.contains(text))
            .unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert!(position("api", "up loader 1") < position("api", "activated with 2 sockets"));
    assert!(position("api", "up image 1") < position("api", "activated with 2 sockets"));
    assert!(
        position("loader", "activated with 0 sockets")
            < position("api", "activated with 2 sockets")
    );
    bpfmand.expect("loader", "up api 1");
    bpfmand.expect("image", "up api 1");

    bpfmand.signal(rustix::process::Signal::TERM);
    let end = bpfmand.wait_end();
    assert!(end.success(), "{end:?}");
    let rest = bpfmand.rest();
    let drained: Vec<&str> = rest
        .iter()
        .filter(|line| line.text.contains("drained"))
        .map(|line| line.name.as_str())
        .collect();
    // Lines of different pipes may overtake one another, the ends of processes do not.
    assert_eq!(drained.len(), 3, "{rest:?}");
    let ended: Vec<&str> = rest
        .iter()
        .filter(|line| line.name == "supervisor" && line.text.contains("exited with status 0"))
        .map(|line| {
            ["api", "image", "loader"]
                .into_iter()
                .find(|role| line.text.contains(&format!(" {role} ")))
                .unwrap()
        })
        .collect();
    assert_eq!(ended, ["api", "image", "loader"], "{rest:?}");
    assert!(bpfmand.heard_stopping());
    assert!(bpfmand.bpffs_is_mounted(), "programs keep running");
}

#[test]
fn proc_shows_who_has_which_power() {
    needs_root!();
    let mut bpfmand = Instance::start(&[]);
    bpfmand.wait_ready();
    let supervisor = bpfmand.status_of(bpfmand.pid());
    assert_eq!(
        (
            supervisor.permitted,
            supervisor.effective,
            supervisor.bounding
        ),
        (0, 0, 0)
    );
    assert_eq!((supervisor.inheritable, supervisor.ambient), (0, 0));
    assert!(supervisor.no_new_privs && supervisor.seccomp_mode == 2 && supervisor.threads == 1);
    assert!(supervisor.uids.iter().all(|uid| *uid != 0));

    let spawner = bpfmand.status_of(bpfmand.spawner());
    assert_eq!(
        (spawner.effective, spawner.inheritable, spawner.ambient),
        (0, 0, 0)
    );
    assert_eq!(spawner.permitted, supervisor::spawner::permitted_mask());
    assert_eq!(spawner.bounding & !supervisor::spawner::permitted_mask(), 0);
    assert!(spawner.no_new_privs && spawner.threads == 1);

    for (role, capabilities) in [("loader", LOADER), ("image", 0), ("api", 0)] {
        let worker = bpfmand.status_of(bpfmand.worker(role));
        assert_eq!(
            (worker.permitted, worker.effective),
            (capabilities, capabilities),
            "{role}"
        );
        assert_eq!(
            (worker.bounding, worker.inheritable, worker.ambient),
            (0, 0, 0),
            "{role}"
        );
        assert!(worker.no_new_privs && worker.seccomp_mode == 2, "{role}");
        assert!(worker.uids.iter().all(|uid| *uid != 0), "{role}");
    }
    // What `status` says is what /proc says.
    bpfmand.expect("api", "row 7 spawner serving uid=0 eff=0x0");
    bpfmand.expect("api", "row 7 supervisor serving");
    bpfmand.expect(
        "api",
        &format!("eff={LOADER:#x} prm={LOADER:#x} seccomp=2 nnp=true"),
    );
    bpfmand.expect("api", "row 7 image serving");
    bpfmand.expect("api", "row 7 api serving");
}

#[test]
fn a_worker_that_is_killed_is_back_with_a_new_generation_and_its_peers_hear_both() {
    needs_root!();
    let mut bpfmand = Instance::start(&[]);
    bpfmand.wait_ready();
    for (role, peers) in [
        ("loader", ["image", "api"]),
        ("image", ["loader", "api"]),
        ("api", ["loader", "image"]),
    ] {
        std::thread::sleep(Duration::from_millis(150));
        let before = bpfmand.worker(role);
        let killed = Instant::now();
        bpfmand.kill(before);
        for peer in peers {
            bpfmand.expect(peer, &format!("down {role} 1 (1 link closed)"));
        }
        for peer in peers {
            bpfmand.expect(peer, &format!("up {role} 2"));
        }
        let back = killed.elapsed();
        println!("{role} was back after {back:?}");
        assert!(back < Duration::from_millis(1500), "{role} took {back:?}");
        assert_ne!(bpfmand.worker(role), before);
    }
}

#[test]
fn a_worker_that_fails_again_and_again_is_held_and_the_others_work() {
    needs_root!();
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::image-exits=error"]);
    bpfmand.wait_ready();
    bpfmand.expect("image", "error: exits on purpose");
    bpfmand.expect("supervisor", "ended: exited with status 1");
    bpfmand.expect("supervisor", "image is held");
    bpfmand.expect_silence("image", "hello", Duration::from_millis(300));
    assert!(bpfmand.is_running(bpfmand.worker("loader")));
}

#[test]
fn a_worker_that_lies_about_its_sandbox_is_killed_and_held_at_once() {
    needs_root!();
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::image-lies=error"]);
    bpfmand.expect("supervisor", "is not sandboxed as demanded");
    bpfmand.expect("supervisor", "image is held");
    bpfmand.expect("api", "activated");
}

#[test]
fn a_worker_that_breaks_the_protocol_is_restarted() {
    needs_root!();
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::api-accuses=error"]);
    bpfmand.expect("supervisor", "broke the protocol, says api: says a test");
    bpfmand.expect("api", "up image 2");
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::image-oversteps=error"]);
    bpfmand.expect("supervisor", "sent what a image may not send");
    bpfmand.expect("api", "up image 2");
}

#[test]
fn no_client_is_let_in_before_the_loader_has_reconciled() {
    needs_root!();
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::loader-mute=error"]);
    bpfmand.expect("loader", "activated");
    bpfmand.expect("image", "activated");
    bpfmand.expect_silence("api", "activated", Duration::from_millis(300));
    // They wait in the backlog.
    std::os::unix::net::UnixStream::connect(bpfmand.socket()).unwrap();
}

#[test]
fn a_socket_of_the_service_manager_is_taken_and_none_is_made() {
    needs_root!();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("activated.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut bpfmand = Instance::start_with_socket(listener);
    bpfmand.wait_ready();
    bpfmand.expect("api", "activated with 2 sockets");
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert!(!bpfmand.socket().exists());
}

#[test]
fn helpers_are_started_one_after_the_other_for_the_loader_alone() {
    needs_root!();
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::loader-helps=error"]);
    bpfmand.expect("loader", "helper 11 greets as helper 1");
    bpfmand.expect("loader", "helper 12 greets as helper 2");
}

#[test]
fn when_bpfmand_is_killed_everything_ends_and_a_successor_takes_over() {
    needs_root!();
    // A worker that does not even notice its closed socket is killed by the spawner.
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::loader-survives=error"]);
    bpfmand.wait_ready();
    let processes = [
        bpfmand.spawner(),
        bpfmand.worker("loader"),
        bpfmand.worker("image"),
        bpfmand.worker("api"),
    ];
    bpfmand.kill(bpfmand.pid());
    bpfmand.wait_end();
    let mut successor = bpfmand.successor(&[]);
    successor.wait_ready();
    for process in processes {
        assert!(!bpfmand.is_running(process), "{process}");
    }
}

#[test]
fn when_the_spawner_is_killed_the_service_ends_to_be_started_anew() {
    needs_root!();
    let mut bpfmand = Instance::start(&[]);
    bpfmand.wait_ready();
    let workers = ["loader", "image", "api"].map(|role| bpfmand.worker(role));
    bpfmand.kill(bpfmand.spawner());
    assert_eq!(bpfmand.wait_end().code(), Some(1));
    for worker in workers {
        bpfmand.wait_gone(worker);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    needs_root!();
    let mut bpfmand = Instance::start(&["--log", "info,sandbox::api-stays=error"]);
    bpfmand.wait_ready();
    let workers = ["loader", "image", "api"].map(|role| bpfmand.worker(role));
    bpfmand.signal(rustix::process::Signal::TERM);
    bpfmand.expect("api", "stays");
    bpfmand.signal(rustix::process::Signal::INT);
    assert_eq!(bpfmand.wait_end().code(), Some(1));
    for worker in workers {
        bpfmand.wait_gone(worker);
    }
}

#[test]
fn one_directory_has_one_bpfmand_and_two_directories_two() {
    needs_root!();
    let mut first = Instance::start(&[]);
    first.wait_ready();
    let mut again = first.successor(&[]);
    assert_eq!(again.wait_end().code(), Some(1));
    let lines = again.rest();
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("in use by another bpfmand")),
        "{lines:?}"
    );
    let mut second = Instance::start(&[]);
    second.wait_ready();
    assert!(first.is_running(first.pid()));
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_what_to_do() {
    needs_root!();
    for (arguments, code, words) in [
        (&["--runtime-dir", "relative"][..], 80, "absolute"),
        (&["--no-such-flag"], 80, "--no-such-flag"),
        (&["--config", "/nonexistent/bpfman.toml"], 1, "--config"),
        (&["--log", "loud"], 1, "log specification"),
        (
            &["--sandbox", "log"],
            1,
            "refused when not started from a terminal",
        ),
        (&["--worker-dir", "/nonexistent"], 1, "--worker-dir"),
    ] {
        let mut bpfmand = Instance::start(arguments);
        assert_eq!(bpfmand.wait_end().code(), Some(code), "{arguments:?}");
        let lines = bpfmand.rest();
        assert!(
            lines.iter().any(|line| line.text.contains(words)),
            "{arguments:?}: {lines:?}"
        );
    }
}

#[test]
fn required_users_that_are_missing_are_a_refusal() {
    needs_root!();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    if passwd.lines().any(|line| line.starts_with("bpfman:")) {
        skip::skip("the users exist on this machine");
        return;
    }
    let mut bpfmand = Instance::start(&["--require-users"]);
    assert_eq!(bpfmand.wait_end().code(), Some(1));
    let lines = bpfmand.rest();
    assert!(
        lines
            .iter()
            .any(|line| line.text.contains("--require-users")),
        "{lines:?}"
    );
}

#[test]
fn json_logs_are_one_object_per_line() {
    needs_root!();
    let mut bpfmand =
        Instance::start_with_config("[logging]\nformat = \"json\"\nlevel = \"info\"\n");
    bpfmand.signal(rustix::process::Signal::TERM);
    assert!(bpfmand.wait_end().success());
    let lines = bpfmand.raw_rest();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("\"component\":\"loader\"")),
        "{lines:?}"
    );
    for line in lines {
        assert!(
            serde_json::from_str::<serde_json::Value>(&line).is_ok(),
            "{line}"
        );
    }
}
