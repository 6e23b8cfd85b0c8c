//! Signatures with a key.

use crate::authority::{
    Authority, NOW, payload, sign_statement_with_key, sign_with_key, statement,
};
use crate::world::*;
use ipc::messages::signing::{Demand, Grounds, Signers};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use signing::Policy;

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn keys(names: &[&str], logged: bool) -> Signers {
    Signers {
        keys: names.iter().map(|name| (*name).to_owned()).collect(),
        logged,
        ..Signers::default()
    }
}

fn trusting_key(key: &KeyPair) -> Policy {
    policy(
        &trusting(keys(&["a.pub"], false)),
        &[("a.pub", key.public_key_pem())],
    )
}

#[test]
fn a_signature_with_a_trusted_key_counts() {
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let policy = trusting_key(&key);
        for material in [
            cosign(sign_with_key(&key, payload(REPOSITORY, &digest()))),
            bundle(&sign_statement_with_key(&key, &statement(&digest()))),
        ] {
            let grounds = verdict(&[material], &policy).unwrap();
            assert!(
                matches!(&grounds, Grounds::Key { name, logged: false, .. } if name == "a.pub"),
                "{grounds:?}"
            );
        }
    }
}

#[test]
fn one_good_signature_among_others_is_enough() {
    let (good, other) = (key(), key());
    let materials = [
        cosign(sign_with_key(&other, payload(REPOSITORY, &digest()))),
        cosign(sign_with_key(&good, payload(REPOSITORY, &other_digest()))),
        cosign(sign_with_key(&good, payload(REPOSITORY, &digest()))),
    ];
    assert!(verdict(&materials, &trusting_key(&good)).is_ok());
    refused(
        "others",
        &materials[..2],
        &trusting_key(&good),
        "none of the trusted keys",
    );
}

#[test]
fn signatures_that_do_not_count() {
    let (good, other) = (key(), key());
    let signed = |key: &KeyPair, payload: Vec<u8>| cosign(sign_with_key(key, payload));
    let policy = trusting_key(&good);
    let at = |repository: &str, digest: &str| payload(repository, digest);
    let mut moved = sign_with_key(&good, at(REPOSITORY, &other_digest()));
    moved.0 = at(REPOSITORY, &digest());
    let mut empty = sign_with_key(&good, at(REPOSITORY, &digest()));
    empty.1.clear();
    let mut garbage = sign_with_key(&good, at(REPOSITORY, &digest()));
    garbage
        .1
        .values_mut()
        .for_each(|text| *text = "not base64!".to_owned());
    for (case, material, reason) in [
        (
            "wrong key",
            signed(&other, at(REPOSITORY, &digest())),
            "none of the trusted keys",
        ),
        (
            "signature of another digest",
            signed(&good, at(REPOSITORY, &other_digest())),
            "it was made for sha256:fedc",
        ),
        (
            "signature put under another payload",
            cosign(moved),
            "none of the trusted keys",
        ),
        (
            "payload for another repository",
            signed(&good, at("quay.io/evil/counter", &digest())),
            "it was made for \"quay.io/evil/counter\"",
        ),
        (
            "payload for no repository",
            signed(&good, at("", &digest())),
            "it was made for \"\"",
        ),
        (
            "payload for another port",
            signed(&good, at("quay.io:444/bpfman/counter", &digest())),
            "it was made for",
        ),
        (
            "payload that is no JSON",
            signed(&good, b"sha256".to_vec()),
            "malformed payload",
        ),
        (
            "payload of another type",
            signed(
                &good,
                String::from_utf8(at(REPOSITORY, &digest()))
                    .unwrap()
                    .replace("cosign container", "atomic")
                    .into_bytes(),
            ),
            "its type is",
        ),
        ("no signature", cosign(empty), "it is not there"),
        (
            "signature that is no base64",
            cosign(garbage),
            "malformed signature",
        ),
        (
            "statement about another image",
            bundle(&sign_statement_with_key(&good, &statement(&other_digest()))),
            "it was made for sha256:fedc",
        ),
        (
            "statement with another key",
            bundle(&sign_statement_with_key(&other, &statement(&digest()))),
            "none of the trusted keys",
        ),
    ] {
        refused(case, &[material], &policy, reason);
    }
}

