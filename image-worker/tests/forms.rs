//! Every form that an image may have, each pulled; and when the registry is asked for it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[allow(dead_code, reason = "the attacks use all of it")]
mod hostile_registry;
mod world;

use hostile_registry::{Answer, Hostile, Image, archive, gzip, serve};
use ipc::messages::failure::FailureCode;
use ipc::messages::pull::PullPolicy;
use oci::Digest;
use oci::manifest::Platform;
use oci::media_type::{
    DOCKER_CONFIG, DOCKER_INDEX, DOCKER_LAYER, DOCKER_MANIFEST, EMPTY, INDEX, LAYER, LAYER_GZIP,
    LAYER_ZSTD, MANIFEST,
};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tar::EntryType;
use world::World;

type Answers = BTreeMap<String, Answer>;

fn tar() -> Vec<u8> {
    archive(&[("counter.o", EntryType::Regular, bpf::COUNTER)])
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// An image of Docker's types.
fn docker() -> Image {
    let mut image = Image::of(gzip(&tar()));
    image.manifest["mediaType"] = json!(DOCKER_MANIFEST);
    image.manifest["config"]["mediaType"] = json!(DOCKER_CONFIG);
    image.manifest["layers"][0]["mediaType"] = json!(DOCKER_LAYER);
    image
}

/// An OCI 1.1 artifact: the object file as it is, labels as annotations, no configuration.
fn artifact(artifact_type: Option<&str>, config: &str) -> Image {
    let mut image = Image::of(bpf::COUNTER.to_vec());
    image.config = json!({});
    image.seal();
    image.manifest["config"]["mediaType"] = json!(config);
    image.manifest["layers"][0]["mediaType"] = json!("application/octet-stream");
    image.manifest["annotations"] = json!({ "io.ebpf.programs": "{\"xdp_count\":\"xdp\"}" });
    if let Some(artifact_type) = artifact_type {
        image.manifest["artifactType"] = json!(artifact_type);
    }
    image
}

fn served_as(image: &Image, media_type: &str) -> Answers {
    let mut answers = image.answers();
    for answer in answers.values_mut() {
        if answer.headers[0].1 == MANIFEST {
            answer.headers[0].1 = media_type.to_owned();
        }
    }
    answers
}

/// The tag is an index's, in which the image is behind others.
fn indexed(image: &Image, media_type: &str, index_type: &str) -> Answers {
    let mut answers = served_as(image, media_type);
    let bytes = image.manifest_bytes();
    let entry = |digest: String, size: usize, os: &str, architecture: &str| {
        json!({ "mediaType": media_type, "digest": digest, "size": size,
            "platform": { "architecture": architecture, "os": os } })
    };
    let other = Digest::of(b"other").to_string();
    let host = Platform::host().architecture;
    let index = json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": [
        entry(other.clone(), 5, "linux", "pdp11"),
        entry(other.clone(), 5, "windows", &host),
        entry(Digest::of(&bytes).to_string(), bytes.len(), "linux", &host),
        entry(other, 5, "unknown", "unknown"),
    ]});
    answers.insert(
        "manifests/v1".to_owned(),
        Answer::new(200, index_type, index.to_string().into_bytes()),
    );
    answers
}

fn typed(layer: Vec<u8>, layer_type: &str) -> Answers {
    let mut image = Image::of(layer);
    image.layer_type = layer_type.to_owned();
    image.seal();
    image.answers()
}

/// With these labels instead of the usual ones.
fn with_labels(labels: Value) -> Answers {
    let mut image = Image::good();
    image.config["config"] = json!({ "Labels": labels });
    image.seal();
    image.answers()
}

