//! Bad input of every kind: an error that names stage, cause and remedy, and nothing left in kernel, pins, store, on disk.

use bpfman_tests::ctl::Run;
use bpfman_tests::elf;
use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::maps::NOBODY;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::{ctl, kernel, require};
use ipc::limits;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Stages of the errors that these tests provoke.
const STAGES: [&str; 11] = [
    "connect", "request", "policy", "object", "compile", "load", "resolve", "attach", "detach",
    "unload", "query",
];

/// Tries to load a program of an object.
fn load(instance: &Instance, object: &Path, programs: &str) -> Run {
    instance.ctl(&[
        "program",
        "load",
        "file",
        &object.to_string_lossy(),
        "--programs",
        programs,
    ])
}

/// The error is `STAGE: CAUSE; REMEDY`, and all of the words are in it.
#[track_caller]
fn assert_says(error: &str, words: &[&str]) {
    assert!(
        error.lines().any(is_explained),
        "stage, cause or remedy is missing: {error}"
    );
    assert_mentions(error, words);
}

/// Whether a line, behind what it is about, goes on with a stage, a cause and a remedy.
fn is_explained(line: &str) -> bool {
    let mut parts = line.split(": ").skip_while(|part| !STAGES.contains(part));
    let rest: Vec<&str> = parts.by_ref().skip(1).collect();
    rest.join(": ")
        .split_once("; ")
        .is_some_and(|(cause, remedy)| !cause.is_empty() && !remedy.is_empty())
}

/// All of the words are in the error, whatever their case.
#[track_caller]
fn assert_mentions(error: &str, words: &[&str]) {
    let lower = error.to_lowercase();
    for word in words {
        assert!(
            lower.contains(&word.to_lowercase()),
            "no \"{word}\" in: {error}"
        );
    }
}

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

