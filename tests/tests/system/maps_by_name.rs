//! Maps that objects share by name (`LIBBPF_PIN_BY_NAME`), through the whole service.

use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::maps::counter;
use bpfman_tests::process::call_getpid;

/// Where the number of events of a slot stands in the map: each has two numbers.
const FIRST: usize = 0;
const SECOND: usize = 2;

#[test]
fn objects_share_a_map_by_name_until_the_last_is_unloaded() {
    let mut instance = Instance::start();
    let empty = Traces::of(&instance);
    let objects = Objects::new();
    let load = |instance: &Instance, object: &str, program: &str| {
        let program = format!("tracepoint:{program}");
        instance.load(&objects.object(object), &program, &["--maps-mode", "0644"])[0]
    };
    let first = load(&instance, "tally", "tally_first");
    let second = load(&instance, "tally_too", "tally_second");
    for id in [first, second] {
        instance.attach(&["tracepoint", &id.to_string(), "syscalls/sys_enter_getpid"]);
    }
    let shared = instance.fs().join("shared").join("tally");
    assert!(shared.exists());
    call_getpid(4);
    for id in [first, second] {
        let pin = map_pin(&instance, id, "tally");
        let seen = [FIRST, SECOND].map(|index| counter(&pin, index));
        assert!(seen.iter().all(|count| *count >= 4), "{id}: {seen:?}");
    }

    let loaded = Traces::of(&instance);
    let path = objects.object("tally_other");
    let path = path.to_string_lossy();
    let other = [
        "program",
        "load",
        "file",
        &path,
        "--programs",
        "tracepoint:tally_other",
    ];
    let error = instance.ctl(&other).refused();
    assert!(
        error.contains(
            "incompatible shared map: its value type is struct tally { u64 events; u64 last; }"
        ),
        "{error}"
    );
    loaded.assert_unchanged(&instance, "an incompatible map");

    instance
        .ctl(&["program", "unload", &first.to_string()])
        .ok();
    let pin = map_pin(&instance, second, "tally");
    assert!(shared.exists() && counter(&pin, FIRST) >= 4);
    instance.kill_and_wait("loader");
    instance.assert_no_drift();
    instance
        .ctl(&["program", "unload", &second.to_string()])
        .ok();
    assert!(!shared.exists());
    empty.assert_unchanged(&instance, "the last unload");
}
