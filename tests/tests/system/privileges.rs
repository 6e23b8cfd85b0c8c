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

/// The threads on which it carries out requests are made behind the sandbox, which is a matter of each thread.
#[test]
fn every_thread_of_the_loader_is_in_its_sandbox() {
    let instance = Instance::start();
    let loader = instance.process("loader").pid;
    let idle = Status::of_threads(loader).len();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| instance.ctl(&["program", "list"]).ok());
        }
    });
    let threads = Status::of_threads(loader);
    assert!(threads.len() > 1 && threads.len() >= idle, "{threads:?}");
    for status in threads {
        let three = CAP_BPF | CAP_PERFMON | CAP_NET_ADMIN;
        assert_eq!(status.set("CapEff"), three, "{status:?}");
        assert_eq!(status.set("CapPrm"), three, "{status:?}");
        for set in ["CapInh", "CapBnd", "CapAmb"] {
            assert_eq!(status.set(set), 0, "{set} of {status:?}");
        }
        assert_eq!(status.number("NoNewPrivs"), 1, "{status:?}");
        assert_eq!(status.number("Seccomp"), 2, "{status:?}");
    }
}

#[test]
fn the_spawner_uses_no_capability_between_two_starts() {
    let instance = Instance::start();
    let status = Status::of(instance.process("spawner").pid);
    for set in ["CapEff", "CapInh", "CapAmb"] {
        assert_eq!(status.set(set), 0, "{set}");
    }
    // What it can give to a worker, and no more.
    for set in ["CapPrm", "CapBnd"] {
        assert_eq!(
            status.set(set),
            supervisor::spawner::permitted_mask(),
            "{set}"
        );
    }
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
        assert_eq!(status.number("Seccomp"), 2, "{role}");
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
    let store = instance.state_dir();
    for role in ["loader", "image", "api"] {
        let folder = PathBuf::from(format!("/proc/{}/fd", instance.process(role).pid));
        for entry in folder.read_dir().expect("descriptors").flatten() {
            // One that was closed meanwhile was the process's own.
            let Ok(target) = entry.path().read_link() else {
                continue;
            };
            let number = entry.file_name().to_string_lossy().into_owned();
            let target = target.to_string_lossy().into_owned();
            let expected = match number.as_str() {
                "0" | "1" => target == "/dev/null",
                // The log.
                "2" => target.starts_with("pipe:"),
                _ => {
                    target.starts_with("socket:")
                        || ["anon_inode:[eventpoll]", "anon_inode:[eventfd]"]
                            .contains(&target.as_str())
                        // What it opened itself: a path alone does not tell, but no other process opens files there.
                        || (role == "loader" && target.starts_with(&*store.to_string_lossy()))
                }
            };
            assert!(expected, "{role} holds {target} as descriptor {number}");
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
    let state = instance.state_dir();
    let cache = state.with_file_name("cache");
    for (folder, role) in [(state, "loader"), (cache, "image")] {
        let metadata = folder.metadata().expect("a directory");
        assert_eq!(metadata.mode() & 0o7777, 0o700, "{}", folder.display());
        let uid = instance.process(role).uid;
        assert_eq!(metadata.uid(), uid, "{}", folder.display());
    }
    for folder in [instance.runtime_dir(), instance.fs()] {
        let metadata = folder.metadata().expect("a directory");
        assert_eq!(metadata.mode() & 0o022, 0, "{}", folder.display());
    }
}
