//! Signatures of identities: certificate, log, and who it is.

use crate::authority::{Authority, NOW, Subject, payload, statement};
use crate::world::*;
use ipc::messages::signing::{Grounds, Pattern, TrustedIdentity};
use serde_json::{Value, json};
use signing::Material;

fn expect_signer(grounds: &Grounds) {
    let Grounds::Identity {
        subject,
        issuer,
        signed_at,
    } = grounds
    else {
        panic!("{grounds:?}");
    };
    assert_eq!(
        (subject.as_str(), issuer.as_str(), *signed_at),
        (SIGNER, ISSUER, NOW)
    );
}

#[test]
fn a_logged_signature_of_a_trusted_identity_counts() {
    let mut authority = Authority::default();
    let materials = [
        cosign(good_layer(&mut authority)),
        bundle(&good_bundle(&mut authority)),
    ];
    let anybody = TrustedIdentity {
        subject: Pattern::Regexp("https://github\\.com/bpfman/.*".to_owned()),
        issuer: Pattern::Regexp("https://token\\.actions\\..*".to_owned()),
    };
    for settings in [usual(), trusting(identities(vec![anybody]))] {
        let policy = with_root(&authority, &settings);
        for material in &materials {
            expect_signer(&verdict(std::slice::from_ref(material), &policy).unwrap());
        }
    }
}

#[test]
fn plain_files_are_as_good_as_a_trusted_root() {
    let mut authority = Authority::default();
    let material = cosign(good_layer(&mut authority));
    let files = [
        ("fulcio.pem", authority.certificates.root_pem()),
        ("rekor.pub", authority.log.public_key()),
    ];
    expect_signer(&verdict(&[material], &policy(&usual(), &files)).unwrap());
}

#[test]
fn whoever_is_not_trusted_does_not_count() {
    let mut authority = Authority::default();
    let materials = [
        cosign(good_layer(&mut authority)),
        bundle(&good_bundle(&mut authority)),
    ];
    let regexp = |subject: &str, issuer: &str| TrustedIdentity {
        subject: Pattern::Regexp(subject.to_owned()),
        issuer: Pattern::Regexp(issuer.to_owned()),
    };
    for (case, identity) in [
        (
            "wrong identity",
            exact("https://github.com/bpfman/other", ISSUER),
        ),
        (
            "wrong issuer",
            exact(SIGNER, "https://accounts.example.com"),
        ),
        ("identity and issuer swapped", exact(ISSUER, SIGNER)),
        ("exact is no expression", exact(".*", ISSUER)),
        (
            "identity in other letters",
            exact(&SIGNER.to_uppercase(), ISSUER),
        ),
        (
            "expression of a part",
            regexp("https://github\\.com/bpfman/", ".*"),
        ),
        ("expression of the end", regexp("main", ".*")),
        ("expression of a part of the issuer", regexp(".*", "token")),
    ] {
        let policy = with_root(&authority, &trusting(identities(vec![identity])));
        for material in &materials {
            refused(
                case,
                std::slice::from_ref(material),
                &policy,
                "who is not trusted for this image",
            );
        }
    }
}

#[test]
fn certificates_that_do_not_count() {
    let mut authority = Authority::default();
    let good = Subject::new(SIGNER, ISSUER);
    let stranger = Authority::default();
    let subjects = [
        (
            "expired when it was logged",
            Subject {
                from: NOW - 900,
                until: NOW - 300,
                ..good.clone()
            },
        ),
        (
            "not yet valid when it was logged",
            Subject {
                from: NOW + 300,
                until: NOW + 900,
                ..good.clone()
            },
        ),
        (
            "not for signing code",
            Subject {
                code_signing: false,
                ..good.clone()
            },
        ),
    ];
    let mut cases: Vec<_> = subjects
        .iter()
        .map(|(case, subject)| (*case, authority.certificates.issue(subject)))
        .collect();
    cases.push(("of another authority", stranger.certificates.issue(&good)));
    cases.push((
        "seen by no certificate log",
        authority.certificates.issue_logged_by(&good, None),
    ));
    let unknown = rcgen::KeyPair::generate().unwrap();
    cases.push((
        "seen by an unknown log",
        authority
            .certificates
            .issue_logged_by(&good, Some(&unknown)),
    ));
    let policy = with_root(&authority, &usual());
    for (case, certificate) in cases {
        let layer = authority.sign_payload(&certificate, payload(REPOSITORY, &digest()), NOW);
        refused(case, &[cosign(layer)], &policy, "certificate");
        let current = authority.sign_statement(&certificate, &statement(&digest()), NOW);
        refused(case, &[bundle(&current)], &policy, "certificate");
    }
}

