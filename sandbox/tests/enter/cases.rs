//! The tests.

use crate::harness::{Place, Probe};
use crate::helper_cases;
use crate::probe::Setup;
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use sandbox::{Expectation, Mode, WorkerArguments};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

pub type Case = fn(&Place);

pub const ALL: [(&str, Case); 27] = [
    (
        "outside_view_is_what_the_profile_says",
        outside_view_is_what_the_profile_says,
    ),
    ("nobody_does_what_none_may_do", nobody_does_what_none_may_do),
    (
        "nobody_opens_what_landlock_does_not_name",
        nobody_opens_what_landlock_does_not_name,
    ),
    ("bpf_is_the_loaders_alone", bpf_is_the_loaders_alone),
    ("loader_does_its_work", loader_does_its_work),
    (
        "loader_keeps_its_view_of_proc",
        loader_keeps_its_view_of_proc,
    ),
    (
        "loader_pins_and_writes_nowhere_else",
        loader_pins_and_writes_nowhere_else,
    ),
    ("image_worker_does_its_work", image_worker_does_its_work),
    ("api_worker_does_its_work", api_worker_does_its_work),
    (
        "supervisor_sees_processes_and_no_more",
        supervisor_sees_processes_and_no_more,
    ),
    (
        "perf_helper_opens_a_uprobe",
        helper_cases::perf_helper_opens_a_uprobe,
    ),
    (
        "group_helper_changes_a_group_and_no_owner",
        helper_cases::group_helper_changes_a_group_and_no_owner,
    ),
    (
        "netns_helper_enters_network_namespaces_alone",
        helper_cases::netns_helper_enters_network_namespaces_alone,
    ),
    (
        "open_helper_reads_and_writes_nothing",
        helper_cases::open_helper_reads_and_writes_nothing,
    ),
    (
        "container_helper_looks_into_processes_and_writes_nothing",
        helper_cases::container_helper_looks_into_processes_and_writes_nothing,
    ),
    (
        "xdp_helper_changes_nothing",
        helper_cases::xdp_helper_changes_nothing,
    ),
    (
        "libxdp_helper_pins_beneath_libxdp_alone",
        helper_cases::libxdp_helper_pins_beneath_libxdp_alone,
    ),
    (
        "mount_helper_mounts_descriptors_and_opens_no_file",
        helper_cases::mount_helper_mounts_descriptors_and_opens_no_file,
    ),
    (
        "a_panic_still_prints_its_message",
        a_panic_still_prints_its_message,
    ),
    ("a_log_may_be_a_file", a_log_may_be_a_file),
    ("an_abort_is_an_abort", an_abort_is_an_abort),
    ("learning_goes_on_and_warns", learning_goes_on_and_warns),
    ("a_second_thread_is_refused", a_second_thread_is_refused),
    (
        "a_missing_descriptor_is_refused",
        a_missing_descriptor_is_refused,
    ),
    ("a_missing_path_is_refused", a_missing_path_is_refused),
    (
        "a_kernel_with_too_little_landlock_is_refused",
        a_kernel_with_too_little_landlock_is_refused,
    ),
    (
        "a_worker_ends_with_its_parent",
        a_worker_ends_with_its_parent,
    ),
];

fn describe(arguments: &WorkerArguments) -> String {
    let helper = arguments
        .helper
        .map(|kind| format!(" {kind:?}"))
        .unwrap_or_default();
    format!("{}{helper} as {}", arguments.role, arguments.identity.uid)
}

/// The act ends the probe by the signal of a forbidden system call.
pub fn dies_of(mut probe: Probe, who: &str, act: &str) {
    assert_eq!(probe.act(act), "", "{who}: {act}");
    let end = probe.end();
    assert_eq!(end.signal, Some(libc::SIGSYS), "{who}: {act}: {end:?}");
}

