//! Images in the cache.

use super::table;
use crate::time::rfc3339;
use ipc::messages::pull::CachedImage;
use ipc::messages::signing::{Acceptance, Grounds};
use oci::Digest;

/// The table of `image list`.
pub(crate) fn images(images: &[CachedImage], width: Option<u16>) -> String {
    let headings = ["REFERENCE", "DIGEST", "SIZE", "PULLED", "ACCEPTED"];
    let cells = |image: &CachedImage| {
        vec![
            image.reference.clone(),
            digest(&image.manifest),
            image.bytes.to_string(),
            rfc3339(image.pulled_at),
            image
                .acceptance
                .as_ref()
                .map_or_else(|| "no".to_owned(), accepted),
        ]
    };
    table(&headings, images.iter().map(cells).collect(), width)
}

/// SHA-256 as images write it.
pub(crate) fn digest(bytes: &[u8; 32]) -> String {
    Digest::from_bytes(*bytes).to_string()
}

/// On what grounds an image was accepted.
pub(crate) fn accepted(acceptance: &Acceptance) -> String {
    match (grounds(&acceptance.grounds), &acceptance.grounds) {
        (Some(signer), _) => signer,
        (None, Grounds::Unsigned) => "unsigned".to_owned(),
        (None, _) => "not checked".to_owned(),
    }
}

/// Who signed an image; nothing if nobody did.
pub(crate) fn grounds(grounds: &Grounds) -> Option<String> {
    match grounds {
        Grounds::Key {
            name,
            fingerprint,
            logged,
        } => {
            let hex: String = fingerprint
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let logged = if *logged { ", in the log" } else { "" };
            Some(format!("key {name} (SHA256:{hex}){logged}"))
        }
        Grounds::Identity {
            subject,
            issuer,
            signed_at,
        } => Some(format!("{subject} ({issuer}) at {}", rfc3339(*signed_at))),
        Grounds::Unsigned | Grounds::NotChecked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn lists() {
        insta::assert_snapshot!(images(&samples::image::images(), None));
        assert_eq!(images(&[], None), "");
    }
}
