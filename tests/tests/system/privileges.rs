//! What each process may do, as /proc has it.

use bpfman_tests::instance::Instance;
use bpfman_tests::process::Status;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;
const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

#[test]
fn supervisor_image_and_api_have_no_capability_in_any_set() {
    let instance = Instance::start();
    for role in ["supervisor", "image", "api"] {
        let status = Status::of(instance.process(role).pid);
        for set in SETS {
            assert_eq!(status.set(set), 0, "{role} {set}");
        }
    }
}

#[test]
fn the_loader_has_exactly_its_three() {
    let instance = Instance::start();
    let status = Status::of(instance.process("loader").pid);
    let three = CAP_BPF | CAP_PERFMON | CAP_NET_ADMIN;
    assert_eq!(status.set("CapEff"), three);
    assert_eq!(status.set("CapPrm"), three);
    for set in ["CapInh", "CapBnd", "CapAmb"] {
        assert_eq!(status.set(set), 0, "{set}");
    }
}

#[test]
fn the_spawner_uses_no_capability_between_two_starts() {
    let instance = Instance::start();
    let status = Status::of(instance.process("spawner").pid);
    assert_eq!(status.set("CapAmb"), 0);
    assert_eq!(status.set("CapInh"), 0);
    assert_eq!(
        status.number("Threads"),
        1,
        "a spawner forks, so it has one thread"
    );
}

#[test]
fn every_worker_is_filtered_and_cannot_gain_privileges() {
    let instance = Instance::start();
    for role in ["supervisor", "loader", "image", "api"] {
        let status = Status::of(instance.process(role).pid);
        assert_eq!(status.number("NoNewPrivs"), 1, "{role}");
        if role != "supervisor" {
            assert_eq!(status.number("Seccomp"), 2, "{role}");
        }
    }
}

#[test]
fn every_process_is_its_own_user() {
    let instance = Instance::start();
    let rows = instance.status();
    let mut seen = BTreeSet::new();
    for row in rows.iter().filter(|row| row.role != "spawner") {
        let status = Status::of(row.pid);
        let uids = status.numbers("Uid");
        let gids = status.numbers("Gid");
        assert!(
            uids.iter().all(|uid| *uid == uids[0]),
            "{}: {uids:?}",
            row.role
        );
        assert!(
            gids.iter().all(|gid| *gid == gids[0]),
            "{}: {gids:?}",
            row.role
        );
        assert!(
            seen.insert(uids[0]),
            "{} shares its user with another process",
            row.role
        );
    }
}

#[test]
fn nothing_but_sockets_is_inherited() {
    let instance = Instance::start();
    for role in ["image", "api"] {
        let folder = PathBuf::from(format!("/proc/{}/fd", instance.process(role).pid));
        for entry in folder.read_dir().expect("descriptors").flatten() {
            let target = entry
                .path()
                .read_link()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let known = [
                "/dev/null",
                "socket:",
                "pipe:",
                "anon_inode:[eventpoll]",
                "anon_inode:[eventfd]",
                "/memfd:",
            ];
            let of_its_own = target.starts_with("/proc/") || target.contains("/cache");
            assert!(
                known.iter().any(|prefix| target.starts_with(prefix)) || of_its_own,
                "{role} holds {target}"
            );
        }
    }
}

#[test]
fn directories_and_pins_are_closed() {
    let instance = Instance::start();
    let objects = bpfman_tests::fixture::Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &[],
    );
    let (link, _) = instance.attach(&[
        "tracepoint",
        &ids[0].to_string(),
        "syscalls/sys_enter_getpid",
    ]);
    for pin in [format!("prog_{}", ids[0]), format!("links/{link}")] {
        let metadata = instance.fs().join(&pin).metadata().expect("the pin");
        assert_eq!(metadata.mode() & 0o077, 0, "{pin}");
    }
    let state = instance
        .state_dir()
        .metadata()
        .expect("the state directory");
    assert_eq!(
        state.mode() & 0o022,
        0,
        "others may write to the state directory"
    );
}
