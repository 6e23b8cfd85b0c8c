//! What is wrong with signatures in a registry: each refused with the right word, and nothing kept of the image.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

#[path = "../../tests/src/authority/mod.rs"]
mod authority;
#[allow(dead_code, reason = "the attacks use all of it")]
mod hostile_registry;
mod signature_table;
mod signer;
mod world;

use hostile_registry::{Hostile, Image, gzip, serve};
use ipc::messages::signing::Grounds;
use oci::Digest;
use signature_table::{Attack, REFUSED, by_others, by_replacement, by_the_registry};
use signer::{
    Trusted, bytes, digest_of, good_subject, referred, referrers_path, signature_path, tagged,
};
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn the_signatures_that_the_attacks_start_from_are_accepted() {
    let mut trusted = Trusted::new();
    let image = Image::good();
    let digest = digest_of(&image);
    let bundle = bytes(&trusted.bundle(&good_subject(), &digest));
    let refers = referred(&image, std::slice::from_ref(&bundle));
    // Registries that know no referrers keep their list under a tag.
    let mut older = refers.clone();
    let list = older.remove(&referrers_path(&image)).expect("a list");
    older.insert(format!("manifests/sha256-{}", digest.hex()), list);
    let by_identity = tagged(&image, vec![trusted.layer(&good_subject(), &digest)]);
    let by_key = tagged(&image, vec![trusted.by_key(&digest)]);
    for (form, answers, with_key) in [
        ("tag, key", by_key, true),
        ("tag, identity", by_identity, false),
        ("referrer", refers, false),
        ("referrer listed under a tag", older, false),
    ] {
        let world = trusted.world();
        let registry = Hostile::start(serve(answers));
        let pulled = world.pull(&registry.image("a/b:v1"), None).await;
        let pulled = pulled.unwrap_or_else(|failure| panic!("{form}: {failure}"));
        let grounds = &pulled.origin.acceptance.grounds;
        assert_eq!(
            matches!(grounds, Grounds::Key { .. }),
            with_key,
            "{form}: {grounds:?}"
        );
        assert_eq!(pulled.object, bpf::COUNTER);
    }
}

#[tokio::test]
async fn no_bad_signature_counts_and_nothing_is_kept() {
    let mut trusted = Trusted::new();
    let image = Image::good();
    let attacks: Vec<Attack> = by_others(&mut trusted, &image)
        .into_iter()
        .chain(by_the_registry(&mut trusted, &image))
        .chain(by_replacement(&trusted, &image))
        .collect();
    assert!(attacks.len() >= 30, "{}", attacks.len());
    for Attack {
        name,
        answers,
        code,
        word,
    } in attacks
    {
        let world = trusted.world();
        let registry = Hostile::start(serve(answers));
        let failure = world
            .pull(&registry.image("a/b:v1"), None)
            .await
            .err()
            .unwrap_or_else(|| panic!("{name}: accepted"));
        assert!(failure.cause.contains(word), "{name}: {failure}");
        assert_eq!(failure.code, code, "{name}: {failure}");
        assert!(!failure.remedy.is_empty(), "{name}");
        assert_eq!(world.files(), 0, "{name}: something was kept");
        // Whoever is not trusted costs no download of the image.
        let asked = |path: &str| registry.seen().iter().any(|seen| seen.path.ends_with(path));
        assert!(
            code != REFUSED || !asked(&image.layer_path()),
            "{name}: downloaded"
        );
    }
}

#[tokio::test]
async fn a_tag_that_moves_when_it_was_verified_changes_nothing() {
    let trusted = Trusted::new();
    let image = Image::good();
    let mut other = Image::of(gzip(b"text"));
    other.seal();
    let signed = serve(tagged(&image, vec![trusted.by_key(&digest_of(&image))]));
    let moved = serve(other.answers());
    let asked = AtomicUsize::new(0);
    let tag = signature_path(&image);
    let registry = Hostile::start(move |seen| {
        // From the question for the signature on the tag is the other image's.
        if seen.path.ends_with(&tag) {
            asked.fetch_add(1, Ordering::Relaxed);
        }
        match asked.load(Ordering::Relaxed) > 0 && seen.path.ends_with("/manifests/v1") {
            true => moved(seen),
            false => signed(seen),
        }
    });
    let pulled = trusted
        .world()
        .pull(&registry.image("a/b:v1"), None)
        .await
        .expect("pulled");
    assert_eq!(Digest::from_bytes(pulled.origin.digest), digest_of(&image));
    assert_eq!(pulled.object, bpf::COUNTER);
    let tags = registry.seen();
    let tags = tags
        .iter()
        .filter(|seen| seen.path.ends_with("/manifests/v1"));
    assert_eq!(tags.count(), 1);
}
