//! Starting and stopping the service.

use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::process::call_getpid;
use bpfman_tests::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// The log goes through a pipe and a thread.
const LOG_BOUND: Duration = Duration::from_secs(5);

const USERS: [&str; 4] = ["bpfman", "bpfman-loader", "bpfman-image", "bpfman-api"];

fn uid_of(user: &str) -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").expect("passwd");
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

#[test]
fn programs_outlive_the_service_and_are_managed_again() {
    let mut first = Instance::start();
    let counter = Counter::load(&first, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let (link, _) = first.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    let programs = first.ctl(&["program", "list", "-o", "json"]).json();
    let (folder, netns) = first.place();
    assert!(first.stop().success());

    let counted = counter.value();
    call_getpid(10);
    assert!(
        counter.value() >= counted + 10,
        "the program stopped with the service"
    );

    let second = Instance::start_in(folder, netns, &[]);
    assert_eq!(
        second.ctl(&["program", "list", "-o", "json"]).json(),
        programs
    );
    second.assert_no_drift();
    // Link ids go on where they were.
    let (next, _) = second.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getppid"]);
    assert!(next > link);
    second
        .ctl(&["link", "detach", &link.to_string(), &next.to_string()])
        .ok();
    second.ctl(&["program", "unload", &counter.id()]).ok();
    drop(first);
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut instance = Instance::start();
        if signal == Signal::TERM {
            assert!(instance.stop().success());
        } else {
            let pid = i32::try_from(instance.pid())
                .ok()
                .and_then(Pid::from_raw)
                .expect("a pid");
            kill_process(pid, signal).expect("kill");
            instance.assert_all_gone();
        }
        // Nobody is left without whom he asks: clients first, then what serves them.
        let order = wait::until(LOG_BOUND, || {
            let order = ended(&instance.log());
            (order.len() == 3).then_some(order)
        });
        assert_eq!(
            order.as_deref(),
            Some(&["api", "image", "loader"].map(str::to_owned)[..]),
            "{}",
            instance.log()
        );
    }
}

/// The workers that ended well, in order, as the supervisor logged it.
fn ended(log: &str) -> Vec<String> {
    let workers = log
        .lines()
        .filter(|line| line.contains(") exited with status 0"))
        .filter_map(|line| line.split(" (generation ").next()?.split(' ').next_back());
    workers.map(str::to_owned).collect()
}

#[test]
fn two_services_that_are_told_their_roots_alone_do_not_see_each_other() {
    let (first, second) = (Instance::serve(), Instance::serve());
    let counter = Counter::load(&first, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let other = Counter::load(&second, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    assert_ne!(counter.program, other.program);
    for (instance, own, foreign) in [(&first, &counter, &other), (&second, &other, &counter)] {
        assert_eq!(
            instance.ctl(&["program", "list", "-q"]).ok().trim(),
            own.id()
        );
        let error = instance
            .ctl(&["program", "unload", &foreign.id()])
            .refused();
        assert!(
            error.contains(&format!("program {}", foreign.id())),
            "{error}"
        );
        instance.assert_no_drift();
    }
    first.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    call_getpid(3);
    assert!(counter.value() >= 3);
    assert_eq!(other.value(), 0);

    // A third one is not started on what belongs to one of them.
    for (flag, below) in [
        ("--runtime-dir", ""),
        ("--state-dir", "state"),
        ("--image-cache-dir", "cache"),
    ] {
        let taken = first.runtime_dir().join(below);
        let taken = taken.to_str().expect("a path").trim_end_matches('/');
        let (status, log) = Instance::refusal(&[flag, taken]);
        assert_eq!(status.code(), Some(1), "{log}");
        let told = format!(
            "bpfmand: error: lock: {taken} is in use by another bpfmand; give this one its own {flag}\n"
        );
        assert!(log.ends_with(&told), "{log}");
    }
    let error = first.ctl(&["serve", "--log", "loud"]).refused();
    assert!(error.starts_with("bpfmanctl: error: log: "), "{error}");
    first.assert_no_drift();
}

#[test]
fn a_service_that_cannot_have_its_store_says_so_to_its_log_and_its_clients() {
    let instance = Instance::start_without_loader();
    let error = instance.ctl(&["program", "list"]).refused();
    for words in [
        "loader",
        "held",
        "exited with status 1",
        "no other bpfman uses it",
        "restart bpfmand",
    ] {
        assert!(error.contains(words), "no `{words}` in {error}");
    }
    let log = instance.log();
    let told = log
        .lines()
        .filter(|line| line.contains("loader: store: ") && line.contains("no other bpfman"))
        .count();
    assert!(told >= 8, "a start failed without saying why\n{log}");
    assert!(!log.contains("killed by signal"), "{log}");
}

#[test]
fn the_socket_is_closed_to_others() {
    let instance = Instance::start();
    let mode = instance
        .socket()
        .metadata()
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn system_users_are_used_where_they_exist() {
    let instance = Instance::start();
    let roles = ["supervisor", "loader", "image", "api"];
    for (role, user) in roles.into_iter().zip(USERS) {
        let uid = instance.process(role).uid;
        match uid_of(user) {
            Some(expected) => assert_eq!(uid, expected, "{role}"),
            None => {
                assert!(
                    instance.log().contains(user),
                    "the log does not say that {user} is missing\n{}",
                    instance.log()
                );
                let passwd = std::fs::read_to_string("/etc/passwd").expect("passwd");
                assert!(
                    uid != 0 && !passwd.contains(&format!(":{uid}:")),
                    "{role} runs as {uid}, which is somebody"
                );
            }
        }
    }
}

#[test]
fn require_users_refuses_to_fall_back() {
    if let Some(missing) = USERS.into_iter().find(|user| uid_of(user).is_none()) {
        let (status, log) = Instance::refusal(&["--require-users"]);
        assert!(!status.success());
        assert!(
            log.contains(missing),
            "the user that is missing is not named: {log}"
        );
    } else {
        let instance = Instance::start_with(&["--require-users"]);
        assert_eq!(
            Some(instance.process("loader").uid),
            uid_of("bpfman-loader")
        );
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (arguments, word) in [
        (
            &["--worker-dir", "/nonexistent/workers"][..],
            "/nonexistent/workers",
        ),
        (
            &["--config", "/nonexistent/bpfman.toml"][..],
            "/nonexistent/bpfman.toml",
        ),
        (&["--sandbox=log"][..], "terminal"),
        (&["--no-such-flag"][..], "--no-such-flag"),
    ] {
        let (status, log) = Instance::refusal(arguments);
        assert!(!status.success(), "{arguments:?}");
        assert!(log.contains(word), "{arguments:?}: no {word} in {log}");
    }
}
