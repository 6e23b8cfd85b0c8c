//! Global variables are set before the verifier sees the program.

use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::process::call_getpid;

#[test]
fn a_constant_is_set_at_load() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-mode", "0644", "-g", "step=0x0500000000000000"],
    );
    let counter = Counter::of(&instance, ids[0], slot::TRACEPOINT);
    instance.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    call_getpid(4);
    let value = counter.value();
    assert!(value >= 20 && value.is_multiple_of(5), "counted {value}");

    let record = instance
        .ctl(&["program", "get", &counter.id(), "-o", "json"])
        .json();
    assert_eq!(
        record["record"]["load"]["global_data"]["step"],
        "BQAAAAAAAAA="
    );
}

#[test]
fn a_variable_can_switch_a_program_off() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-mode", "0644", "-g", "enabled=00000000"],
    );
    let counter = Counter::of(&instance, ids[0], slot::TRACEPOINT);
    instance.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    call_getpid(1);
    assert_eq!(counter.value(), 0);
}

#[test]
fn unknown_variables_and_wrong_sizes_are_refused() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let path = object.to_string_lossy();
    let load = |global: &str| {
        instance
            .ctl(&[
                "program",
                "load",
                "file",
                &path,
                "--programs",
                "xdp:xdp_count",
                "-g",
                global,
            ])
            .refused()
    };
    let error = load("stepp=00");
    assert!(
        error.contains("\"stepp\"") && error.contains("step"),
        "{error}"
    );
    let error = load("step=00");
    assert!(error.contains("step") && error.contains('8'), "{error}");
}

#[test]
fn a_constant_is_set_by_type() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-mode", "0644", "-g", "step:u64=5"],
    );
    let counter = Counter::of(&instance, ids[0], slot::TRACEPOINT);
    instance.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    call_getpid(4);
    let value = counter.value();
    assert!(value >= 20 && value.is_multiple_of(5), "counted {value}");

    let path = objects.object("counter");
    let path = path.to_string_lossy();
    let load = [
        "program",
        "load",
        &path,
        "--programs",
        "xdp:xdp_count",
        "-g",
    ];
    let refused = |global: &str| instance.ctl(&[&load[..], &[global]].concat());
    let error = refused("step:i64=5").refused();
    assert!(
        error.contains("(u64), the value is given as i64"),
        "{error}"
    );
    let error = refused("stepp:u64=5").refused();
    assert!(error.contains("did you mean: step?"), "{error}");
    let error = refused("step:u64=-5").misused();
    assert!(error.contains("from 0 to 18446744073709551615"), "{error}");
}