fn outside_view_is_what_the_profile_says(place: &Place) {
    for arguments in place.roles() {
        let who = describe(&arguments);
        let mut probe = place.enter(&arguments);
        let expected = Expectation::of_worker(&arguments, probe.pid());
        let statuses = probe.statuses();
        assert_eq!(statuses.len(), 1, "{who}: one task");
        for status in statuses {
            assert_eq!(status.uids, [arguments.identity.uid; 3], "{who}");
            assert_eq!(status.gids, [arguments.identity.gid; 3], "{who}");
            assert_eq!(status.groups, arguments.identity.groups, "{who}");
            assert_eq!(status.effective, expected.capabilities, "{who}");
            assert_eq!(status.permitted, expected.capabilities, "{who}");
            assert_eq!(
                (status.inheritable, status.bounding, status.ambient),
                (0, 0, 0),
                "{who}"
            );
            assert!(status.no_new_privs, "{who}");
            assert_eq!(status.seccomp_mode, 2, "{who}");
            assert!(status.seccomp_filters >= 1, "{who}");
        }
        // 4 and 57 were open before.
        assert_eq!(probe.descriptors(), [0, 1, 2, 3], "{who}");
        // /proc shows it only of a process that is not root's: its files belong to root.
        assert_eq!(probe.act("not-dumpable"), "ok", "{who}");
        let owner = std::fs::metadata(format!("/proc/{}/fd", probe.pid()))
            .unwrap()
            .uid();
        assert_eq!(owner, 0, "{who}: not dumpable");
        let place = std::fs::read_link(format!("/proc/{}/cwd", probe.pid())).unwrap();
        let expected = match arguments.role {
            Role::Loader => format!("/proc/{}/fdinfo", probe.pid()),
            _ => "/".to_owned(),
        };
        assert_eq!(place, std::path::Path::new(&expected), "{who}");
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", probe.pid())).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(
            core.split_whitespace().collect::<Vec<_>>()[4..6],
            ["0", "0"],
            "{who}"
        );
        let status = std::fs::read_to_string(format!("/proc/{}/status", probe.pid())).unwrap();
        assert!(status.contains("Umask:\t0077"), "{who}");
        probe.end();
    }
}

fn nobody_does_what_none_may_do(place: &Place) {
    let target = std::process::id();
    for arguments in place.roles() {
        let who = describe(&arguments);
        // The image worker speaks to registries.
        for act in ["inet-socket", "inet6-socket"] {
            if arguments.role == Role::Image {
                let mut probe = place.enter(&arguments);
                assert_eq!(probe.act(act), "ok", "{who}: {act}");
                probe.end();
            } else {
                dies_of(place.enter(&arguments), &who, act);
            }
        }
        for act in [
            "packet-socket",
            "exec",
            &format!("ptrace {target}"),
            "setuid",
            "fork",
            &format!("mount {}", place.path("elsewhere").display()),
            "signal",
            "code",
            "harmless",
        ] {
            // Becoming somebody else is its job.
            if act == "setuid" && opens_for_clients(&arguments) {
                continue;
            }
            dies_of(place.enter(&arguments), &who, act);
        }
    }
}

fn opens_for_clients(arguments: &WorkerArguments) -> bool {
    matches!(
        arguments.helper,
        Some(HelperKind::OpenPath | HelperKind::OpenInContainer)
    )
}

fn nobody_opens_what_landlock_does_not_name(place: &Place) {
    for arguments in place.roles() {
        // It opens what its client may; what it may not do has a case of its own.
        if opens_for_clients(&arguments) {
            continue;
        }
        let who = describe(&arguments);
        let mut probe = place.enter(&arguments);
        for act in [
            // Root's alone by its mode; root reads it but for Landlock.
            "read /etc/shadow".to_owned(),
            // Open to all, so Landlock alone is what refuses (in the API worker and the group helper the filter).
            "read /etc/passwd".to_owned(),
            format!("read {}", place.path("elsewhere/open-to-all").display()),
            format!("create {}", place.path("elsewhere/open-to-all").display()),
            format!("create {}", place.path("elsewhere/new").display()),
            "list /".to_owned(),
        ] {
            assert_eq!(probe.act(&act), "EACCES", "{who}: {act}");
        }
        assert_eq!(probe.end().code, Some(0), "{who}");
    }
}

fn bpf_is_the_loaders_alone(place: &Place) {
    for arguments in place.roles() {
        let who = describe(&arguments);
        if arguments.role == Role::Loader {
            // PROG_GET_NEXT_ID, MAP_GET_FD_BY_ID, ENABLE_STATS, TOKEN_CREATE.
            for command in [11, 14, 32, 36] {
                dies_of(place.enter(&arguments), &who, &format!("bpf {command}"));
            }
        } else {
            dies_of(place.enter(&arguments), &who, "map");
        }
    }
}

