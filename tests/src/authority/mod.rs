//! A signing authority of the tests' own: certificate authority, certificate log, transparency log, and signers with real
//! keys. What it makes has the published forms; nothing of it is checked against the code that makes it.

#![allow(clippy::expect_used, reason = "tests")]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test that includes this uses other parts"
)]

mod certificate;
mod log;
mod stamp;

pub use certificate::{Certificate, Subject};
pub use log::{Entry, Log};
pub use stamp::Stamper;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A moment within the validity of everything that is made here: seconds since the epoch.
pub const NOW: i64 = 1_750_000_000;

/// Everything that a trusted root stands for.
pub struct Authority {
    /// Issues certificates to identities.
    pub certificates: certificate::Issuer,
    /// Where signatures are logged.
    pub log: Log,
    /// Says when signatures were there.
    pub stamper: Stamper,
}

impl Default for Authority {
    fn default() -> Self {
        Self {
            certificates: certificate::Issuer::new(),
            log: Log::new(),
            stamper: Stamper::new(),
        }
    }
}

/// A signature of the older form: payload, annotations of its layer.
pub type Layer = (Vec<u8>, BTreeMap<String, String>);

impl Authority {
    /// What those who trust it have on disk.
    pub fn trusted_root(&self) -> Value {
        let ca = json!({
            "uri": "https://authority.test",
            "subject": {"organization": "test", "commonName": "test"},
            "certChain": {"certificates": [{"rawBytes": encode(&self.certificates.root())}]},
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        });
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log_instance(self.log.key())],
            "ctlogs": [log_instance(self.certificates.log_key())],
            "certificateAuthorities": [ca],
            "timestampAuthorities": [self.stamper.instance()],
        })
    }

    /// Signs a payload as an identity, and logs that.
    pub fn sign_payload(&mut self, certificate: &Certificate, payload: Vec<u8>, at: i64) -> Layer {
        let signature = encode(&certificate.sign(&payload));
        let body = hashed_rekord(&payload, &signature, &certificate.pem());
        let entry = self.log.append(body, at);
        let annotations = [
            ("dev.cosignproject.cosign/signature", signature),
            ("dev.sigstore.cosign/certificate", certificate.pem()),
            ("dev.sigstore.cosign/chain", self.certificates.root_pem()),
            ("dev.sigstore.cosign/bundle", entry.annotation().to_string()),
        ];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value));
        (payload, annotations.into())
    }

    /// Signs a payload with a key, and logs that.
    pub fn log_key_signature(&mut self, key: &KeyPair, payload: Vec<u8>, at: i64) -> Layer {
        let (payload, mut annotations) = sign_with_key(key, payload);
        let signature = annotations["dev.cosignproject.cosign/signature"].clone();
        let body = hashed_rekord(&payload, &signature, &key.public_key_pem());
        let entry = self.log.append(body, at).annotation().to_string();
        annotations.insert("dev.sigstore.cosign/bundle".to_owned(), entry);
        (payload, annotations)
    }

    /// Signs a statement as an identity: a bundle of the current form.
    pub fn sign_statement(
        &mut self,
        certificate: &Certificate,
        statement: &Value,
        at: i64,
    ) -> Value {
        let payload = statement.to_string().into_bytes();
        let signature = encode(&certificate.sign(&pae(&payload)));
        let entry = self
            .log
            .append(dsse(&payload, &signature, &certificate.pem()), at);
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": encode(certificate.der())},
                "tlogEntries": [entry.in_bundle()],
            },
            "dsseEnvelope": envelope(&payload, &signature),
        })
    }

    /// The same, logged as the second version of Rekor does: without a time, so that a stamp is needed.
    pub fn sign_statement_for_rekor_2(
        &mut self,
        certificate: &Certificate,
        statement: &Value,
    ) -> Value {
        let mut bundle = self.sign_statement(certificate, statement, NOW);
        let verifier = json!({"x509Certificate": {"rawBytes": encode(certificate.der())}});
        let body = hashed_rekord_2(&statement.to_string(), &signature_of(&bundle), verifier);
        let entry = self.log.append(body, NOW).in_bundle_of_rekor_2();
        bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
        bundle
    }
}

