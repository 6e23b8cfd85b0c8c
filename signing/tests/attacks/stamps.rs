//! Time stamps (RFC 3161), alone and beside the log's own time; log entries that have no time.

use crate::authority::{
    Authority, NOW, log_key_statement, payload, sign_with_key, stamp, statement,
};
use crate::world::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipc::messages::signing::{Grounds, Signers};
use rcgen::KeyPair;
use serde_json::{Value, json};

const STAMPS: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
const ENTRY: &str = "/verificationMaterial/tlogEntries/0";

/// A signature in a log that says no time, and its stamp.
fn stamped(authority: &mut Authority) -> Value {
    let mut bundle = unstamped(authority);
    stamp(&authority.stamper, &mut bundle, NOW + 7);
    bundle
}

fn unstamped(authority: &mut Authority) -> Value {
    let certificate = signer(authority);
    authority.sign_statement_for_rekor_2(&certificate, &statement(&digest()))
}

#[test]
fn a_stamp_says_when_a_signature_was_made() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let without_time = stamped(&mut authority);
    let mut both = good_bundle(&mut authority);
    stamp(&authority.stamper, &mut both, NOW + 7);
    let mut several = both.clone();
    stamp(&authority.stamper, &mut several, NOW - 7);
    for (value, at) in [(without_time, NOW + 7), (both, NOW), (several, NOW - 7)] {
        let grounds = verdict(&[bundle(&value)], &policy).unwrap();
        assert!(
            matches!(grounds, Grounds::Identity { signed_at, .. } if signed_at == at),
            "{grounds:?}"
        );
    }
    // Beside the older form, in an annotation.
    let (payload, mut annotations) = good_layer(&mut authority);
    let signature = &annotations["dev.cosignproject.cosign/signature"];
    let signature = STANDARD.decode(signature).unwrap();
    let token = authority.stamper.stamp(&signature, NOW - 9);
    let stamp = json!({"SignedRFC3161Timestamp": STANDARD.encode(token)});
    let key = "dev.sigstore.cosign/rfc3161timestamp".to_owned();
    annotations.insert(key, stamp.to_string());
    let grounds = verdict(&[cosign((payload, annotations))], &policy).unwrap();
    assert!(matches!(grounds, Grounds::Identity { signed_at, .. } if signed_at == NOW - 9));
}

#[test]
fn a_key_needs_no_time() {
    let mut authority = Authority::default();
    let key = KeyPair::generate().unwrap();
    let signers = Signers {
        keys: vec!["a.pub".to_owned()],
        logged: true,
        ..Signers::default()
    };
    let files = [
        ("a.pub", key.public_key_pem()),
        ("trusted_root.json", authority.trusted_root().to_string()),
    ];
    let demanding = policy(&trusting(signers), &files);
    let good = log_key_statement(&mut authority, &key, &statement(&digest()));
    let grounds = verdict(&[bundle(&good)], &demanding).unwrap();
    assert!(matches!(grounds, Grounds::Key { logged: true, .. }));
    let stranger = KeyPair::generate().unwrap();
    let other = log_key_statement(&mut authority, &stranger, &statement(&digest()));
    let mut borrowed = good.clone();
    *borrowed.pointer_mut(ENTRY).unwrap() = other.pointer(ENTRY).unwrap().clone();
    refused(
        "borrowed entry",
        &[bundle(&borrowed)],
        &demanding,
        "signature 1:",
    );
    refused(
        "other key",
        &[bundle(&other)],
        &demanding,
        "none of the trusted keys",
    );
}

