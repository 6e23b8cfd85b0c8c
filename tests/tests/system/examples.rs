//! The example applications, in three languages: each reads the counters of a managed program without privilege.

use bpfman_tests::binaries::program;
use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::{kernel, maps, require};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A group that nobody else is in.
const GROUP: u32 = 1234;
const STRANGER: u32 = 1235;

/// Where the sources are: compilers are on the machine that builds, not in its virtual machines.
fn sources() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err("the sources of the examples are not in this machine".to_owned())
    }
}

fn build(command: &mut Command) {
    let output = command.output().expect("a compiler");
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// All three applications, built as their README says.
fn applications(sources: &Path, built: &TempDir) -> Vec<PathBuf> {
    let c = built.path().join("traffic-c");
    build(
        Command::new("cc")
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&c)
            .arg(sources.join("c/traffic.c"))
            .arg("-lbpf"),
    );
    let go = built.path().join("traffic-go");
    build(
        Command::new("go")
            .current_dir(sources.join("go"))
            // The library is Debian's package: no module is fetched.
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .env("GOCACHE", built.path().join("go-cache"))
            .args(["build", "-o"])
            .arg(&go)
            .arg("main.go"),
    );
    vec![program("example-traffic"), c, go]
}

fn run_as(uid: u32, application: &Path, pin: &Path) -> Output {
    Command::new(program("as-user"))
        .arg(uid.to_string())
        .args([application, pin])
        .output()
        .expect("as-user")
}

#[test]
fn examples_read_the_counters_of_managed_programs() {
    require!(kernel::tcx());
    require!(sources());
    let sources = sources().expect("sources");
    let instance = Instance::start();
    let objects = Objects::new();
    let id = instance.load(
        &objects.object("counter"),
        "tcx:tcx_ingress_count",
        &["--maps-mode", "0660", "--maps-group", &GROUP.to_string()],
    )[0];
    instance.attach(&["tcx", &id.to_string(), INTERFACE, "ingress", "-p", "50"]);
    instance.netns().send_packets(5);

    let pin = map_pin(&instance, id, "traffic");
    let numbers = maps::read_as(GROUP, &pin).expect("the counters");
    let expected: String = numbers
        .chunks_exact(2)
        .enumerate()
        .map(|(slot, traffic)| format!("{slot} {} {}\n", traffic[0], traffic[1]))
        .collect();
    assert!(numbers[0] >= 5 && numbers[1] > numbers[0], "{expected}");

    let built = tempfile::Builder::new()
        .prefix("bpfman-examples-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .expect("a directory");
    for application in applications(&sources, &built) {
        let output = run_as(GROUP, &application, &pin);
        assert_eq!(
            (
                String::from_utf8_lossy(&output.stdout).as_ref(),
                String::from_utf8_lossy(&output.stderr).as_ref()
            ),
            (expected.as_str(), ""),
            "{}",
            application.display()
        );
        let refused = run_as(STRANGER, &application, &pin);
        let said = String::from_utf8_lossy(&refused.stderr).to_lowercase();
        assert!(
            !refused.status.success() && said.contains("permission"),
            "{}: {said}",
            application.display()
        );
    }
}