#[test]
fn an_attestation_is_no_signature() {
    let good = key();
    let mut about_tests = statement(&digest());
    about_tests["predicateType"] = "https://slsa.dev/provenance/v1".into();
    let mut about_two = statement(&digest());
    let second = statement(&other_digest())["subject"][0].clone();
    about_two["subject"].as_array_mut().unwrap().push(second);
    let mut about_none = statement(&digest());
    about_none["subject"] = serde_json::json!([]);
    for (case, statement, reason) in [
        ("provenance", about_tests, "it is an attestation"),
        ("two subjects", about_two, "it has not one subject"),
        ("no subject", about_none, "it has not one subject"),
    ] {
        let material = bundle(&sign_statement_with_key(&good, &statement));
        refused(case, &[material], &trusting_key(&good), reason);
    }
}

#[test]
fn a_log_entry_can_be_demanded_of_keys() {
    let mut authority = Authority::default();
    let (good, other) = (key(), key());
    let files = [
        ("a.pub", good.public_key_pem()),
        ("trusted_root.json", authority.trusted_root().to_string()),
    ];
    let demanding = policy(&trusting(keys(&["a.pub"], true)), &files);
    let unlogged = cosign(sign_with_key(&good, payload(REPOSITORY, &digest())));
    refused("not logged", &[unlogged], &demanding, "no transparency log");
    let unlogged = bundle(&sign_statement_with_key(&good, &statement(&digest())));
    refused(
        "bundle not logged",
        &[unlogged],
        &demanding,
        "no transparency log",
    );

    let logged = authority.log_key_signature(&good, payload(REPOSITORY, &digest()), NOW);
    let grounds = verdict(&[cosign(logged.clone())], &demanding).unwrap();
    assert!(
        matches!(grounds, Grounds::Key { logged: true, .. }),
        "{grounds:?}"
    );

    let stranger = authority.log_key_signature(&other, payload(REPOSITORY, &digest()), NOW);
    let mut borrowed = logged.clone();
    borrowed.1.insert(
        "dev.sigstore.cosign/bundle".to_owned(),
        stranger.1["dev.sigstore.cosign/bundle"].clone(),
    );
    refused(
        "entry of another signature",
        &[cosign(borrowed)],
        &demanding,
        "",
    );
    let without_root = policy(&trusting(keys(&["a.pub"], true)), &files[..1]);
    refused(
        "no root",
        &[cosign(logged.clone())],
        &without_root,
        "trusted_root.json",
    );
    let elsewhere =
        Authority::default().log_key_signature(&good, payload(REPOSITORY, &digest()), NOW);
    refused(
        "entry of another log",
        &[cosign(elsewhere)],
        &demanding,
        "log",
    );
}

#[test]
fn a_key_does_not_count_where_identities_are_demanded_and_the_other_way_round() {
    let mut authority = Authority::default();
    let good = key();
    let with_key = cosign(sign_with_key(&good, payload(REPOSITORY, &digest())));
    let with_key_bundle = bundle(&sign_statement_with_key(&good, &statement(&digest())));
    let usual = with_root(&authority, &usual());
    refused("key", &[with_key], &usual, "no key is trusted");
    refused(
        "key in a bundle",
        &[with_key_bundle],
        &usual,
        "no key is trusted",
    );
    let layer = cosign(good_layer(&mut authority));
    let current = bundle(&good_bundle(&mut authority));
    refused(
        "certificate",
        &[layer],
        &trusting_key(&good),
        "no identity is trusted",
    );
    refused(
        "certificate in a bundle",
        &[current],
        &trusting_key(&good),
        "no identity is trusted",
    );
}

#[test]
fn copies_count_where_a_rule_says_so() {
    let good = key();
    let mut settings = rule(
        "quay.io/bpfman/*",
        Demand::SignedBy(keys(&["a.pub"], false)),
    );
    let files = [("a.pub", good.public_key_pem())];
    let original = cosign(sign_with_key(
        &good,
        payload("ghcr.io/bpfman/counter", &digest()),
    ));
    refused(
        "copy",
        std::slice::from_ref(&original),
        &policy(&settings, &files),
        "it was made for \"ghcr.io",
    );
    settings.rules[0]
        .signed_as
        .push("ghcr.io/bpfman/*".to_owned());
    assert!(verdict(&[original], &policy(&settings, &files)).is_ok());
    let another = cosign(sign_with_key(
        &good,
        payload("ghcr.io/evil/counter", &digest()),
    ));
    refused(
        "other copy",
        &[another],
        &policy(&settings, &files),
        "it was made for",
    );
}
