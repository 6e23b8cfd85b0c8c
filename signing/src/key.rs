//! Private keys: PKCS#8 in PEM, as `openssl genpkey` writes them.

use crate::limits;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

/// Tag of an unencrypted key.
const PLAIN: &str = "PRIVATE KEY";

/// A private key. Its bytes are overwritten when it is dropped.
pub struct PrivateKey(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PrivateKey")
    }
}

/// What is wrong with a private key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Longer than any key.
    #[error("it is larger than {size} bytes", size = limits::PRIVATE_KEY_BYTES)]
    TooLarge,
    /// It is not PEM.
    #[error("it is no PEM file")]
    NotPem,
    /// It is encrypted, or something else.
    #[error(
        "it is a \"{0}\", not an unencrypted \"{PLAIN}\"; make one with: openssl genpkey -algorithm EC -pkeyopt \
         ec_paramgen_curve:P-256 -out sign.key, or take an existing one out of its encryption with: openssl pkey -in OLD \
         -out sign.key"
    )]
    OtherForm(String),
    /// Another algorithm, or damaged.
    #[error("it is no key of ECDSA P-256 or Ed25519")]
    OtherAlgorithm,
    /// The random generator failed.
    #[error("signing failed")]
    Failed,
}

impl PrivateKey {
    /// Parses a key.
    ///
    /// # Errors
    ///
    /// Anything but an unencrypted PKCS#8 key of ECDSA P-256 or Ed25519.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() as u64 > limits::PRIVATE_KEY_BYTES {
            return Err(KeyError::TooLarge);
        }
        let block = pem::parse(bytes).map_err(|_| KeyError::NotPem)?;
        if block.tag() != PLAIN {
            return Err(KeyError::OtherForm(block.tag().to_owned()));
        }
        let der = block.contents();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            return Ok(Self(Pair::P256(pair)));
        }
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(|pair| Self(Pair::Ed25519(pair)))
            .map_err(|_| KeyError::OtherAlgorithm)
    }

    /// Signs a message: ECDSA over its SHA-256 (ASN.1), or Ed25519.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0 {
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyError::Failed),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The public key, as PEM.
    ///
    /// # Errors
    ///
    /// When it cannot be encoded.
    pub fn public(&self) -> Result<String, KeyError> {
        let der = match &self.0 {
            Pair::P256(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.public_key().as_der().map(|der| der.as_ref().to_vec()),
        };
        let der = der.map_err(|_| KeyError::Failed)?;
        let form = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("PUBLIC KEY", der), form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P256: &str =
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";

    #[test]
    fn what_is_no_key_says_what_is_needed() {
        let error = |bytes: &[u8]| PrivateKey::parse(bytes).unwrap_err().to_string();
        assert!(error(b"").contains("no PEM"));
        assert!(error(P256.as_bytes()).contains("no PEM"));
        let encrypted = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
        assert!(error(encrypted.as_bytes()).contains("ENCRYPTED SIGSTORE"));
        let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(error(damaged.as_bytes()).contains("ECDSA P-256"));
        assert!(error(&vec![b'-'; limits::PRIVATE_KEY_BYTES as usize + 1]).contains("larger"));
        assert!(error(&vec![b'-'; limits::PRIVATE_KEY_BYTES as usize]).contains("no PEM"));
    }
}
