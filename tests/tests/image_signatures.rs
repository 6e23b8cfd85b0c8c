//! Signatures as registries keep them: pushed, found again, judged.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests start processes"
)]

use bpfman_tests::authority::{self, Authority, NOW, Subject};
use bpfman_tests::binaries;
use bpfman_tests::registry::Registry;
use bpfman_tests::signature;
use image_worker::evidence;
use ipc::messages::signing::{Grounds, Pattern, Signers, SigningSettings, TrustedIdentity};
use oci::build::{self, Content, Image, Input, Recipe};
use oci::manifest::Platform;
use oci::registry::{Client, Repository, Settings};
use oci::{Digest, Reference, Selector, media_type};
use signing::{Policy, Trust};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

const SIGNER: &str = "signer@example.com";
const ISSUER: &str = "https://issuer.example.com";

fn image() -> Image {
    let input = Input {
        platform: Platform::host(),
        name: "counter.o".to_owned(),
        object: bpf::COUNTER.to_vec(),
    };
    let recipe = Recipe {
        inputs: vec![input],
        programs: BTreeMap::new(),
        maps: BTreeMap::new(),
        created: (0, "1970-01-01T00:00:00Z".to_owned()),
        index: false,
    };
    build::build(&recipe).unwrap()
}

async fn push(repository: &Repository, image: &Image, tag: &str) {
    for blob in &image.blobs {
        repository.push_blob(&blob.bytes).await.unwrap();
    }
    let top = &image.top;
    let selector = Selector::Tag(tag.to_owned());
    let pushed = repository
        .push_manifest(&selector, &top.media_type, &top.bytes)
        .await;
    assert_eq!(pushed.unwrap(), top.digest);
}

/// Pushes a bundle about an image that says of itself what it states.
async fn refer(repository: &Repository, image: &Image, bundle: &str, states: &str) {
    let key = "dev.sigstore.bundle.predicateType".to_owned();
    let annotations = [(key, states.to_owned())].into();
    signature::refer(repository, image.top.descriptor(), bundle, annotations).await;
}

fn policy(authority: &Authority, keys: &[(&str, String)]) -> Policy {
    let exact = |text: &str| Pattern::Exact(text.to_owned());
    let settings = SigningSettings {
        signers: Signers {
            keys: keys.iter().map(|(name, _)| (*name).to_owned()).collect(),
            identities: vec![TrustedIdentity {
                subject: exact(SIGNER),
                issuer: exact(ISSUER),
            }],
            logged: false,
        },
        ..SigningSettings::default()
    };
    let root = ("trusted_root.json", authority.trusted_root().to_string());
    let files = keys.iter().cloned().chain([root]);
    let files = files.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    Policy::new(&settings, &Trust::new(files.collect()).unwrap()).unwrap()
}

