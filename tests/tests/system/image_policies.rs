//! Who signed an image decides whether programs are loaded from it, before and after the configuration changes.

use bpfman_tests::authority::{Authority, Subject};
use bpfman_tests::binaries::program;
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::netns::Netns;
use bpfman_tests::registry::{self, Registry};
use bpfman_tests::signature;
use std::fs;
use std::path::Path;
use std::process::Command;

const SIGNER: &str = "signer@example.com";
const ISSUER: &str = "https://issuer.example.com";

/// Makes an image in the registry, signed with a key of this name or not at all.
fn make(netns: &Netns, folder: &Path, image: &str, key: Option<&str>) {
    let object = folder.join("counter.o");
    fs::write(&object, bpf::COUNTER).expect("a file");
    let mut command = Command::new(program("bpfmanctl"));
    command.args(["image", "build", image]).arg(&object);
    if let Some(key) = key {
        command.arg("--sign-key").arg(folder.join(key));
    }
    let output = netns.inside(|| command.output().expect("bpfmanctl"));
    assert!(output.status.success(), "{output:?}");
}

/// Makes a key pair; the public half goes to the trust directory.
fn make_key(folder: &Path, name: &str) {
    let key = rcgen::KeyPair::generate().expect("randomness");
    fs::write(folder.join(name), key.serialize_pem()).expect("a file");
    let public = folder.join("trust").join(format!("{name}.pub"));
    fs::write(public, key.public_key_pem()).expect("a file");
}

/// Writes the configuration and returns its path.
fn configure(folder: &Path, signing: &str) -> String {
    let path = folder.join("bpfman.toml");
    let trust = folder.join("trust");
    let text = format!(
        "[signing]\ntrust_dir = \"{}\"\n{signing}\n",
        trust.display()
    );
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn who_signed_decides_what_is_loaded_and_a_changed_policy_judges_again() {
    bpfman_tests::require!(registry::available());
    let (place, netns) = Instance::fresh_place();
    let folder = place.path();
    fs::create_dir(folder.join("trust")).expect("a folder");
    for name in ["good", "other"] {
        make_key(folder, name);
    }
    let registry = netns.inside(Registry::start);
    let image = |name: &str| registry.image(&format!("{name}:v1"));
    let (signed, stranger, unsigned) = (
        image("acme/signed"),
        image("acme/stranger"),
        image("acme/unsigned"),
    );
    make(&netns, folder, &signed, Some("good"));
    make(&netns, folder, &stranger, Some("other"));
    make(&netns, folder, &unsigned, None);

    let config = configure(folder, "keys = [\"good.pub\"]");
    let mut instance = Instance::start_in(place.clone(), netns.clone(), &["--config", &config]);
    let load = |instance: &Instance, image: &str| {
        let what = [
            "program",
            "load",
            "image",
            image,
            "--programs",
            "xdp:xdp_count",
        ];
        instance.ctl(&[&what[..], &["-o", "json"]].concat())
    };
    let cached = |instance: &Instance| {
        let what = [
            "program",
            "load",
            "image",
            &signed,
            "--programs",
            "xdp:xdp_count",
        ];
        instance.ctl(&[&what[..], &["--pull-policy", "Never"]].concat())
    };
    let error = load(&instance, &unsigned).refused();
    assert!(error.contains("is not signed"), "{error}");
    let error = load(&instance, &stranger).refused();
    assert!(
        error.contains("none of the trusted keys made it"),
        "{error}"
    );
    let listed = instance.ctl(&["image", "list", "-o", "json"]).ok();
    assert!(!listed.contains("acme/"), "{listed}");

    let loaded = load(&instance, &signed).json();
    let id = loaded["programs"][0]["record"]["program_id"].to_string();
    let shown = instance.ctl(&["program", "get", &id]).ok();
    assert!(shown.contains("good.pub"), "{shown}");
    instance.assert_no_drift();
    let verified = instance.ctl(&["image", "verify", &signed]).ok();
    assert!(
        verified.contains("signature verified\n  Signed by: key good.pub"),
        "{verified}"
    );
    let error = instance.ctl(&["image", "verify", &unsigned]).refused();
    assert!(error.contains("is not signed"), "{error}");

    // What was verified is loaded from the cache while there is no registry.
    drop(registry);
    load(&instance, &signed).ok();

    // Another configuration: nothing runs less, but it is said, and nothing more comes of the cache.
    instance.stop();
    let config = configure(folder, "keys = [\"other.pub\"]\nlocal_files = \"refuse\"");
    let mut instance = Instance::start_in(place.clone(), netns.clone(), &["--config", &config]);
    let error = cached(&instance).refused();
    assert!(
        error.contains("none of the trusted keys made it"),
        "{error}"
    );
    instance.ctl(&["program", "get", &id]).ok();
    let doctor = instance.ctl(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    let finding = doctor
        .stdout
        .lines()
        .find(|line| line.contains(&format!("program {id} ")));
    assert!(
        finding.is_some_and(|line| line.contains("present policy")),
        "{doctor:?}"
    );

    let objects = Objects::new();
    let object = objects
        .file("counter.o", bpf::COUNTER)
        .display()
        .to_string();
    let file = [
        "program",
        "load",
        "file",
        &object,
        "--programs",
        "xdp:xdp_count",
    ];
    let error = instance.ctl(&file).refused();
    assert!(error.contains("signing.local_files"), "{error}");

    // A policy that cannot be read accepts nothing.
    instance.stop();
    let config = configure(folder, "keys = [\"missing.pub\"]");
    let mut instance = Instance::start_in(place.clone(), netns.clone(), &["--config", &config]);
    let error = load(&instance, &signed).refused();
    assert!(error.contains("missing.pub"), "{error}");
    let log = instance.log();
    assert!(log.contains("no image is accepted"), "{log}");
    instance.stop();
}

#[test]
fn identities_are_verified_by_the_worker_in_its_sandbox() {
    bpfman_tests::require!(registry::available());
    let (place, netns) = Instance::fresh_place();
    let folder = place.path();
    let mut authority = Authority::default();
    fs::create_dir(folder.join("trust")).expect("a folder");
    let root = authority.trusted_root().to_string();
    fs::write(folder.join("trust/trusted_root.json"), root).expect("a file");
    let registry = netns.inside(Registry::start);
    let mut images = Vec::new();
    for (name, subject, as_bundle) in [
        ("layer", SIGNER, false),
        ("bundle", SIGNER, true),
        ("stranger", "stranger@example.com", false),
    ] {
        let image = registry.image(&format!("acme/{name}:v1"));
        make(&netns, folder, &image, None);
        let subject = Subject::new(subject, ISSUER);
        netns.inside(|| signature::store(&mut authority, &image, &subject, as_bundle));
        images.push(image);
    }
    let trusted = format!(
        "[[signing.trusted_identities]]\ncertificate_identity_regexp = \"signer@example\\\\.com\"\n\
         certificate_oidc_issuer = \"{ISSUER}\""
    );
    let config = configure(folder, &trusted);
    let mut instance = Instance::start_in(place.clone(), netns.clone(), &["--config", &config]);
    for image in &images[..2] {
        instance.ctl(&["image", "pull", image]).ok();
    }
    let listed = instance.ctl(&["image", "list"]).ok();
    assert_eq!(listed.matches(SIGNER).count(), 2, "{listed}");
    let error = instance.ctl(&["image", "pull", &images[2]]).refused();
    assert!(error.contains("stranger@example.com"), "{error}");
    instance.stop();
}
