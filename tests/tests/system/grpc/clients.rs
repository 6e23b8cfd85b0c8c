//! Clients in other languages, with their own libraries, made of our proto.

use crate::images::{Place, UNSIGNED};
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::registry::available;
use bpfman_tests::require;
use bpfman_tests::uprobe_target::Target;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the workspace: what makes and runs these clients is on the machine that builds, not in its virtual machines.
fn present(path: &str, remedy: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    match path.exists() {
        true => Ok(path),
        false => Err(format!("{} is not in this machine{remedy}", path.display())),
    }
}

/// Runs to the end, which must be good; what it printed.
#[track_caller]
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("started");
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn python() {
    require!(available());
    let python = present("../target/python/bin/python3", ": cargo xtask setup");
    require!(python);
    let python = python.expect("present");
    let client = present("clients/python/client.py", "").expect("the client");
    let protos = present("../api-worker/proto", "").expect("the proto");

    let place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    let image = registry.image("acme/counter:v1");
    place.copy(&place.layout(), &image, &[]);
    let silent = place
        .instance
        .netns()
        .inside(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let object = place.objects.object("counter");
    let target = Target::start();
    let places = json!({
        "socket": place.instance.grpc_socket(),
        "protos": protos,
        "folder": object.parent(),
        "object": object,
        "interface": INTERFACE,
        "target": target.path(),
        "function": "bpfman_probe_here",
        "image": image,
        "silent": format!("{}/acme/silent:v1", silent.local_addr().expect("bound")),
    });
    let printed = run(Command::new(python).arg(client).arg(places.to_string()));
    let left: Value = serde_json::from_slice(&printed).expect("what it left");

    // The interface tells of no metadata of links; they are kept.
    let link = left["link"].to_string();
    let shown = place
        .instance
        .ctl(&["link", "get", &link, "-o", "json"])
        .json();
    assert_eq!(shown["record"]["metadata"]["team"], "net", "{shown}");
    place.instance.assert_no_drift();
}

/// With the libraries and tools of Debian's packages: no module is fetched.
#[test]
fn go() {
    let client = present("clients/go/main.go", "");
    require!(client);
    let client = client.expect("present");
    let protos = present("../api-worker/proto", "").expect("the proto");

    const PROTO: &str = "bpfman/v1/bpfman.proto";
    const PACKAGE: &str = "example.org/bpfman/v1";
    let folder = tempfile::tempdir().expect("a folder");
    let sources = folder.path().join("src");
    fs::create_dir_all(sources.join(PACKAGE)).expect("a folder");
    let mut protoc = Command::new("protoc");
    protoc
        .arg("-I")
        .arg(protos)
        .arg("--experimental_allow_proto3_optional");
    for tool in ["go", "go-grpc"] {
        protoc
            .arg(format!("--{tool}_out={}", sources.display()))
            .arg(format!("--{tool}_opt=M{PROTO}={PACKAGE}"));
    }
    run(protoc.arg(PROTO));
    let built = folder.path().join("client");
    // Kept: the libraries take long to compile.
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/go-cache");
    run(Command::new("go")
        .env("GO111MODULE", "off")
        .env(
            "GOPATH",
            format!("{}:/usr/share/gocode", folder.path().display()),
        )
        .env("GOCACHE", cache)
        .args(["build", "-o"])
        .args([&built, &client]));

    let instance = Instance::start();
    let objects = Objects::new();
    run(Command::new(built)
        .arg(instance.grpc_socket())
        .arg(objects.object("counter"))
        .arg(INTERFACE));
    instance.assert_no_drift();
}