fn loaders(place: &Place) -> Vec<WorkerArguments> {
    place
        .roles()
        .into_iter()
        .filter(|arguments| arguments.role == Role::Loader)
        .collect()
}

fn loader_does_its_work(place: &Place) {
    for arguments in loaders(place) {
        let who = describe(&arguments);
        let mut probe = place.enter(&arguments);
        let pin = place.path(&format!("run/fs/map-{}", arguments.identity.uid));
        let store = place.path(&format!("state/store-{}", arguments.identity.uid));
        for act in [
            "map".to_owned(),
            "xdp".to_owned(),
            format!("pin {}", pin.display()),
            "fdinfo".to_owned(),
            "interface lo".to_owned(),
            "read /sys/devices/system/cpu/possible".to_owned(),
            "read /sys/kernel/btf/vmlinux".to_owned(),
            "read /sys/bus/event_source/devices/uprobe/type".to_owned(),
            format!("replace {}", place.path("state").display()),
            format!("rocksdb {}", store.display()),
            "thread".to_owned(),
            "tokio".to_owned(),
            "link".to_owned(),
        ] {
            assert_eq!(probe.act(&act), "ok", "{who}: {act}");
        }
        let end = probe.end();
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{who}");
        std::fs::remove_file(pin).unwrap();
    }
}

/// Inodes of /proc are made anew when the kernel has dropped them, and a Landlock rule is lost with its inode.
fn loader_keeps_its_view_of_proc(place: &Place) {
    for arguments in loaders(place) {
        let mut probe = place.enter(&arguments);
        std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
        assert_eq!(probe.act("fdinfo"), "ok", "{}", describe(&arguments));
        // The neighbours of what it may read.
        for file in ["maps", "status", "../sys/kernel/hostname"] {
            let act = format!("read /proc/self/{file}");
            assert_eq!(probe.act(&act), "EACCES", "{}: {act}", describe(&arguments));
        }
        probe.end();
    }
}

fn loader_pins_and_writes_nowhere_else(place: &Place) {
    for arguments in loaders(place) {
        let who = describe(&arguments);
        let mut probe = place.enter(&arguments);
        for act in [
            format!("pin {}", place.path("elsewhere-fs/map").display()),
            format!("create {}", place.path("cache/x").display()),
            format!("create {}", place.path("run/x").display()),
            "create /sys/kernel/tracing/tracing_on".to_owned(),
        ] {
            assert_eq!(probe.act(&act), "EACCES", "{who}: {act}");
        }
        probe.end();
    }
}

fn image_worker_does_its_work(place: &Place) {
    let mut probe = place.enter(&place.arguments(Role::Image, None));
    for act in [
        "read /sys/kernel/btf/vmlinux".to_owned(),
        "memfd".to_owned(),
        format!("replace {}", place.path("cache").display()),
        "thread".to_owned(),
        "tokio".to_owned(),
        "link".to_owned(),
        "memory 64".to_owned(),
    ] {
        assert_eq!(probe.act(&act), "ok", "{act}");
    }
    assert!(
        probe
            .act("memory 4096")
            .starts_with("Cannot allocate memory")
    );
    assert_eq!(
        probe.act(&format!("create {}", place.path("state/x").display())),
        "EACCES"
    );
    assert_eq!(probe.end().code, Some(0));
}

fn api_worker_does_its_work(place: &Place) {
    let mut probe = place.enter(&place.arguments(Role::Api, None));
    for act in ["page-size", "thread", "tokio", "link", "blocking"] {
        assert_eq!(probe.act(act), "ok", "{act}");
    }
    assert_eq!(probe.end().code, Some(0));
}

fn supervisor_sees_processes_and_no_more(place: &Place) {
    let mut probe = place.enter(&place.arguments(Role::Supervisor, None));
    let own = std::process::id();
    for act in [
        &format!("read /proc/{own}/status"),
        "thread",
        "tokio",
        "link",
    ] {
        assert_eq!(probe.act(act), "ok", "{act}");
    }
    assert_eq!(probe.act(&format!("read /proc/{own}/environ")), "EACCES");
    assert_eq!(
        probe.act(&format!("create {}", place.path("run/x").display())),
        "EACCES"
    );
    assert_eq!(probe.end().code, Some(0));
}