#[tokio::test]
async fn every_form_gives_the_object_file() {
    let known = Some("xdp");
    let old = json!({ "io.ebpf.bpf_function_name": "xdp_count", "io.ebpf.program_type": "xdp" });
    let forms: Vec<(&str, Answers, Option<&str>)> = vec![
        ("archive", typed(tar(), LAYER), known),
        ("archive, gzip", typed(gzip(&tar()), LAYER_GZIP), known),
        ("archive, zstd", typed(zstd(&tar()), LAYER_ZSTD), known),
        ("object", typed(bpf::COUNTER.to_vec(), LAYER), known),
        ("object, gzip", typed(gzip(bpf::COUNTER), LAYER_GZIP), known),
        ("object, zstd", typed(zstd(bpf::COUNTER), LAYER_ZSTD), known),
        ("Docker", served_as(&docker(), DOCKER_MANIFEST), known),
        (
            "artifact with a type",
            artifact(Some("application/vnd.example.bpf"), EMPTY).answers(),
            known,
        ),
        (
            "artifact with a configuration of its own",
            artifact(None, "application/vnd.example.bpf.v1+json").answers(),
            known,
        ),
        ("index", indexed(&Image::good(), MANIFEST, INDEX), known),
        (
            "index of Docker",
            indexed(&docker(), DOCKER_MANIFEST, DOCKER_INDEX),
            known,
        ),
        (
            "index of artifacts",
            indexed(&artifact(None, EMPTY), MANIFEST, INDEX),
            known,
        ),
        (
            "types in the kernel's spelling",
            with_labels(json!({ "io.ebpf.programs": "{\"xdp_count\":\"sched_cls\"}" })),
            Some("sched_cls"),
        ),
        ("labels of the oldest form", with_labels(old), known),
        ("no labels", with_labels(json!({})), None),
        ("labels that are null", with_labels(Value::Null), None),
    ];
    for (form, answers, label) in forms {
        let world = World::new();
        let registry = Hostile::start(serve(answers));
        let pulled = world.pull(&registry.image("a/b:v1"), None).await;
        let pulled = pulled.unwrap_or_else(|failure| panic!("{form}: {failure}"));
        assert_eq!(pulled.object, bpf::COUNTER, "{form}");
        let programs = &pulled.labels.programs;
        assert_eq!(
            programs.get("xdp_count").map(String::as_str),
            label,
            "{form}"
        );
    }
}

#[tokio::test]
async fn an_index_without_this_machine_says_what_it_has() {
    let mut answers = indexed(&Image::good(), MANIFEST, INDEX);
    let tag = answers.get_mut("manifests/v1").expect("a tag");
    let host = Platform::host().architecture;
    let index = String::from_utf8_lossy(&tag.body).replace(&format!("{host}\""), "s390x\"");
    tag.body = index.into_bytes();
    let registry = Hostile::start(serve(answers));
    let failure = World::new()
        .pull(&registry.image("a/b:v1"), None)
        .await
        .expect_err("refused");
    assert_eq!(failure.code, FailureCode::FailedPrecondition);
    for part in [&format!("linux/{host}"), "linux/pdp11, windows/s390x"] {
        assert!(failure.cause.contains(part), "{failure}");
    }
}

#[tokio::test]
async fn the_policy_says_when_the_registry_is_asked() {
    let first = Image::good();
    let mut second = Image::good();
    second.manifest["annotations"] = json!({ "version": "2" });
    let digests = [&first, &second].map(|image| Digest::of(&image.manifest_bytes()));
    let (one, two) = (serve(first.answers()), serve(second.answers()));
    let [moved, down] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (is_moved, is_down) = (Arc::clone(&moved), Arc::clone(&down));
    let registry = Hostile::start(move |seen| {
        if is_down.load(Ordering::Relaxed) {
            return Answer::new(503, "text/plain", vec![]);
        }
        match is_moved.load(Ordering::Relaxed) {
            false => one(seen),
            true => two(seen),
        }
    });
    let world = World::new();
    let url = registry.image("a/b:v1");
    let pull = async |policy| {
        let asked = registry.seen().len();
        let pulled = world.pull_as(policy, &url, None).await;
        let digest = pulled.map(|pulled| Digest::from_bytes(pulled.origin.digest));
        (digest, registry.seen().len() > asked)
    };

    let (none, asked) = pull(PullPolicy::Never).await;
    let failure = none.expect_err("nothing is there");
    assert_eq!(failure.code, FailureCode::NotFound);
    assert!(failure.cause.contains("pull policy is Never") && !asked);
    assert_eq!(pull(PullPolicy::IfNotPresent).await, (Ok(digests[0]), true));
    moved.store(true, Ordering::Relaxed);
    for policy in [PullPolicy::IfNotPresent, PullPolicy::Never] {
        assert_eq!(pull(policy).await, (Ok(digests[0]), false));
    }
    assert_eq!(pull(PullPolicy::Always).await, (Ok(digests[1]), true));
    down.store(true, Ordering::Relaxed);
    let (none, asked) = pull(PullPolicy::Always).await;
    assert_eq!(none.expect_err("down").code, FailureCode::Unavailable);
    assert!(asked);
    // What was there before is there still.
    assert_eq!(pull(PullPolicy::Never).await, (Ok(digests[1]), false));
}