#[test]
fn places_that_do_not_exist() {
    let instance = Instance::start();
    let tracing = Counter::load(&instance, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let xdp = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let probe = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let own = std::env::current_exe()
        .expect("a path")
        .to_string_lossy()
        .into_owned();
    let text = objects
        .file("text", b"not a binary")
        .to_string_lossy()
        .into_owned();

    let attempts: [(&[&str], &[&str]); 9] = [
        (&["xdp", &xdp.id(), "nowhere0", "-p", "50"], &["nowhere0"]),
        (
            &["tracepoint", &tracing.id(), "syscalls/sys_enter_getpidd"],
            &["sys_enter_getpidd", "did you mean", "sys_enter_getpid"],
        ),
        (
            &["tracepoint", &tracing.id(), "nogroup/nothing"],
            &["nogroup/nothing"],
        ),
        (
            &["uprobe", &probe.id(), &own, "-f", "no_such_function_here"],
            &["no_such_function_here"],
        ),
        (
            &["uprobe", &probe.id(), &text, "-f", "main"],
            &["text", "ELF"],
        ),
        (
            &["uprobe", &probe.id(), "/nonexistent/binary", "-f", "main"],
            &["/nonexistent/binary"],
        ),
        (
            &[
                "uprobe",
                &probe.id(),
                "libnothing-of-this-name",
                "-f",
                "main",
            ],
            &["libnothing-of-this-name"],
        ),
        (&["uprobe", &probe.id(), "/usr", "-f", "main"], &["/usr"]),
        // The wrong command for the program.
        (
            &["xdp", &tracing.id(), INTERFACE, "-p", "50"],
            &["is a tracepoint program", "xdp"],
        ),
    ];
    for (arguments, words) in attempts {
        let mut all = vec!["link", "attach"];
        all.extend(arguments);
        let error = instance.ctl(&all).failed();
        assert_says(&error, words);
        before.assert_unchanged(&instance, &all.join(" "));
    }
}

#[test]
fn an_interface_that_does_not_exist_for_tcx() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let counter = Counter::load(&instance, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
    let before = Traces::of(&instance);
    let error = instance
        .ctl(&[
            "link",
            "attach",
            "tcx",
            &counter.id(),
            "nowhere0",
            "ingress",
            "-p",
            "1",
        ])
        .refused();
    assert_says(&error, &["nowhere0"]);
    before.assert_unchanged(&instance, "tcx on no interface");
}

#[test]
fn a_kernel_without_tcx_says_so() {
    if kernel::tcx().is_ok() {
        bpfman_tests::skip::skip("a_kernel_without_tcx_says_so", "this kernel has tcx");
        return;
    }
    let instance = Instance::start();
    let counter = Counter::load(&instance, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
    let before = Traces::of(&instance);
    let error = instance
        .ctl(&[
            "link",
            "attach",
            "tcx",
            &counter.id(),
            INTERFACE,
            "ingress",
            "-p",
            "1",
        ])
        .refused();
    assert_says(&error, &["tcx", "kernel"]);
    before.assert_unchanged(&instance, "tcx on a kernel without it");
}

#[test]
fn ids_that_are_none_or_gone() {
    let instance = Instance::start();
    for id in ["abc", "-1", "4294967296", ""] {
        instance.ctl(&["program", "get", id]).misused();
        instance.ctl(&["program", "unload", "--", id]).misused();
    }
    // The command line itself is wrong: there is a usage instead of a stage.
    assert_mentions(
        &instance.ctl(&["program", "get", "abc"]).misused(),
        &["invalid program ID", "abc"],
    );
    instance.ctl(&["link", "get", "abc"]).misused();

    let counter = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let (link, _) = instance.attach(&["xdp", &counter.id(), INTERFACE, "-p", "1"]);
    let link = link.to_string();
    instance.ctl(&["link", "detach", &link]).ok();
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    let before = Traces::of(&instance);
    let id = counter.id();
    assert_says(
        &instance.ctl(&["program", "get", &id]).refused(),
        &["not found"],
    );
    assert_says(
        &instance.ctl(&["link", "get", &link]).refused(),
        &["not found"],
    );
    assert_says(
        &instance.ctl(&["program", "unload", &id]).refused(),
        &[
            &format!("program {id}"),
            "does not exist",
            "1 of 1 program(s) failed to unload",
        ],
    );
    assert_says(
        &instance.ctl(&["link", "detach", &link]).refused(),
        &[&format!("link {link}"), "does not exist"],
    );
    assert_says(
        &instance
            .ctl(&["link", "attach", "xdp", &id, INTERFACE, "-p", "1"])
            .refused(),
        &[&format!("program {id} does not exist")],
    );
    instance
        .ctl(&["program", "unload", "--ignore-missing", &id])
        .ok();
    instance
        .ctl(&["link", "detach", "--ignore-missing", &link])
        .ok();
    before.assert_unchanged(&instance, "ids that are gone");
}

#[test]
fn users_without_permission() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let error = instance.ctl_as(NOBODY, &["program", "list"]).refused();
    assert_says(&error, &["permission", "bpfman"]);
    assert!(
        !error.contains("usermod -aG root"),
        "told to become root: {error}"
    );

    // Even who gets at the socket is asked who he is.
    fs::set_permissions(instance.socket(), Permissions::from_mode(0o666)).expect("chmod");
    let objects = Objects::new();
    let object = objects.object("counter");
    fs::set_permissions(
        object.parent().expect("a folder"),
        Permissions::from_mode(0o755),
    )
    .expect("chmod");
    let path = object.to_string_lossy().into_owned();
    let attempts: [&[&str]; 4] = [
        &[
            "program",
            "load",
            "file",
            &path,
            "--programs",
            "xdp:xdp_count",
        ],
        &["program", "unload", "1"],
        &["link", "attach", "xdp", "1", INTERFACE, "-p", "1"],
        &["link", "detach", "1"],
    ];
    for arguments in attempts {
        let error = instance.ctl_as(NOBODY, arguments).refused();
        assert_says(&error, &["65534"]);
        before.assert_unchanged(&instance, &arguments.join(" "));
    }
}

#[test]
fn a_file_that_the_user_may_not_read_is_not_read_for_him() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    fs::set_permissions(&object, Permissions::from_mode(0o600)).expect("chmod");
    let path = object.to_string_lossy().into_owned();
    let error = instance
        .ctl_as(
            NOBODY,
            &[
                "program",
                "load",
                "file",
                &path,
                "--programs",
                "xdp:xdp_count",
            ],
        )
        .failed();
    assert_says(&error, &["permission denied"]);
}

#[test]
fn no_service_says_how_to_start_one() {
    let objects = Objects::new();
    let run = ctl::ctl(&objects.path("no-service-here"), &["program", "list"]);
    assert_says(&run.refused(), &["bpfmanctl.sock", "bpfmand"]);
    // A socket that nobody listens at is the same to the user.
    let folder = objects.path("dead");
    fs::create_dir(&folder).expect("mkdir");
    drop(std::os::unix::net::UnixListener::bind(folder.join("bpfmanctl.sock")).expect("bind"));
    assert_says(
        &ctl::ctl(&folder, &["program", "list"]).refused(),
        &["bpfmand"],
    );
}

#[test]
fn command_lines_that_are_wrong() {
    let instance = Instance::start();
    let objects = Objects::new();
    let path = objects.object("counter").to_string_lossy().into_owned();
    let cases: [&[&str]; 8] = [
        &[],
        &["program", "load", "file", &path],
        &["program", "load", "file", &path, "--programs", ""],
        &[
            "program",
            "load",
            "file",
            &path,
            "--programs",
            "nothing:xdp_count",
        ],
        &[
            "program",
            "load",
            "file",
            &path,
            "--programs",
            "xdp:xdp_count",
            "-g",
            "step=0",
        ],
        &["program", "list", "-o", "yaml"],
        &["link", "attach", "tcx", "1", "lo", "sideways", "-p", "1"],
        &["link", "attach", "tracepoint", "1", "no-slash"],
    ];
    for arguments in cases {
        instance.ctl(arguments).misused();
    }
}