/// Signs a statement with a key, and logs that as the second version of Rekor does.
pub fn log_key_statement(authority: &mut Authority, key: &KeyPair, statement: &Value) -> Value {
    let mut bundle = sign_statement_with_key(key, statement);
    let signature = signature_of(&bundle);
    let verifier = json!({"publicKey": {
        "rawBytes": encode(&rcgen::PublicKeyData::subject_public_key_info(key)),
    }});
    let body = hashed_rekord_2(&statement.to_string(), &signature, verifier);
    let entry = authority.log.append(body, NOW).in_bundle_of_rekor_2();
    bundle["verificationMaterial"]["tlogEntries"] = json!([entry]);
    bundle
}

/// Has the signature in a bundle stamped; it may have been before.
pub fn stamp(stamper: &Stamper, bundle: &mut Value, at: i64) {
    let signature = STANDARD.decode(signature_of(bundle)).expect("base64");
    let stamp = json!({"signedTimestamp": encode(&stamper.stamp(&signature, at))});
    let data = &mut bundle["verificationMaterial"]["timestampVerificationData"];
    match data["rfc3161Timestamps"].as_array_mut() {
        Some(stamps) => stamps.push(stamp),
        None => data["rfc3161Timestamps"] = json!([stamp]),
    }
}

fn signature_of(bundle: &Value) -> String {
    let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str();
    signature.expect("a signature").to_owned()
}

/// Signs a payload with a key.
pub fn sign_with_key(key: &KeyPair, payload: Vec<u8>) -> Layer {
    let signature = encode(&key.sign(&payload).expect("a key of the tests"));
    let annotations = [("dev.cosignproject.cosign/signature".to_owned(), signature)];
    (payload, annotations.into())
}

/// Signs a statement with a key: a bundle that is in no log.
pub fn sign_statement_with_key(key: &KeyPair, statement: &Value) -> Value {
    let payload = statement.to_string().into_bytes();
    let signature = encode(&key.sign(&pae(&payload)).expect("a key of the tests"));
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
        "dsseEnvelope": envelope(&payload, &signature),
    })
}

/// What is signed of an image, in the older form.
pub fn payload(repository: &str, digest: &str) -> Vec<u8> {
    json!({
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": null,
    })
    .to_string()
    .into_bytes()
}

/// What is signed of an image, in the current form.
pub fn statement(digest: &str) -> Value {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "", "digest": {"sha256": hex}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

fn log_instance(key: &KeyPair) -> Value {
    let spki = rcgen::PublicKeyData::subject_public_key_info(key);
    json!({
        "baseUrl": "https://log.test",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": encode(&spki),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        },
        "logId": {"keyId": encode(&Sha256::digest(&spki))},
    })
}

fn hashed_rekord(payload: &[u8], signature: &str, verifier: &str) -> Value {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hexadecimal(&Sha256::digest(payload))}},
            "signature": {"content": signature, "publicKey": {"content": encode(verifier.as_bytes())}},
        },
    })
}

/// An entry of the second version of Rekor.
fn hashed_rekord_2(statement: &str, signature: &str, mut verifier: Value) -> Value {
    verifier["keyDetails"] = json!("PKIX_ECDSA_P256_SHA_256");
    json!({
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": encode(&Sha256::digest(pae(statement.as_bytes())))},
            "signature": {"content": signature, "verifier": verifier},
        }},
    })
}

fn dsse(payload: &[u8], signature: &str, verifier: &str) -> Value {
    let hash = hexadecimal(&Sha256::digest(payload));
    json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": hash},
            "payloadHash": {"algorithm": "sha256", "value": hash},
            "signatures": [{"signature": signature, "verifier": encode(verifier.as_bytes())}],
        },
    })
}

fn envelope(payload: &[u8], signature: &str) -> Value {
    json!({
        "payload": encode(payload),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": signature}],
    })
}

/// What is signed of an envelope (<https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>).
fn pae(payload: &[u8]) -> Vec<u8> {
    let kind = "application/vnd.in-toto+json";
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
