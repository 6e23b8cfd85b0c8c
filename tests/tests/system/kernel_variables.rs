//! Variables that have their values from the kernel (`extern … __kconfig`), and what libbpf makes of one: the header for static
//! probes.

use crate::kernel_multi::{Target, path, uprobe_multi};
use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::maps::counter;
use bpfman_tests::process::call_getpid;
use bpfman_tests::skip;
use std::fs;

/// Slots of the map `seen` of the object `kconfig`.
mod slot {
    pub(super) const VERSION: usize = 0;
    pub(super) const COOKIE: usize = 1;
    pub(super) const WRAPPER: usize = 2;
    pub(super) const MISSING: usize = 3;
    pub(super) const NUMBER: usize = 4;
    /// Of the static probe.
    pub(super) const WITHOUT_ARGUMENT: usize = 0;
    pub(super) const WITH_ARGUMENT: usize = 1;
}

#[test]
fn kernel_variables_have_the_kernels_values() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let object = objects.object("kconfig");
    let run = |program: &str, more: &[&str]| {
        let more = [&["--maps-mode", "0644"], more].concat();
        let id = instance.load(&object, program, &more)[0];
        let text = id.to_string();
        instance.attach(&["tracepoint", &text, "syscalls/sys_enter_getpid"]);
        call_getpid(1);
        let pin = map_pin(&instance, id, "seen");
        [0, 1, 2, 3, 4].map(|slot| counter(&pin, slot))
    };
    let seen = run("tracepoint:kconfig_known", &[]);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the release");
    let numbers: Vec<u64> = release
        .split(['.', '-'])
        .take(2)
        .map(|number| number.parse().expect("a number"))
        .collect();
    let version = seen[slot::VERSION];
    assert_eq!(
        [version >> 16, version >> 8 & 0xff],
        numbers[..],
        "{release}"
    );
    assert_eq!(seen[slot::COOKIE], 1);
    assert_eq!(seen[slot::WRAPPER], 1);
    assert_eq!(seen[slot::MISSING], 1, "0, and 1 more");

    let path = object.to_string_lossy();
    let number = ["program", "load", "file", &path, "--programs"];
    let number = [&number[..], &["tracepoint:kconfig_number"]].concat();
    let refused = instance.ctl(&number).refused();
    assert!(
        refused.contains("--global CONFIG_BPFMAN_NUMBER:TYPE=VALUE"),
        "{refused}"
    );
    let given = ["--global", "CONFIG_BPFMAN_NUMBER:u32=250"];
    let seen = run("tracepoint:kconfig_number", &given);
    assert_eq!(seen[slot::NUMBER], 250);
    let listed = instance.ctl(&["program", "list", "-o", "json"]).json();
    for program in listed["programs"].as_array().expect("programs") {
        let id = program["record"]["program_id"].to_string();
        instance.ctl(&["program", "unload", &id]).ok();
    }
    before.assert_unchanged(&instance, "unload");
}

#[test]
fn kernel_variables_let_programs_with_libbpfs_header_for_static_probes_load() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("kconfig");
    let id = instance.load(&object, "usdt:usdt_arguments", &["--maps-mode", "0644"])[0];
    let (supported, reason) = uprobe_multi();
    if !supported {
        return skip::skip("static probes", reason);
    }
    let mut target = Target::start();
    let (text, pid) = (id.to_string(), target.pid());
    let probe = "bpfman_tests:visited";
    let (_, attached) = instance.attach(&["usdt", &text, &path(), probe, "--pid", &pid]);
    target.round();
    let pin = map_pin(&instance, id, "seen");
    let places = attached["record"]["details"]["places"].as_u64();
    assert_eq!(Some(counter(&pin, slot::WITHOUT_ARGUMENT)), places);
    assert_eq!(counter(&pin, slot::WITH_ARGUMENT), 0);
}
