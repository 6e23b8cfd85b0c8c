//! What a hostile registry can send: each refused with the right word, and nothing kept.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod attack_table;
mod hostile_registry;
mod world;

use attack_table::{Attack, BROKEN, content, layer_answer, protocol};
use hostile_registry::{Answer, Cut, Hostile, Image, gzip, serve};
use ipc::messages::failure::{Failure, FailureCode};
use oci::Digest;
use oci::registry::Credentials;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use world::World;

#[tokio::test]
async fn everything_hostile_is_refused_with_the_right_word_and_nothing_is_kept() {
    let attacks: Vec<Attack> = content().into_iter().chain(protocol()).collect();
    assert!(attacks.len() >= 50, "{}", attacks.len());
    for attack in attacks {
        let world = World::new();
        let registry = Hostile::start(serve(attack.answers));
        let failure = world
            .pull(&registry.image("a/b:v1"), None)
            .await
            .err()
            .unwrap_or_else(|| panic!("{}: accepted", attack.name));
        assert!(
            failure.cause.contains(attack.word),
            "{}: {failure}",
            attack.name
        );
        assert_eq!(failure.code, attack.code, "{}: {failure}", attack.name);
        assert!(failure.cause.len() < 1000, "{}: {failure}", attack.name);
        assert!(!failure.remedy.is_empty(), "{}", attack.name);
        assert_eq!(world.files(), 0, "{}: something was kept", attack.name);
    }
}

#[tokio::test]
async fn the_image_that_the_attacks_start_from_is_accepted() {
    let world = World::new();
    let registry = Hostile::start(serve(Image::good().answers()));
    let pulled = world
        .pull(&registry.image("a/b:v1"), None)
        .await
        .expect("pulled");
    assert_eq!(pulled.object, bpf::COUNTER);
    assert_eq!(pulled.labels.programs["xdp_count"], "xdp");
    assert_eq!(world.files(), 5);
}

#[tokio::test]
async fn a_digest_gets_exactly_that() {
    let good = Image::good();
    let digest = Digest::of(&good.manifest_bytes());
    let mut other = Image::good();
    other.manifest["annotations"] = json!({ "a": "b" });
    let mut answers = good.answers();
    answers.insert(
        format!("manifests/{digest}"),
        other.answers()["manifests/v1"].clone(),
    );
    let registry = Hostile::start(serve(answers));
    let world = World::new();
    let failure = world
        .pull(&registry.image(&format!("a/b@{digest}")), None)
        .await
        .expect_err("refused");
    assert!(failure.cause.contains("has the digest"), "{failure}");
    assert_eq!(world.files(), 0);
}

#[tokio::test]
async fn a_tag_is_asked_for_once() {
    let (first, mut second) = (Image::good(), Image::of(gzip(b"text")));
    second.seal();
    let (one, other) = (serve(first.answers()), serve(second.answers()));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let registry = Hostile::start(move |seen| {
        // After the first question the tag is another image's.
        if seen.path.ends_with("/manifests/v1") && counter.fetch_add(1, Ordering::Relaxed) > 0 {
            return other(seen);
        }
        one(seen)
    });
    let world = World::new();
    let pulled = world
        .pull(&registry.image("a/b:v1"), None)
        .await
        .expect("pulled");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(
        Digest::from_bytes(pulled.origin.digest),
        Digest::of(&first.manifest_bytes())
    );
    assert_eq!(pulled.object, bpf::COUNTER);
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_host() {
    let image = Image::good();
    let storage = Hostile::start(serve(image.answers()));
    let mut answers = image.answers();
    let elsewhere = format!(
        "http://{}/v2/a/b/{}",
        storage.address.replace("127.0.0.1", "localhost"),
        image.layer_path()
    );
    answers.insert(image.layer_path(), Answer::redirect(&elsewhere));
    let (open, closed) = (
        serve(answers),
        Answer::new(401, "text/plain", vec![]).header("www-authenticate", "Basic realm=\"x\""),
    );
    let registry = Hostile::start(move |seen| {
        if seen.authorized() {
            open(seen)
        } else {
            closed.clone()
        }
    });
    let world = World::new();
    let credentials = Credentials::basic("user", "secret").expect("credentials");
    world
        .pull(&registry.image("a/b:v1"), Some(credentials))
        .await
        .expect("pulled");
    assert!(registry.seen().iter().any(|seen| seen.authorized()));
    let followed = storage.seen();
    assert!(
        followed.len() == 1 && !followed[0].authorized(),
        "{followed:?}"
    );
}

/// Cuts the answer about the tag at each of its bytes, all at once.
async fn cut_everywhere(cut: impl Fn(usize) -> Cut + Send + Sync + 'static) -> Vec<Failure> {
    let answer = Image::good().answers()["manifests/v1"].clone();
    let length = answer.body.len() + 100;
    let registry = Hostile::start(move |seen| {
        let at = seen
            .path
            .split('/')
            .nth(3)
            .and_then(|part| part.parse().ok())
            .unwrap_or(0);
        Answer {
            cut: Some(cut(at)),
            ..answer.clone()
        }
    });
    let mut world = World::new();
    world.rules.registries.patience.silence = Duration::from_secs(3);
    let world = Arc::new(world);
    let mut pulls = tokio::task::JoinSet::new();
    for at in 0..length {
        let (world, url) = (Arc::clone(&world), registry.image(&format!("cut/{at}:v1")));
        pulls.spawn(async move { world.pull(&url, None).await.expect_err("cut off") });
    }
    let failures = pulls.join_all().await;
    assert_eq!(world.files(), 0);
    failures
}

#[tokio::test]
async fn an_answer_that_ends_at_any_byte_is_noticed() {
    for failure in cut_everywhere(Cut::Closed).await {
        // On a busy machine the end may come late.
        let codes = [BROKEN, FailureCode::DeadlineExceeded];
        assert!(codes.contains(&failure.code), "{failure}");
    }
}

#[tokio::test]
async fn a_registry_that_stalls_at_any_byte_is_given_up() {
    for failure in cut_everywhere(Cut::Silent).await {
        assert!(
            matches!(failure.code, FailureCode::DeadlineExceeded),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_mirror_that_lies_is_passed_over() {
    let good = Hostile::start(serve(Image::good().answers()));
    let liar = Hostile::start(serve(layer_answer(|answer| answer.body[20] ^= 1)));
    let mut world = World::new();
    world
        .rules
        .registries
        .mirrors
        .insert(good.address.clone(), vec![liar.address.clone()]);
    let credentials = Credentials::basic("user", "secret").expect("credentials");
    let pulled = world
        .pull(&good.image("a/b:v1"), Some(credentials))
        .await
        .expect("pulled");
    assert_eq!(pulled.object, bpf::COUNTER);
    assert!(!liar.seen().is_empty() && liar.seen().iter().all(|seen| !seen.authorized()));
    assert!(good.seen().iter().any(|seen| seen.path.contains("/blobs/")));
}