/// Takes the good signature and changes its log entry.
fn changed_layer(authority: &mut Authority, change: impl Fn(&mut Value)) -> Material {
    let (payload, mut annotations) = good_layer(authority);
    let entry = annotations.get_mut("dev.sigstore.cosign/bundle").unwrap();
    let mut value: Value = serde_json::from_str(entry).unwrap();
    change(&mut value);
    *entry = value.to_string();
    cosign((payload, annotations))
}

#[test]
fn log_entries_of_the_older_form_that_do_not_count() {
    let mut authority = Authority::default();
    let mut stranger = Authority::default();
    let policy = with_root(&authority, &usual());
    let foreign = good_layer(&mut stranger).1["dev.sigstore.cosign/bundle"].clone();
    let foreign: Value = serde_json::from_str(&foreign).unwrap();
    let certificate = signer(&authority);
    let own = authority.sign_payload(&certificate, payload(REPOSITORY, &other_digest()), NOW);
    let borrowed: Value = serde_json::from_str(&own.1["dev.sigstore.cosign/bundle"]).unwrap();
    type Change<'a> = Box<dyn Fn(&mut Value) + 'a>;
    let cases: Vec<(&str, Change<'_>)> = vec![
        (
            "promise destroyed",
            Box::new(|entry| entry["SignedEntryTimestamp"] = json!("MEUCIQ==")),
        ),
        (
            "promise empty",
            Box::new(|entry| entry["SignedEntryTimestamp"] = json!("")),
        ),
        (
            "time shifted behind the certificate's end",
            Box::new(|entry| entry["Payload"]["integratedTime"] = json!(NOW + 86_400)),
        ),
        (
            "time shifted a second",
            Box::new(|entry| entry["Payload"]["integratedTime"] = json!(NOW + 1)),
        ),
        (
            "index shifted",
            Box::new(|entry| entry["Payload"]["logIndex"] = json!(1)),
        ),
        (
            "another log's id",
            Box::new(|entry| entry["Payload"]["logID"] = json!("00".repeat(32))),
        ),
        (
            "id that is no number",
            Box::new(|entry| entry["Payload"]["logID"] = json!("é0")),
        ),
        (
            "entry of another log",
            Box::new(move |entry| *entry = foreign.clone()),
        ),
        (
            "entry of another signature",
            Box::new(move |entry| *entry = borrowed.clone()),
        ),
        (
            "body that is no entry",
            Box::new(|entry| entry["Payload"]["body"] = json!("e30=")),
        ),
        ("no entry", Box::new(|entry| *entry = json!({}))),
        ("null", Box::new(|entry| *entry = Value::Null)),
    ];
    for (case, change) in cases {
        let material = changed_layer(&mut authority, change);
        refused(case, &[material], &policy, "signature 1:");
    }
    let (payload, mut annotations) = good_layer(&mut authority);
    annotations.remove("dev.sigstore.cosign/bundle");
    refused(
        "not logged",
        &[cosign((payload, annotations))],
        &policy,
        "no transparency log",
    );
}

#[test]
fn a_signature_that_was_logged_too_late_does_not_count() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let certificate = signer(&authority);
    for (case, at) in [
        ("late", NOW + 301),
        ("early", NOW - 301),
        ("from the future", 32_503_680_000),
    ] {
        let layer = authority.sign_payload(&certificate, payload(REPOSITORY, &digest()), at);
        refused(case, &[cosign(layer)], &policy, "signature 1:");
        let current = authority.sign_statement(&certificate, &statement(&digest()), at);
        refused(case, &[bundle(&current)], &policy, "signature 1:");
    }
}

