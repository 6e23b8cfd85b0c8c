//! Applications read the maps of their programs without privilege, if and only if the load says so.

use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::maps::{NOBODY, read_as};
use std::os::unix::fs::MetadataExt;

#[test]
fn maps_are_closed_by_default() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &[],
    );
    let pin = map_pin(&instance, ids[0], "counters");
    let error = read_as(NOBODY, &pin)
        .expect_err("an unprivileged user reads a map that was not opened to it");
    assert!(error.contains("ermission denied"), "{error}");
    assert_eq!(pin.metadata().expect("the pin").mode() & 0o7777, 0o600);
}

#[test]
fn maps_mode_opens_the_maps_to_everybody() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-mode", "0644"],
    );
    for map in ["counters", "traffic"] {
        let pin = map_pin(&instance, ids[0], map);
        assert_eq!(
            pin.metadata().expect("the pin").mode() & 0o7777,
            0o644,
            "{map}"
        );
        assert_eq!(
            read_as(NOBODY, &pin).map(|numbers| numbers[0]),
            Ok(0),
            "{map}"
        );
    }
    // The program itself stays closed: who can open it can attach it.
    let program_pin = instance.fs().join(format!("prog_{}", ids[0]));
    assert_eq!(
        program_pin.metadata().expect("the pin").mode() & 0o7777,
        0o600
    );
}

#[test]
fn maps_group_opens_the_maps_to_a_group() {
    const MEMBER: u32 = 1234;
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-mode", "0640", "--maps-group", "1234"],
    );
    let pin = map_pin(&instance, ids[0], "counters");
    let metadata = pin.metadata().expect("the pin");
    assert_eq!(metadata.gid(), MEMBER);
    assert_eq!(metadata.mode() & 0o7777, 0o640);
    assert_eq!(read_as(MEMBER, &pin).map(|numbers| numbers[0]), Ok(0));
    read_as(NOBODY, &pin).expect_err("a user outside the group reads the map");
}

#[test]
fn a_group_without_a_mode_may_read_and_not_write() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-group", "1234"],
    );
    let metadata = map_pin(&instance, ids[0], "counters")
        .metadata()
        .expect("the pin");
    assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (1234, 0o640));
}

#[test]
fn maps_that_nobody_may_write_are_still_known() {
    let instance = Instance::start();
    let objects = Objects::new();
    let id = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count",
        &["--maps-mode", "0444"],
    )[0];
    instance.assert_no_drift();
    let program = instance
        .ctl(&["program", "get", &id.to_string(), "-o", "json"])
        .json();
    let maps = program["status"]["maps"].as_array().expect("maps");
    let pinned = maps.iter().filter(|map| map["pin_path"] != "");
    assert!(pinned.clone().count() > 0, "{program}");
    assert!(
        pinned.clone().all(|map| map["present"] == true),
        "{program}"
    );
}

#[test]
fn maps_of_another_program_keep_their_mode() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.order();
    let program = "tcx:order_first";
    let owner = instance.load(&object, program, &["--maps-group", "1234"])[0].to_string();
    let before = Traces::of(&instance);
    for flags in [["--maps-mode", "0644"], ["--maps-group", "5678"]] {
        let path = object.to_string_lossy();
        let load = ["program", "load", "file", &path, "--programs", program];
        let error = instance
            .ctl(&[&load[..], &["--map-owner-id", &owner], &flags].concat())
            .refused();
        assert!(error.contains("when the owner is loaded"), "{error}");
        before.assert_unchanged(&instance, &flags.join(" "));
    }
}

#[test]
fn a_mode_that_is_none_is_refused() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let path = object.to_string_lossy();
    for mode in ["10000", "rw", "888", "0755", "4640", ""] {
        let run = instance.ctl(&[
            "program",
            "load",
            "file",
            &path,
            "--programs",
            "xdp:xdp_count",
            "--maps-mode",
            mode,
        ]);
        run.misused();
    }
}
