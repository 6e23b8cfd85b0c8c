//! Processes that are killed while clients work: programs run on, clients get an answer or a retryable error, the process
//! comes back, nothing differs between store, pins and kernel.

use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::process::{self, call_getpid};
use bpfman_tests::wait;
use ipc::messages::client::{ClientReply, ClientRequest};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the issue asks for is 150 ms, which `cargo xtask bench` measures; here a machine under load must not fail the test.
const BACK_BOUND: Duration = Duration::from_secs(3);

fn kill_while_clients_work(role: &str) {
    let mut instance = Instance::start();
    let counter = Counter::load(&instance, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let (link, _) = instance.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    let before = instance.process(role);

    let stop = AtomicBool::new(false);
    let elapsed = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| ask_until(&instance, &stop));
        }
        std::thread::sleep(Duration::from_millis(20));
        process::kill(before.pid);
        // At once, while nobody manages it.
        let counted = counter.value();
        call_getpid(10);
        assert!(
            counter.value() >= counted + 10,
            "the program stopped counting when {role} died"
        );
        let started = std::time::Instant::now();
        let back = wait::until(BACK_BOUND, || {
            let rows = instance.try_status()?;
            let row = rows.iter().find(|row| row.role == role)?;
            (row.pid != before.pid).then_some(started.elapsed())
        });
        stop.store(true, Ordering::Relaxed);
        back
    });
    let elapsed = elapsed.unwrap_or_else(|| {
        panic!(
            "{role} is not back after {BACK_BOUND:?}\n{}",
            instance.log()
        )
    });
    // Past the test harness, which swallows what passing tests print.
    let _ = writeln!(
        std::io::stderr(),
        "measured: {role} is back {} ms after kill -9",
        elapsed.as_millis()
    );
    instance.wait_until_serving();

    let after = instance.process(role);
    assert_eq!(after.generation, before.generation + 1, "{role}");
    assert_eq!(after.restarts, before.restarts + 1, "{role}");
    for row in instance.status() {
        if row.role != role {
            assert_eq!(
                row.restarts,
                0,
                "{} did not survive {role}\n{}",
                row.role,
                instance.log()
            );
        }
    }
    instance.assert_no_drift();
    let listed = instance.ctl(&["link", "list", "-o", "json"]).json();
    assert_eq!(listed["links"][0]["id"], link);
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    call_getpid(5);
    assert_eq!(counter.value(), at_detach);
    instance.ctl(&["program", "unload", &counter.id()]).ok();
}

/// Keeps asking; every answer must be the right one or a retryable failure. A connection that ends is made again.
fn ask_until(instance: &Instance, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(mut client) = instance.try_client() else {
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            if client.send(1, &ClientRequest::ListPrograms, &[]).is_err() {
                break;
            }
            match client.receive(Duration::from_secs(10) * wait::slowness()) {
                Ok(Some(answer)) => match answer.message {
                    ClientReply::Programs(programs) => assert_eq!(programs.len(), 1),
                    ClientReply::Failed(failure) => assert!(failure.is_retryable(), "{failure}"),
                    other => panic!("a list was answered with {other:?}"),
                },
                Ok(None) | Err(_) => break,
            }
        }
    }
}

#[test]
fn the_loader_is_killed() {
    kill_while_clients_work("loader");
}

#[test]
fn the_image_worker_is_killed() {
    kill_while_clients_work("image");
}

#[test]
fn the_api_worker_is_killed() {
    kill_while_clients_work("api");
}

#[test]
fn loads_during_a_crash_are_whole_or_absent() {
    for role in ["loader", "image"] {
        let mut instance = Instance::start();
        let objects = Objects::new();
        let object = objects.object("counter");
        let path = object.to_string_lossy().into_owned();
        let arguments = [
            "program",
            "load",
            "file",
            &path,
            "--programs",
            "xdp:xdp_count,tracepoint:tracepoint_count",
        ];
        let victim = instance.process(role).pid;
        let loaded = std::thread::scope(|scope| {
            let loads = scope.spawn(|| {
                (0..6)
                    .filter(|_| instance.ctl(&arguments).code == 0)
                    .count()
            });
            std::thread::sleep(Duration::from_millis(15));
            process::kill(victim);
            loads.join().expect("the loads")
        });
        instance.wait_until_serving();
        instance.assert_no_drift();
        let listed = instance.ctl(&["program", "list", "-q"]).ok();
        let ids: Vec<&str> = listed.split_whitespace().collect();
        // A load whose answer was lost may have been carried out; half a load never is.
        assert!(
            ids.len() >= 2 * loaded && ids.len().is_multiple_of(2),
            "{loaded} loads, {} programs",
            ids.len()
        );
        if !ids.is_empty() {
            let mut unload = vec!["program", "unload"];
            unload.extend(ids);
            instance.ctl(&unload).ok();
        }
        instance.assert_no_drift();
    }
}

fn takes_over_after_killing(role: &str) {
    let first = Instance::start();
    let counter = Counter::load(&first, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let (link, _) = first.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    let xdp = Counter::load(&first, "xdp:xdp_count", slot::XDP);
    let (xdp_link, _) = first.attach(&["xdp", &xdp.id(), INTERFACE, "-p", "1"]);
    let programs = first.ctl(&["program", "list", "-o", "json"]).json();
    let links = first.ctl(&["link", "list", "-o", "json"]).json();
    let (folder, netns) = first.place();
    process::kill(first.process(role).pid);
    first.assert_all_gone();

    let counted = counter.value();
    call_getpid(10);
    assert!(
        counter.value() >= counted + 10,
        "programs do not run without the service"
    );

    let second = Instance::start_in(folder, netns, &[]);
    assert_eq!(
        second.ctl(&["program", "list", "-o", "json"]).json(),
        programs
    );
    assert_eq!(second.ctl(&["link", "list", "-o", "json"]).json(), links);
    second.assert_no_drift();
    second
        .ctl(&["link", "detach", &link.to_string(), &xdp_link.to_string()])
        .ok();
    let at_detach = counter.value();
    call_getpid(5);
    assert_eq!(counter.value(), at_detach);
    second
        .ctl(&["program", "unload", &counter.id(), &xdp.id()])
        .ok();
    drop(first);
}

#[test]
fn the_supervisor_is_killed_and_a_new_one_takes_over() {
    takes_over_after_killing("supervisor");
}

#[test]
fn the_spawner_is_killed_and_a_new_one_takes_over() {
    takes_over_after_killing("spawner");
}
