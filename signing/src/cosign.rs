//! A layer of a `.sig` image in the form that bundles have, so that both are verified by the same code.

use crate::error::Flaw;
use crate::material::{BUNDLE, CERTIFICATE, CHAIN, SIGNATURE, TIMESTAMP};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::types::{Bundle, SignatureBytes};
use std::collections::BTreeMap;

/// The entry of the transparency log, as clients annotate it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Logged {
    signed_entry_timestamp: String,
    payload: Entry,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// What kind of entry a body is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    api_version: String,
    kind: String,
}

#[derive(Deserialize)]
struct TimeStamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

/// The signature itself.
pub(crate) fn signature(annotations: &BTreeMap<String, String>) -> Result<SignatureBytes, Flaw> {
    let text = annotations
        .get(SIGNATURE)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Flaw::malformed("signature", "it is not there"))?;
    SignatureBytes::from_base64(text).map_err(|error| Flaw::malformed("signature", error))
}

/// Whether it was made with a certificate.
pub(crate) fn has_certificate(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(CERTIFICATE)
        .is_some_and(|text| !text.trim().is_empty())
}

/// The bundle of the earliest form: it may have a promise of the log and no proof, which this kind of signature lacks.
///
/// # Errors
///
/// [`Flaw::NotLogged`] without an entry of a transparency log, [`Flaw::Malformed`] where parts do not parse.
pub(crate) fn bundle(annotations: &BTreeMap<String, String>) -> Result<Bundle, Flaw> {
    let logged = annotations.get(BUNDLE).ok_or(Flaw::NotLogged)?;
    let logged: Logged =
        serde_json::from_str(logged).map_err(|error| Flaw::malformed("log entry", error))?;
    let mut material = match annotations.get(CERTIFICATE) {
        Some(leaf) if has_certificate(annotations) => json!({
            "x509CertificateChain": {"certificates": certificates(leaf, annotations.get(CHAIN))?}
        }),
        _ => json!({"publicKey": {"hint": ""}}),
    };
    material["tlogEntries"] = json!([entry(&logged)?]);
    if let Some(text) = annotations.get(TIMESTAMP).filter(|text| !text.is_empty()) {
        let stamp: TimeStamp =
            serde_json::from_str(text).map_err(|error| Flaw::malformed("time stamp", error))?;
        material["timestampVerificationData"] =
            json!({"rfc3161Timestamps": [{"signedTimestamp": stamp.token}]});
    }
    let bundle = json!({
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "verificationMaterial": material,
        "messageSignature": {"signature": signature(annotations)?.to_base64()},
    });
    Bundle::from_json(&bundle.to_string()).map_err(|error| Flaw::malformed("signature", error))
}

fn entry(logged: &Logged) -> Result<Value, Flaw> {
    let entry = &logged.payload;
    let bad = |cause: String| Flaw::malformed("log entry", cause);
    let body = STANDARD
        .decode(&entry.body)
        .map_err(|error| bad(error.to_string()))?;
    let body: Body = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    Ok(json!({
        "logIndex": entry.log_index.to_string(),
        "logId": {"keyId": STANDARD.encode(hexadecimal(&entry.log_id).ok_or_else(|| bad("the log's id".to_owned()))?)},
        "kindVersion": {"kind": body.kind, "version": body.api_version},
        "integratedTime": entry.integrated_time.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": logged.signed_entry_timestamp},
        "canonicalizedBody": entry.body,
    }))
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// Leaf first.
fn certificates(leaf: &str, chain: Option<&String>) -> Result<Vec<Value>, Flaw> {
    let bad = |error: pem::PemError| Flaw::malformed("certificate", error);
    let mut blocks = vec![pem::parse(leaf).map_err(bad)?];
    if let Some(chain) = chain {
        blocks.extend(pem::parse_many(chain).map_err(bad)?);
    }
    if let Some(other) = blocks.iter().find(|block| block.tag() != "CERTIFICATE") {
        return Err(Flaw::malformed(
            "certificate",
            format!("it is a {}", other.tag()),
        ));
    }
    Ok(blocks
        .iter()
        .map(|block| json!({"rawBytes": STANDARD.encode(block.contents())}))
        .collect())
}
