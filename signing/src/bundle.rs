//! Bundles: bounds, and what they state.

use crate::error::Flaw;
use crate::limits;
use serde::Deserialize;
use sigstore_verify::types::bundle::VerificationMaterialContent;
use sigstore_verify::types::{Bundle, DsseEnvelope, SignatureContent};

/// What a statement must be to count as a signature
/// (<https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md>). Others are about tests, contents, builds.
const SIGNATURE_STATEMENT: &str = "https://sigstore.dev/cosign/sign/v1";
const STATEMENT_TYPES: [&str; 2] = [
    "https://in-toto.io/Statement/v1",
    "https://in-toto.io/Statement/v0.1",
];
const ENVELOPE_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

#[derive(Deserialize)]
struct Digest {
    sha256: Option<String>,
}

/// Parses a bundle and checks its bounds.
pub(crate) fn read(bytes: &[u8]) -> Result<Bundle, Flaw> {
    let bundle: Bundle =
        serde_json::from_slice(bytes).map_err(|error| Flaw::malformed("bundle", error))?;
    check(&bundle)?;
    Ok(bundle)
}

/// Checks how much there is to verify.
pub(crate) fn check(bundle: &Bundle) -> Result<(), Flaw> {
    let material = &bundle.verification_material;
    let certificates = match &material.content {
        VerificationMaterialContent::X509CertificateChain { certificates } => certificates.len(),
        _ => 1,
    };
    let hashes = material
        .tlog_entries
        .iter()
        .filter_map(|entry| entry.inclusion_proof.as_ref())
        .map(|proof| proof.hashes.len())
        .max()
        .unwrap_or_default();
    let stamps = &material.timestamp_verification_data.rfc3161_timestamps;
    for (what, count, limit) in [
        (
            "log entries",
            material.tlog_entries.len(),
            limits::LOG_ENTRIES,
        ),
        ("certificates", certificates, limits::CERTIFICATES),
        ("hashes in a proof", hashes, limits::PROOF_HASHES),
        ("time stamps", stamps.len(), limits::TIMESTAMPS),
    ] {
        if count > limit {
            return Err(Flaw::TooMuch { what, limit });
        }
    }
    Ok(())
}

/// What says that the image is signed, if the bundle holds that. It is believed only when the signature verifies.
pub(crate) fn states<'a>(bundle: &'a Bundle, digest: &str) -> Result<&'a DsseEnvelope, Flaw> {
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        // A signature of the manifest as of any file: nobody signs images so.
        return Err(Flaw::malformed("bundle", "it holds no statement"));
    };
    if envelope.payload_type != ENVELOPE_TYPE {
        return Err(Flaw::OtherStatement(envelope.payload_type.clone()));
    }
    let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
        .map_err(|error| Flaw::malformed("statement", error))?;
    if !STATEMENT_TYPES.contains(&statement.kind.as_str())
        || statement.predicate_type != SIGNATURE_STATEMENT
    {
        return Err(Flaw::OtherStatement(statement.predicate_type));
    }
    let signed = |subject: &Subject| {
        let hex = subject.digest.sha256.as_deref()?;
        Some(format!("sha256:{hex}"))
    };
    let mut subjects = statement.subject.iter().filter_map(signed);
    // One image per signature: a list could hide that it was made for something else.
    match (subjects.next(), subjects.next()) {
        (Some(one), None) if one == digest => Ok(envelope),
        (Some(one), None) => Err(Flaw::OtherImage {
            signed: one,
            wanted: digest.to_owned(),
        }),
        _ => Err(Flaw::malformed("statement", "it has not one subject")),
    }
}
