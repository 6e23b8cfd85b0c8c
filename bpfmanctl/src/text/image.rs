//! Images in text.

use crate::time::rfc3339;
use ipc::messages::signing::Grounds;

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
