//! Policies, materials and what is expected of them.

use crate::authority::{Authority, Certificate, Layer, NOW, Subject};
use ipc::messages::signing::{
    Demand, Grounds, Pattern, Signers, SigningRule, SigningSettings, TrustedIdentity,
};
use serde_json::Value;
use signing::{Image, Material, Policy, Trust, judge};
use std::collections::BTreeMap;

pub(crate) const REPOSITORY: &str = "quay.io/bpfman/counter";
pub(crate) const SIGNER: &str =
    "https://github.com/bpfman/bpfman/.github/workflows/image.yml@refs/heads/main";
pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";

pub(crate) fn digest() -> String {
    format!("sha256:{}", "0123456789abcdef".repeat(4))
}

pub(crate) fn other_digest() -> String {
    format!("sha256:{}", "fedcba9876543210".repeat(4))
}

pub(crate) fn cosign((payload, annotations): Layer) -> Material {
    Material::cosign(payload, &annotations)
}

pub(crate) fn bundle(value: &Value) -> Material {
    Material::Bundle(value.to_string().into_bytes())
}

pub(crate) fn exact(subject: &str, issuer: &str) -> TrustedIdentity {
    TrustedIdentity {
        subject: Pattern::Exact(subject.to_owned()),
        issuer: Pattern::Exact(issuer.to_owned()),
    }
}

pub(crate) fn identities(identities: Vec<TrustedIdentity>) -> Signers {
    Signers {
        identities,
        ..Signers::default()
    }
}

pub(crate) fn trusting(signers: Signers) -> SigningSettings {
    SigningSettings {
        signers,
        ..SigningSettings::default()
    }
}

pub(crate) fn rule(images: &str, demand: Demand) -> SigningSettings {
    SigningSettings {
        rules: vec![SigningRule {
            images: images.to_owned(),
            demand,
            signed_as: Vec::new(),
        }],
        ..SigningSettings::default()
    }
}

/// Trusts [`SIGNER`] alone.
pub(crate) fn usual() -> SigningSettings {
    trusting(identities(vec![exact(SIGNER, ISSUER)]))
}

pub(crate) fn signer(authority: &Authority) -> Certificate {
    authority.certificates.issue(&Subject::new(SIGNER, ISSUER))
}

/// A signature that counts, of the older form.
pub(crate) fn good_layer(authority: &mut Authority) -> Layer {
    let certificate = signer(authority);
    let payload = crate::authority::payload(REPOSITORY, &digest());
    authority.sign_payload(&certificate, payload, NOW)
}

/// A signature that counts, of the current form.
pub(crate) fn good_bundle(authority: &mut Authority) -> Value {
    let certificate = signer(authority);
    let statement = crate::authority::statement(&digest());
    authority.sign_statement(&certificate, &statement, NOW)
}

pub(crate) fn policy(settings: &SigningSettings, files: &[(&str, String)]) -> Policy {
    let files: BTreeMap<_, _> = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.clone().into_bytes()))
        .collect();
    Policy::new(settings, &Trust::new(files).unwrap()).unwrap()
}

pub(crate) fn with_root(authority: &Authority, settings: &SigningSettings) -> Policy {
    let root = authority.trusted_root().to_string();
    policy(settings, &[("trusted_root.json", root)])
}

/// What is found, or all that is wrong.
pub(crate) fn verdict(materials: &[Material], policy: &Policy) -> Result<Grounds, String> {
    let digest = digest();
    let image = Image {
        repository: REPOSITORY,
        digest: &digest,
    };
    judge(&image, materials, policy)
        .map(|accepted| accepted.grounds)
        .map_err(|refusal| refusal.to_string())
}

#[track_caller]
pub(crate) fn refused(case: &str, materials: &[Material], policy: &Policy, reason: &str) {
    match verdict(materials, policy) {
        Ok(grounds) => panic!("{case}: accepted by {grounds:?}"),
        Err(error) => assert!(error.contains(reason), "{case}: {error}"),
    }
}