#[tokio::test]
async fn signatures_of_both_forms_are_found_and_judged() {
    let registry = Registry::start();
    let mut authority = Authority::default();
    let certificate = authority.certificates.issue(&Subject::new(SIGNER, ISSUER));
    let policy = policy(&authority, &[]);
    let image = image();
    let digest = image.top.digest;
    let client = Client::new(Settings::default()).unwrap();
    for form in ["tag", "referrer"] {
        let reference: Reference = registry
            .image(&format!("signed/{form}:v1"))
            .parse()
            .unwrap();
        let repository = client.repository(&reference, None).unwrap();
        push(&repository, &image, "v1").await;
        let none = evidence::fetch(&repository, &digest).await.unwrap();
        assert!(none.is_empty());
        let refused = evidence::judge(&reference, &digest, &none, &policy).unwrap_err();
        assert!(refused.to_string().contains("is not signed"), "{refused}");

        // Something about the image that is no signature, of the same signer, and ahead of it.
        let mut about_tests = authority::statement(&digest.to_string());
        about_tests["predicateType"] = "https://slsa.dev/provenance/v1".into();
        let about_tests = authority
            .sign_statement(&certificate, &about_tests, NOW)
            .to_string();
        for states in [
            "https://slsa.dev/provenance/v1",
            "https://sigstore.dev/cosign/sign/v1",
        ] {
            refer(&repository, &image, &about_tests, states).await;
        }
        let found = evidence::fetch(&repository, &digest).await.unwrap();
        // The one that says what it is is not fetched; the one that lies is, and does not count.
        assert_eq!(found.len(), 1);
        let refused = evidence::judge(&reference, &digest, &found, &policy).unwrap_err();
        assert!(
            refused.to_string().contains("it is an attestation"),
            "{refused}"
        );

        if form == "tag" {
            let payload = authority::payload(&reference.name(), &digest.to_string());
            let (payload, annotations) = authority.sign_payload(&certificate, payload, NOW);
            let layer = Content::new(signing::material::PAYLOAD_TYPE, payload);
            let signatures = build::signatures(&[(layer, annotations)]).unwrap();
            push(&repository, &signatures, &build::signature_tag(&digest)).await;
        } else {
            let statement = authority::statement(&digest.to_string());
            let bundle = authority
                .sign_statement(&certificate, &statement, NOW)
                .to_string();
            refer(
                &repository,
                &image,
                &bundle,
                "https://sigstore.dev/cosign/sign/v1",
            )
            .await;
        }
        let found = evidence::fetch(&repository, &digest).await.unwrap();
        let kept = evidence::decode(&evidence::encode(&found).unwrap()).unwrap();
        assert_eq!(kept, found);
        let accepted = evidence::judge(&reference, &digest, &kept, &policy).unwrap();
        assert_eq!(accepted.policy, policy.digest());
        assert!(matches!(accepted.grounds, Grounds::Identity { subject, .. } if subject == SIGNER));
        // What is signed is this content, whatever has the tag.
        let other = evidence::judge(&reference, &Digest::of(b"other"), &kept, &policy);
        assert!(other.unwrap_err().to_string().contains("it was made for"));
    }
}

#[tokio::test]
async fn what_the_command_signs_counts_for_its_repository_alone() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("counter.o"), bpf::COUNTER).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    fs::write(path("sign.key"), key.serialize_pem()).unwrap();
    let name = registry.image("acme/counter:v1");
    let output = Command::new(binaries::program("bpfmanctl"))
        .args(["image", "build", &name])
        .arg(path("counter.o"))
        .arg("--sign-key")
        .arg(path("sign.key"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let reference: Reference = name.parse().unwrap();
    let repository = Client::new(Settings::default())
        .unwrap()
        .repository(&reference, None)
        .unwrap();
    let fetched = repository
        .fetch_manifest(&reference.selector())
        .await
        .unwrap();
    let found = evidence::fetch(&repository, &fetched.digest).await.unwrap();
    let trusting = policy(&Authority::default(), &[("a.pub", key.public_key_pem())]);
    let accepted = evidence::judge(&reference, &fetched.digest, &found, &trusting).unwrap();
    assert!(matches!(accepted.grounds, Grounds::Key { name, .. } if name == "a.pub"));
    let elsewhere: Reference = registry.image("evil/counter:v1").parse().unwrap();
    let refused = evidence::judge(&elsewhere, &fetched.digest, &found, &trusting).unwrap_err();
    assert!(refused.to_string().contains("acme/counter"), "{refused}");
}

/// Runs `bpfmanctl image`: exit code, output, errors.
fn ctl(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(binaries::program("bpfmanctl"))
        .arg("image")
        .args(words)
        .env_remove("BPFMAN_REGISTRY_AUTH")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn the_verify_command_says_who_signed_and_why_not() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut authority = Authority::default();
    fs::create_dir(path("trust")).unwrap();
    let root = authority.trusted_root().to_string();
    fs::write(path("trust/trusted_root.json"), root).unwrap();
    let key = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(path(name), key.public_key_pem()).unwrap();
        key
    };
    let good = key("good.pub");
    key("other.pub");
    let image = image();
    let digest = image.top.digest;
    let client = Client::new(Settings::default()).unwrap();
    let certificate = authority.certificates.issue(&Subject::new(SIGNER, ISSUER));
    for kind in ["key", "identity", "unsigned"] {
        let name = registry.image(&format!("acme/{kind}:v1"));
        let reference: Reference = name.parse().unwrap();
        let repository = client.repository(&reference, None).unwrap();
        push(&repository, &image, "v1").await;
        let payload = authority::payload(&reference.name(), &digest.to_string());
        let (payload, annotations) = match kind {
            "key" => authority::sign_with_key(&good, payload),
            "identity" => authority.sign_payload(&certificate, payload, NOW),
            _ => continue,
        };
        let layer = Content::new(signing::material::PAYLOAD_TYPE, payload);
        let signatures = build::signatures(&[(layer, annotations)]).unwrap();
        push(&repository, &signatures, &build::signature_tag(&digest)).await;
    }
    let named = |kind: &str| registry.image(&format!("acme/{kind}:v1"));
    let trust = path("trust");
    let identity = [
        "--certificate-identity",
        SIGNER,
        "--certificate-oidc-issuer",
        ISSUER,
        "--trust-dir",
        &trust,
    ];
    let good_key = ["--key", &path("good.pub")];
    let other_key = ["--key", &path("other.pub")];
    let in_log = [&good_key[..], &["--require-log", "--trust-dir", &trust]].concat();
    let wrong_issuer = [
        &identity[..3],
        &["https://other.example.com", "--trust-dir", &trust],
    ]
    .concat();
    let no_root = [&identity[..4], &["--trust-dir", "/nowhere"]].concat();
    let unsigned = ["--allow-unsigned", "--trust-dir", &trust];
    for (kind, flags, code, part) in [
        (
            "key",
            &good_key[..],
            0,
            "signature verified\n  Signed by: key ",
        ),
        ("key", &other_key, 1, "none of the trusted keys made it"),
        ("key", &in_log, 1, "no transparency log"),
        ("key", &identity, 1, "no key is trusted"),
        (
            "identity",
            &identity,
            0,
            "Signed by: signer@example.com (https://issuer.example.com) at 2025-06-15T15:06:40Z",
        ),
        ("identity", &good_key, 1, "no identity is trusted"),
        (
            "identity",
            &wrong_issuer,
            1,
            "who is not trusted for this image",
        ),
        ("identity", &no_root, 1, "trusted_root.json"),
        ("identity", &identity[..2], 80, "an identity has two halves"),
        (
            "identity",
            &[
                "--certificate-identity",
                "a",
                "--certificate-identity-regexp",
                "b",
            ],
            80,
            "cannot be used with",
        ),
        ("unsigned", &good_key, 1, "is not signed"),
        (
            "unsigned",
            &unsigned,
            0,
            "unsigned image accepted by policy",
        ),
        ("key", &unsigned, 1, "no key is trusted"),
        ("key", &["--runtime-dir", "/nowhere"], 1, "/nowhere"),
        ("key", &["--key", "/nowhere.pub"], 1, "does not exist"),
        ("none", &good_key, 1, "acme/none"),
    ] {
        let name = named(kind);
        let (ended, output, errors) = ctl(&[&["verify", &name], flags].concat());
        assert_eq!(ended, code, "{kind} {flags:?}: {output}{errors}");
        let said = if code == 0 { output } else { errors };
        assert!(said.contains(part), "{kind} {flags:?}: {said}");
    }
}

