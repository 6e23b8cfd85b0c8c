//! No signature, no policy, and too much of anything.

use crate::authority::{Authority, NOW, payload, statement};
use crate::world::*;
use ipc::messages::signing::{Demand, Grounds, SigningSettings};
use serde_json::json;
use signing::{Material, limits};

fn unsigned_allowed() -> SigningSettings {
    SigningSettings {
        allow_unsigned: true,
        ..SigningSettings::default()
    }
}

#[test]
fn without_configuration_nobody_is_trusted() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &SigningSettings::default());
    refused("unsigned", &[], &policy, "nobody is trusted");
    let signed = cosign(good_layer(&mut authority));
    refused("signed", &[signed], &policy, "nobody is trusted");
}

#[test]
fn unsigned_images_are_accepted_only_where_that_is_said() {
    let authority = Authority::default();
    refused(
        "unsigned",
        &[],
        &with_root(&authority, &usual()),
        "is not signed",
    );
    let allowed = with_root(&authority, &unsigned_allowed());
    assert_eq!(verdict(&[], &allowed), Ok(Grounds::Unsigned));
    let off = SigningSettings {
        verify: false,
        ..SigningSettings::default()
    };
    assert_eq!(
        verdict(&[], &with_root(&authority, &off)),
        Ok(Grounds::NotChecked)
    );
    let nothing = rule("quay.io/bpfman/*", Demand::Nothing);
    assert_eq!(
        verdict(&[], &with_root(&authority, &nothing)),
        Ok(Grounds::NotChecked)
    );
    let elsewhere = rule("quay.io/other/*", Demand::Nothing);
    refused(
        "other rule",
        &[],
        &with_root(&authority, &elsewhere),
        "nobody is trusted",
    );
    let never = SigningSettings {
        verify: false,
        ..rule("*", Demand::Refused)
    };
    refused(
        "refused without verification",
        &[],
        &with_root(&authority, &never),
        "is refused by a rule",
    );
    let never = rule("*", Demand::Refused);
    refused(
        "refused",
        &[],
        &with_root(&authority, &never),
        "is refused by a rule",
    );
}

#[test]
fn a_rule_is_not_weakened_by_allow_unsigned() {
    let authority = Authority::default();
    let mut settings = rule(REPOSITORY, Demand::SignedBy(usual().signers));
    settings.allow_unsigned = true;
    refused(
        "downgrade",
        &[],
        &with_root(&authority, &settings),
        "is not signed",
    );
}

#[test]
fn a_bad_signature_is_worse_than_none() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &unsigned_allowed());
    let good = cosign(good_layer(&mut authority));
    assert!(matches!(
        verdict(&[good], &policy),
        Ok(Grounds::Identity { .. })
    ));
    let stranger = cosign(good_layer(&mut Authority::default()));
    refused(
        "stranger",
        &[stranger],
        &policy,
        "no signature of somebody who is trusted",
    );
    let wrong = payload(REPOSITORY, &other_digest());
    let certificate = signer(&authority);
    let wrong = cosign(authority.sign_payload(&certificate, wrong, NOW));
    refused("other digest", &[wrong], &policy, "it was made for");
}

#[test]
fn too_much_is_refused() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let good = cosign(good_layer(&mut authority));
    let many = vec![good.clone(); limits::MATERIALS];
    assert!(verdict(&many, &policy).is_ok());
    let many = vec![good; limits::MATERIALS + 1];
    refused("signatures", &many, &policy, "more than 32 signatures");

    let bytes = Material::Bundle(vec![b' '; limits::MATERIAL_BYTES + 1]);
    refused("bundle", &[bytes], &policy, "more than 131072 bytes");
    let bytes = Material::Bundle(vec![b' '; limits::MATERIAL_BYTES]);
    refused("bundle that fits", &[bytes], &policy, "malformed bundle");
    let (payload, mut annotations) = good_layer(&mut authority);
    annotations.insert(
        "dev.sigstore.cosign/chain".to_owned(),
        " ".repeat(limits::MATERIAL_BYTES),
    );
    refused(
        "chain",
        &[cosign((payload, annotations))],
        &policy,
        "more than 131072 bytes",
    );
    let (payload, mut annotations) = good_layer(&mut authority);
    let root = authority.certificates.root_pem();
    annotations.insert(
        "dev.sigstore.cosign/chain".to_owned(),
        root.repeat(limits::CERTIFICATES),
    );
    refused(
        "certificates",
        &[cosign((payload, annotations))],
        &policy,
        "more than 8 certificates",
    );
}

#[test]
fn parts_of_bundles_are_bounded() {
    let mut authority = Authority::default();
    let policy = with_root(&authority, &usual());
    let certificate = signer(&authority);
    let good = authority.sign_statement(&certificate, &statement(&digest()), NOW);
    let entries = |count| {
        let mut changed = good.clone();
        let entry = good["verificationMaterial"]["tlogEntries"][0].clone();
        changed["verificationMaterial"]["tlogEntries"] = json!(vec![entry; count]);
        bundle(&changed)
    };
    assert!(verdict(&[entries(limits::LOG_ENTRIES)], &policy).is_ok());
    refused(
        "entries",
        &[entries(limits::LOG_ENTRIES + 1)],
        &policy,
        "more than 4 log entries",
    );
    let mut hashes = good.clone();
    let hash = good["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["rootHash"].clone();
    hashes["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"] =
        json!(vec![hash; limits::PROOF_HASHES + 1]);
    refused("hashes", &[bundle(&hashes)], &policy, "more than 64 hashes");
    let mut stamps = good.clone();
    stamps["verificationMaterial"]["timestampVerificationData"] = json!({"rfc3161Timestamps": vec![json!({"signedTimestamp": "AA=="}); limits::TIMESTAMPS + 1]});
    refused(
        "time stamps",
        &[bundle(&stamps)],
        &policy,
        "more than 4 time stamps",
    );
    stamps["verificationMaterial"]["timestampVerificationData"] =
        json!({"rfc3161Timestamps": [{"signedTimestamp": "AA=="}]});
    refused(
        "time stamp of nobody",
        &[bundle(&stamps)],
        &policy,
        "signature 1:",
    );
}
