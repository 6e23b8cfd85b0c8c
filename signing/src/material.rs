//! Signatures as they were fetched.

use crate::error::Flaw;
use crate::limits;
use bincode::{Decode, Encode};
use std::collections::BTreeMap;

/// Annotation of a signature's layer that holds the signature (base64).
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Annotation with the certificate (PEM).
pub const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Annotation with the certificates above it (PEM).
pub const CHAIN: &str = "dev.sigstore.cosign/chain";
/// Annotation with the entry of the transparency log (JSON).
pub const BUNDLE: &str = "dev.sigstore.cosign/bundle";
/// Annotation with a time stamp (JSON).
pub const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// Media type of a signature's payload, the layer of a `.sig` image.
pub const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What media types of bundles begin with: the artifact types of referrers, and their layers.
pub const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// One signature, with what was stored beside it. Encodable, so that a cache can keep it for when a policy changes.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Material {
    /// A layer of the `.sig` image: payload and annotations.
    Cosign {
        /// What was signed.
        payload: Vec<u8>,
        /// Annotations of the layer.
        annotations: BTreeMap<String, String>,
    },
    /// A bundle, found as a referrer of the image.
    Bundle(Vec<u8>),
}

impl Material {
    /// A layer of a `.sig` image; of its annotations only those that matter are kept.
    pub fn cosign(payload: Vec<u8>, annotations: &BTreeMap<String, String>) -> Self {
        let known = [SIGNATURE, CERTIFICATE, CHAIN, BUNDLE, TIMESTAMP];
        Self::Cosign {
            payload,
            annotations: annotations
                .iter()
                .filter(|(key, _)| known.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }

    /// Refuses what is longer than any signature.
    pub(crate) fn check(&self) -> Result<(), Flaw> {
        let bytes = match self {
            Self::Cosign {
                payload,
                annotations,
            } => {
                let text = annotations.values().map(String::len).sum::<usize>();
                payload.len().saturating_add(text)
            }
            Self::Bundle(bytes) => bytes.len(),
        };
        if bytes > limits::MATERIAL_BYTES {
            return Err(Flaw::TooMuch {
                what: "bytes",
                limit: limits::MATERIAL_BYTES,
            });
        }
        Ok(())
    }
}