fn a_panic_still_prints_its_message(place: &Place) {
    for arguments in place.roles() {
        let mut probe = place.enter(&arguments);
        assert_eq!(probe.act("panic"), "", "{}", describe(&arguments));
        let end = probe.end();
        assert!(
            end.stderr.contains("the probe panics as told"),
            "{}: {end:?}",
            describe(&arguments)
        );
        // Through the backtrace, which looks for files and is refused, to the end: 101 is the code of a panic that unwound
        // (release builds abort).
        assert_eq!(end.code, Some(101), "{}: {end:?}", describe(&arguments));
    }
}

/// `bpfmand 2>>log`: no limit on file sizes may get in the way.
fn a_log_may_be_a_file(place: &Place) {
    for arguments in place.roles() {
        let who = describe(&arguments);
        let log = place.path("run/log");
        let setup = Setup {
            log: Some(log.display().to_string()),
            ..Setup::default()
        };
        let mut probe = place.start(&arguments, &setup);
        assert_eq!(probe.act("panic"), "", "{who}");
        assert_eq!(probe.end().code, Some(101), "{who}");
        let logged = std::fs::read_to_string(&log).unwrap();
        assert!(
            logged.contains("the probe panics as told"),
            "{who}: {logged}"
        );
        std::fs::remove_file(&log).unwrap();
    }
}

fn an_abort_is_an_abort(place: &Place) {
    for arguments in place.roles() {
        let mut probe = place.enter(&arguments);
        assert_eq!(probe.act("abort"), "");
        assert_eq!(
            probe.end().signal,
            Some(libc::SIGABRT),
            "{}",
            describe(&arguments)
        );
    }
}

fn learning_goes_on_and_warns(place: &Place) {
    let arguments = WorkerArguments {
        mode: Mode::Log,
        ..place.arguments(Role::Api, None)
    };
    let mut probe = place.enter(&arguments);
    assert_eq!(probe.act("harmless"), "ok");
    // Everything but the filter is as always.
    assert_eq!(probe.act("setuid"), "EPERM");
    let status = probe.statuses().remove(0);
    assert_eq!(
        (status.effective, status.permitted, status.bounding),
        (0, 0, 0)
    );
    assert_eq!(status.seccomp_mode, 2);
    let end = probe.end();
    assert_eq!(end.code, Some(0));
    assert!(end.stderr.starts_with("WARNING: api:"), "{end:?}");
}

fn a_second_thread_is_refused(place: &Place) {
    let setup = Setup {
        thread: true,
        ..Setup::default()
    };
    let error = place.refused(&place.arguments(Role::Api, None), &setup);
    assert!(error.contains("2 threads exist; enter before"), "{error}");
}

fn a_missing_descriptor_is_refused(place: &Place) {
    let setup = Setup {
        without_socket: true,
        ..Setup::default()
    };
    let error = place.refused(&place.arguments(Role::Api, None), &setup);
    assert!(error.contains("descriptors: 3 is not open"), "{error}");
}

fn a_missing_path_is_refused(place: &Place) {
    let mut arguments = place.arguments(Role::Loader, None);
    arguments.state_dir = place.path("nowhere");
    let error = place.refused(&arguments, &Setup::default());
    assert!(
        error.contains("nowhere") && error.contains("create it"),
        "{error}"
    );
}

fn a_kernel_with_too_little_landlock_is_refused(place: &Place) {
    let setup = Setup {
        newest_landlock: true,
        ..Setup::default()
    };
    let error = place.refused(&place.arguments(Role::Image, None), &setup);
    assert!(error.contains("of 255 demanded"), "{error}");
}

fn a_worker_ends_with_its_parent(place: &Place) {
    let setup = Setup {
        parent: true,
        ..Setup::default()
    };
    let mut parent = Probe::spawn(&place.arguments(Role::Api, None), &setup);
    let line = parent.line();
    let child: u32 = line
        .strip_prefix("child ")
        .unwrap_or_else(|| panic!("{line:?}"))
        .parse()
        .unwrap();
    parent.kill();
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_running(child) {
        assert!(Instant::now() < deadline, "{child} outlived its parent");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A zombie that nobody reaps has ended all the same.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}
