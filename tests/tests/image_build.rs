//! Images that we build are read by `skopeo`, and those that it copies are read by us.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start processes"
)]
#![allow(clippy::panic, reason = "helpers of tests fail their test")]

use bpfman_tests::binaries;
use bpfman_tests::registry::Registry;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

const INSECURE: &str = "--tls-verify=false";

fn run(program: &Path, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(words)
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout)),
        false => Err(text(output.stderr)),
    }
}

fn ctl(words: &[&str]) -> Result<String, String> {
    run(&binaries::program("bpfmanctl"), words)
}

fn skopeo(words: &[&str]) -> String {
    run(Path::new("skopeo"), words).unwrap_or_else(|error| panic!("skopeo {words:?}: {error}"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The digest at the end of what a command says.
fn digest(said: &str) -> &str {
    said.trim().rsplit('@').next().unwrap()
}

#[test]
fn skopeo_reads_what_we_push_and_the_digest_is_the_same_each_time() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("counter.o");
    fs::write(&object, bpf::COUNTER).unwrap();
    let object = object.to_str().unwrap();
    let image = registry.image("acme/counter:v1");
    let said = ctl(&["image", "build", &image, object]).unwrap();
    let name = registry.image("acme/counter");
    assert!(
        said.starts_with(&format!("published: {name}@sha256:")),
        "{said}"
    );
    let again = ctl(&["image", "build", &registry.image("other:v2"), object]).unwrap();
    assert_eq!(digest(&said), digest(&again));

    let seen = json(&skopeo(&[
        "inspect",
        INSECURE,
        &format!("docker://{image}"),
    ]));
    assert_eq!(seen["Digest"], digest(&said));
    assert_eq!(seen["Created"], "1970-01-01T00:00:00Z");
    let label = |key: &str| json(seen["Labels"][key].as_str().unwrap());
    assert_eq!(label("io.ebpf.programs")["xdp_count"], "xdp");
    assert_eq!(label("io.ebpf.maps")["traffic"], "per_cpu_array");

    let later = [
        "image",
        "build",
        &image,
        object,
        "--source-date-epoch",
        "1700000000",
    ];
    assert_ne!(digest(&ctl(&later).unwrap()), digest(&said));
}

#[test]
fn layouts_go_both_ways() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("counter.o"), bpf::COUNTER).unwrap();
    let inputs =
        ["linux/amd64", "linux/arm64"].map(|platform| format!("{platform}={}", path("counter.o")));
    let image = registry.image("acme/counter:v1");
    for (save, transport) in [("ours", "oci"), ("ours.tar", "oci-archive")] {
        let save = path(save);
        let words = [
            "image", "build", &image, &inputs[0], &inputs[1], "--save", &save,
        ];
        let said = ctl(&words).unwrap();
        let raw = json(&skopeo(&[
            "inspect",
            "--raw",
            &format!("{transport}:{save}:v1"),
        ]));
        let platforms: Vec<_> = raw["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|manifest| &manifest["platform"]["architecture"])
            .collect();
        assert_eq!(platforms, ["amd64", "arm64"]);
        assert!(ctl(&words).unwrap_err().contains("exists"));

        let pushed = ctl(&["image", "push", &image, &save]).unwrap();
        assert_eq!(digest(&pushed), digest(&said));
        let copy = format!("copy-of-{transport}");
        let target = format!("oci:{}:v1", path(&copy));
        skopeo(&[
            "copy",
            "--all",
            "--src-tls-verify=false",
            &format!("docker://{image}"),
            &target,
        ]);
        let copied = ctl(&[
            "image",
            "push",
            &registry.image(&format!("{copy}:v1")),
            &path(&copy),
        ])
        .unwrap();
        assert_eq!(digest(&copied), digest(&said));
    }
    let none = ctl(&["image", "push", &image, &path("counter.o")]).unwrap_err();
    assert!(none.contains("is no OCI layout"), "{none}");
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("counter.o");
    fs::write(&object, bpf::COUNTER).unwrap();
    let error = ctl(&[
        "image",
        "build",
        "127.0.0.1:1/a:v1",
        object.to_str().unwrap(),
    ])
    .unwrap_err();
    assert!(error.contains("127.0.0.1:1"), "{error}");
}