#[test]
fn bundles_that_do_not_count() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let good = good_bundle(&mut authority);
    let certificate = signer(&authority);
    let other = authority.sign_statement(&certificate, &statement(&other_digest()), NOW);
    let entry =
        |value: &Value, part: &str| value["verificationMaterial"]["tlogEntries"][0][part].clone();
    let with = |pointer: &str, new: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = new;
        changed
    };
    let entries = "/verificationMaterial/tlogEntries";
    let first = |part: &str| format!("{entries}/0/{part}");
    let zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut of_a_file = good.clone();
    let envelope = of_a_file.as_object_mut().unwrap().remove("dsseEnvelope");
    let signature = envelope.unwrap()["signatures"][0]["sig"].clone();
    of_a_file["messageSignature"] = json!({"signature": signature});
    let mut without_promise = good.clone();
    without_promise["verificationMaterial"]["tlogEntries"][0]
        .as_object_mut()
        .unwrap()
        .remove("inclusionPromise");
    let mut without_proof = good.clone();
    without_proof["verificationMaterial"]["tlogEntries"][0]
        .as_object_mut()
        .unwrap()
        .remove("inclusionProof");
    let mut without_both = without_proof.clone();
    without_both["verificationMaterial"]["tlogEntries"][0]
        .as_object_mut()
        .unwrap()
        .remove("inclusionPromise");
    let mut older = without_both.clone();
    older["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    for (case, value) in [
        ("no log entry", with(entries, json!([]))),
        (
            "promise destroyed",
            with(
                &first("inclusionPromise/signedEntryTimestamp"),
                json!("MEUCIQ=="),
            ),
        ),
        ("promise removed", without_promise),
        ("proof removed", without_proof),
        ("promise and proof removed", without_both),
        ("form that needs less", older),
        (
            "proof of zeroes",
            with(&first("inclusionProof/hashes/0"), json!(zero)),
        ),
        (
            "proof emptied",
            with(&first("inclusionProof/hashes"), json!([])),
        ),
        (
            "another root",
            with(&first("inclusionProof/rootHash"), json!(zero)),
        ),
        (
            "another size",
            with(&first("inclusionProof/treeSize"), json!("1")),
        ),
        (
            "another index",
            with(&first("inclusionProof/logIndex"), json!("0")),
        ),
        (
            "checkpoint of another tree",
            with(
                &first("inclusionProof/checkpoint"),
                entry(&other, "inclusionProof")["checkpoint"].clone(),
            ),
        ),
        (
            "checkpoint without signature",
            with(
                &first("inclusionProof/checkpoint/envelope"),
                json!(format!("log.test - 1\n7\n{zero}\n")),
            ),
        ),
        (
            "time shifted",
            with(&first("integratedTime"), json!((NOW + 1).to_string())),
        ),
        ("time removed", with(&first("integratedTime"), json!("0"))),
        (
            "body of another entry",
            with(
                &first("canonicalizedBody"),
                entry(&other, "canonicalizedBody"),
            ),
        ),
        (
            "entry of another signature",
            with(
                &format!("{entries}/0"),
                other["verificationMaterial"]["tlogEntries"][0].clone(),
            ),
        ),
        (
            "signature of another statement",
            with(
                "/dsseEnvelope/signatures",
                other["dsseEnvelope"]["signatures"].clone(),
            ),
        ),
        ("no signature", with("/dsseEnvelope/signatures", json!([]))),
        (
            "two signatures",
            with(
                "/dsseEnvelope/signatures",
                json!([{"sig": "AA=="}, {"sig": "AA=="}]),
            ),
        ),
        (
            "envelope of another type",
            with("/dsseEnvelope/payloadType", json!("text/plain")),
        ),
        (
            "another certificate",
            with("/verificationMaterial/certificate/rawBytes", json!("")),
        ),
        (
            "unknown form",
            with(
                "/mediaType",
                json!("application/vnd.dev.sigstore.bundle.v9+json"),
            ),
        ),
        ("statement about another image", other.clone()),
        ("no object", json!([])),
        ("empty", json!({})),
    ] {
        refused(case, &[bundle(&value)], &policy, "signature 1:");
    }
    refused(
        "no JSON",
        &[Material::Bundle(b"\xff\x00".to_vec())],
        &policy,
        "malformed bundle",
    );
    assert!(verdict(&[bundle(&good)], &policy).is_ok());
}

#[test]
fn a_root_that_lacks_a_part_trusts_nobody() {
    let mut authority = Authority::default();
    let material = cosign(good_layer(&mut authority));
    let materials = [material, bundle(&good_bundle(&mut authority))];
    let stranger = Authority::default().trusted_root();
    for part in ["tlogs", "ctlogs", "certificateAuthorities"] {
        let mut root = authority.trusted_root();
        root[part] = stranger[part].clone();
        let policy = policy(&usual(), &[("trusted_root.json", root.to_string())]);
        for material in &materials {
            refused(
                part,
                std::slice::from_ref(material),
                &policy,
                "signature 1:",
            );
        }
    }
    let none = policy(&usual(), &[]);
    refused(
        "no root",
        &materials,
        &none,
        "put trusted_root.json into the trust directory",
    );
    // A root that was withdrawn before.
    let mut root = authority.trusted_root();
    root["certificateAuthorities"][0]["validFor"]["end"] = json!("2021-01-01T00:00:00Z");
    let policy = policy(&usual(), &[("trusted_root.json", root.to_string())]);
    refused("withdrawn", &materials, &policy, "signature 1:");
}