#[test]
fn stamps_that_do_not_count() {
    let mut authority = Authority::default();
    let stranger = Authority::default();
    let policy = with_root(&authority, &usual());
    let good = stamped(&mut authority);
    assert!(verdict(&[bundle(&good)], &policy).is_ok());
    let bare = unstamped(&mut authority);
    let mut beside_the_log = good_bundle(&mut authority);
    let at = |time: i64| {
        let mut value = bare.clone();
        stamp(&authority.stamper, &mut value, time);
        value
    };
    let with = |pointer: &str, new: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = new;
        changed
    };
    let token = format!("{STAMPS}/0/signedTimestamp");
    let bytes = good.pointer(&token).unwrap().as_str().unwrap();
    let bytes = STANDARD.decode(bytes).unwrap();
    let mut foreign = bare.clone();
    stamp(&stranger.stamper, &mut foreign, NOW);
    let mut one_foreign = good.clone();
    stamp(&stranger.stamper, &mut one_foreign, NOW);
    let mut one_late = good.clone();
    stamp(&authority.stamper, &mut one_late, NOW + 301);
    stamp(&authority.stamper, &mut beside_the_log, NOW + 301);
    let of_another = STANDARD.encode(authority.stamper.stamp(b"another", NOW));
    let with_time = {
        let mut value = bare.clone();
        value.pointer_mut(ENTRY).unwrap()["integratedTime"] = json!(NOW.to_string());
        value
    };
    for (case, value) in [
        ("none, and a log without time", bare.clone()),
        ("a time that nobody signed", with_time),
        ("of another signature", with(&token, json!(of_another))),
        ("of another authority", foreign),
        ("one of two of another authority", one_foreign),
        ("behind the certificate's end", at(NOW + 301)),
        ("before the certificate's beginning", at(NOW - 301)),
        ("one of two behind the end", one_late),
        ("behind the end, with a log entry in time", beside_the_log),
        ("empty", with(&token, json!(""))),
        ("no token", with(&token, json!("AAAA"))),
        (
            "cut off",
            with(&token, json!(STANDARD.encode(&bytes[..bytes.len() - 9]))),
        ),
    ] {
        refused(case, &[bundle(&value)], &policy, "signature 1:");
    }
    // Whatever byte of it is changed, it says nothing else, or nothing at all.
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let value = with(&token, json!(STANDARD.encode(changed)));
        if let Ok(grounds) = verdict(&[bundle(&value)], &policy) {
            assert!(
                matches!(grounds, Grounds::Identity { signed_at, .. } if signed_at == NOW + 7),
                "byte {at}: {grounds:?}"
            );
        }
    }
    // The authority is not trusted any more, or was not yet.
    for window in [
        json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}),
        json!({"start": "2026-01-01T00:00:00Z"}),
    ] {
        let mut root = authority.trusted_root();
        root["timestampAuthorities"][0]["validFor"] = window;
        let withdrawn = crate::world::policy(&usual(), &[("trusted_root.json", root.to_string())]);
        refused("withdrawn", &[bundle(&good)], &withdrawn, "signature 1:");
    }
    let mut root = authority.trusted_root();
    root["timestampAuthorities"] = json!([]);
    let without = crate::world::policy(&usual(), &[("trusted_root.json", root.to_string())]);
    refused("nobody trusted", &[bundle(&good)], &without, "signature 1:");
}

#[test]
fn entries_without_time_that_do_not_count() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let good = stamped(&mut authority);
    let certificate = signer(&authority);
    let other = authority.sign_statement_for_rekor_2(&certificate, &statement(&other_digest()));
    let with = |part: &str, new: Value| {
        let mut changed = good.clone();
        let pointer = format!("{ENTRY}/{part}");
        *changed.pointer_mut(&pointer).unwrap() = new;
        changed
    };
    let of_other = |part: &str| {
        with(
            part,
            other.pointer(&format!("{ENTRY}/{part}")).unwrap().clone(),
        )
    };
    let mut without_proof = good.clone();
    let entry = without_proof.pointer_mut(ENTRY).unwrap();
    entry.as_object_mut().unwrap().remove("inclusionProof");
    let mut borrowed = good.clone();
    *borrowed.pointer_mut(ENTRY).unwrap() = other.pointer(ENTRY).unwrap().clone();
    let first_version = json!({"kind": "hashedrekord", "version": "0.0.1"});
    for (case, value) in [
        ("proof removed", without_proof),
        ("proof emptied", with("inclusionProof/hashes", json!([]))),
        ("another index", with("logIndex", json!("0"))),
        ("body of another entry", of_other("canonicalizedBody")),
        (
            "checkpoint of another tree",
            of_other("inclusionProof/checkpoint"),
        ),
        ("entry of another signature", borrowed),
        ("another version", with("kindVersion", first_version)),
    ] {
        refused(case, &[bundle(&value)], &policy, "signature 1:");
    }
}

#[test]
fn a_stamp_is_no_log_entry() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let mut value = stamped(&mut authority);
    value["verificationMaterial"]["tlogEntries"] = json!([]);
    refused("not logged", &[bundle(&value)], &policy, "signature 1:");
    let key = KeyPair::generate().unwrap();
    let layer = sign_with_key(&key, payload(REPOSITORY, &digest()));
    refused("a key", &[cosign(layer)], &policy, "no key is trusted");
}
