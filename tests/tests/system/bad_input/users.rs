//! Users who may not.

use super::assert_says;
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::maps::NOBODY;
use bpfman_tests::netns::INTERFACE;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

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
    // Where nobody listens: who is refused for what he is does not hear of that.
    const IMAGE: &str = "localhost:1/nobody/there:v1";
    let attempts: [&[&str]; 16] = [
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
        &["program", "list"],
        &["program", "list", "--all"],
        &["program", "get", "1"],
        &["link", "list"],
        &["dispatcher", "list"],
        &["doctor"],
        &["chain", "show", INTERFACE],
        // What the image worker does, the loader decides about nevertheless.
        &["program", "load", "image", IMAGE, "--programs", "xdp:a"],
        &["image", "pull", IMAGE],
        &["image", "list"],
        &["image", "prune"],
        &[
            "link",
            "attach",
            "uprobe",
            "1",
            "/bin/sh",
            "--fn-name",
            "main",
        ],
    ];
    for arguments in attempts {
        let error = instance.ctl_as(NOBODY, arguments).refused();
        assert_says(&error, &["uid 65534 may not"]);
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
    let before = Traces::of(&instance);
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
    assert_says(&error, &["permission denied", "ls -l"]);
    before.assert_unchanged(&instance, "a file that the user may not read");
}
