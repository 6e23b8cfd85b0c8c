//! Making a signature with a key.

use crate::judge::Image;
use crate::key::{KeyError, PrivateKey};
use crate::material::{Material, SIGNATURE};
use crate::payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// Signs an image: a layer of its `.sig` image, as cosign makes it.
///
/// # Errors
///
/// When there is no randomness.
pub fn sign(image: &Image<'_>, key: &PrivateKey) -> Result<Material, KeyError> {
    let payload = payload::write(image.repository, image.digest).map_err(|_| KeyError::Failed)?;
    let signature = STANDARD.encode(key.sign(&payload)?);
    let annotations = BTreeMap::from([(SIGNATURE.to_owned(), signature)]);
    Ok(Material::Cosign {
        payload,
        annotations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, Trust, judge};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
    use ipc::messages::signing::{Grounds, Signers, SigningSettings};

    #[test]
    fn what_is_signed_is_accepted_with_the_public_key() {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let p256 = p256.to_pkcs8v1().unwrap();
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let ed25519 = ed25519.to_pkcs8v1().unwrap();
        let digest = format!("sha256:{}", "ab".repeat(32));
        let image = Image {
            repository: "quay.io/a/b",
            digest: &digest,
        };
        for der in [p256.as_ref(), ed25519.as_ref()] {
            let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der));
            let key = PrivateKey::parse(pem.as_bytes()).unwrap();
            let files = [("a.pub".to_owned(), key.public().unwrap().into_bytes())];
            let settings = SigningSettings {
                signers: Signers {
                    keys: vec!["a.pub".to_owned()],
                    ..Signers::default()
                },
                ..SigningSettings::default()
            };
            let policy = Policy::new(&settings, &Trust::new(files.into()).unwrap()).unwrap();
            let material = sign(&image, &key).unwrap();
            let accepted = judge(&image, &[material], &policy).unwrap();
            assert_eq!(accepted.policy, policy.digest());
            assert!(
                matches!(accepted.grounds, Grounds::Key { name, logged: false, .. } if name == "a.pub")
            );
        }
    }
}