#[tokio::test]
async fn an_image_is_inspected_without_the_service() {
    let registry = Registry::start();
    let folder = tempfile::tempdir().unwrap();
    let object = folder.path().join("counter.o");
    fs::write(&object, bpf::COUNTER).unwrap();
    let name = registry.image("acme/counter");
    let inputs =
        ["linux/amd64", "linux/arm64"].map(|platform| format!("{platform}={}", object.display()));
    assert_eq!(ctl(&["build", &name, &inputs[0], &inputs[1]]).0, 0);
    let seen = ctl(&["inspect", &name]);
    assert_eq!(seen.0, 0, "{}", seen.2);
    let seen: serde_json::Value = serde_json::from_str(&seen.1).unwrap();
    assert_eq!(seen["reference"], format!("{name}:latest"));
    assert_eq!(seen["media_type"], media_type::INDEX);
    assert!(seen.get("layers").is_none() && seen.get("programs").is_none());
    assert_eq!(seen["manifests"][1]["platform"], "linux/arm64");
    assert_eq!(seen["manifests"][0]["programs"]["xdp_count"], "xdp");
    assert_eq!(
        seen["manifests"][0]["layers"][0]["media_type"],
        media_type::LAYER_GZIP
    );
    let one = format!(
        "{name}@{}",
        seen["manifests"][0]["digest"].as_str().unwrap()
    );
    let one: serde_json::Value = serde_json::from_str(&ctl(&["inspect", &one]).1).unwrap();
    assert_eq!(one["maps"]["traffic"], "per_cpu_array");
    assert!(one.get("manifests").is_none());
}
