//! Command lines that are wrong, and ids that are none or gone.

use super::{assert_mentions, assert_says};
use bpfman_tests::ctl;
use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use std::fs;

#[test]
fn ids_that_are_none_or_gone() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for id in ["abc", "-1", "4294967296", ""] {
        for command in [
            &["program", "get", "--", id][..],
            &["program", "unload", "--", id],
            &["link", "attach", "xdp", "-p", "1", "--", id, INTERFACE],
        ] {
            assert_wrong_id(&instance, command, "program", id);
        }
    }
    for id in ["abc", "-1", "18446744073709551616", ""] {
        for command in ["get", "detach"] {
            assert_wrong_id(&instance, &["link", command, "--", id], "link", id);
        }
    }
    before.assert_unchanged(&instance, "ids that are none");

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

/// The command line is wrong: the error names the id and says what an id is, and there is a short usage instead of a stage.
#[track_caller]
fn assert_wrong_id(instance: &Instance, arguments: &[&str], noun: &str, id: &str) {
    let error = instance.ctl(arguments).misused();
    let cause = format!("invalid {noun} ID \"{id}\"");
    assert_mentions(&error, &[&cause, "must be a decimal number", "usage: "]);
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
