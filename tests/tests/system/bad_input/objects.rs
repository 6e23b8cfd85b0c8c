//! Object files that cannot be loaded.

use super::{assert_says, load};
use bpfman_tests::elf;
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use ipc::limits;
use std::fs;

#[test]
fn files_that_are_no_objects() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let mut big_endian = bpf::COUNTER.to_vec();
    big_endian[elf::ENDIANNESS] = 2;
    let mut other_machine = bpf::COUNTER.to_vec();
    other_machine[elf::MACHINE..elf::MACHINE + 2].copy_from_slice(&62u16.to_le_bytes());
    let too_large = usize::try_from(limits::OBJECT_BYTES).expect("a size") + 1024 * 1024;
    let folder = objects.path("folder.o");
    fs::create_dir(&folder).expect("mkdir");

    let missing = objects.path("missing.o");
    let cases = [
        (
            "a missing file",
            missing,
            &["missing.o", "does not exist"][..],
        ),
        ("a directory", folder, &["folder.o", "directory"][..]),
        (
            "an empty file",
            objects.file("empty.o", b""),
            &["empty"][..],
        ),
        (
            "17 MiB",
            objects.file("large.o", &vec![0x7f; too_large]),
            &["16777216", "strip"][..],
        ),
        (
            "a text",
            objects.file("text.o", b"#!/bin/sh\necho not an object\n"),
            &["ELF"][..],
        ),
        (
            "big endian",
            objects.file("endian.o", &big_endian),
            &["endian"][..],
        ),
        (
            "another machine",
            objects.file("machine.o", &other_machine),
            &["machine"][..],
        ),
    ];
    for (what, path, words) in cases {
        let error = load(&instance, &path, "xdp:xdp_count").failed();
        assert_says(&error, words);
        before.assert_unchanged(&instance, what);
    }
}

#[test]
fn an_object_cut_off_at_every_boundary() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    for end in elf::boundaries(bpf::COUNTER) {
        let path = objects.file("cut.o", &bpf::COUNTER[..end]);
        let run = load(&instance, &path, "xdp:xdp_count");
        // What the cut removes may not be needed: an object that still loads is taken away again.
        if run.code == 0 {
            let ids = instance.ctl(&["program", "list", "-q"]).ok();
            assert!(end > 0x40, "an object of {end} bytes was loaded");
            instance.ctl(&["program", "unload", ids.trim()]).ok();
        } else {
            assert_says(&run.refused(), &["object: "]);
        }
    }
    before.assert_unchanged(&instance, "objects that were cut off");
    for row in instance.status() {
        assert_eq!(
            row.restarts,
            0,
            "{} was restarted\n{}",
            row.role,
            instance.log()
        );
    }
}

#[test]
fn programs_that_are_not_in_the_object() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let error = load(&instance, &objects.object("counter"), "xdp:xdp_cuont").refused();
    assert_says(&error, &["xdp_cuont", "xdp_count", "tcx_ingress_count"]);
    // One of two is enough to refuse both.
    let error = load(
        &instance,
        &objects.object("counter"),
        "xdp:xdp_count,tcx:nothing",
    )
    .refused();
    assert_says(&error, &["nothing"]);
    let error = load(
        &instance,
        &objects.object("counter"),
        "xdp:tracepoint_count",
    )
    .refused();
    assert_says(
        &error,
        &[
            "program type mismatch",
            "xdp",
            "tracepoint/syscalls/sys_enter_getpid",
        ],
    );
    before.assert_unchanged(&instance, "programs that do not exist");
}

#[test]
fn the_verifier_rejects_with_its_whole_log() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let error = load(&instance, &objects.object("invalid"), "tcx:rejected").refused();
    // The first instruction, the reason, and the summary are all there.
    assert_says(
        &error,
        &["rejected", "0: ", "map_value_or_null", "processed "],
    );
    before.assert_unchanged(&instance, "a program that the verifier rejects");

    // One that is good goes with one that is not.
    let error = load(
        &instance,
        &objects.object("invalid"),
        "tcx:accepted,tcx:rejected",
    )
    .refused();
    assert_says(&error, &["rejected"]);
    before.assert_unchanged(&instance, "a pair of which the verifier rejects one");

    let error = load(&instance, &objects.object("invalid"), "xdp:unresolved").refused();
    assert_says(&error, &["unresolved"]);
    before.assert_unchanged(
        &instance,
        "a program that needs what the kernel does not have",
    );
}
