//! Arbitrary bytes as signatures, keys and roots: what the fuzz target calls, kept here so that every build compiles it and a
//! test runs it.

use ipc::messages::signing::{Pattern, Signers, SigningSettings, TrustedIdentity};
use signing::{Image, Material, Policy, Trust, judge};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Of an authority that nobody has the keys of any more: what it signed is not needed to look for what breaks.
const ROOT: &str = include_str!("trusted_root.json");
const KEY: &str = include_str!("key.pub");

/// The image that is judged.
const REPOSITORY: &str = "quay.io/bpfman/counter";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn settings() -> SigningSettings {
    let anything = || Pattern::Regexp(".*".to_owned());
    SigningSettings {
        signers: Signers {
            keys: vec!["key.pub".to_owned()],
            identities: vec![TrustedIdentity {
                subject: anything(),
                issuer: anything(),
            }],
            logged: false,
        },
        ..SigningSettings::default()
    }
}

fn policy() -> Option<&'static Policy> {
    static POLICY: OnceLock<Option<Policy>> = OnceLock::new();
    POLICY.get_or_init(|| with(ROOT, KEY)).as_ref()
}

fn with(root: &str, key: &str) -> Option<Policy> {
    let files = [("trusted_root.json", root), ("key.pub", key)];
    let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    Policy::new(&settings(), &Trust::new(files.into()).ok()?).ok()
}

/// Reads the bytes as each thing that they could be. Whether what was made for them verifies is the attack table's business:
/// nobody can make a signature of this authority any more, so that nothing may be accepted here.
pub fn read(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let material = match first % 3 {
        0 => Material::Bundle(rest.to_vec()),
        1 => Material::cosign(rest.to_vec(), &BTreeMap::new()),
        // Annotations as JSON: payloads are plain enough for the case before this one.
        _ => {
            let payload = format!(
                "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{REPOSITORY}\"}},\"image\":\
                 {{\"docker-manifest-digest\":\"{DIGEST}\"}},\"type\":\"cosign container image signature\"}}}}"
            );
            let annotations = serde_json::from_slice(rest).unwrap_or_default();
            Material::cosign(payload.into_bytes(), &annotations)
        }
    };
    let image = Image {
        repository: REPOSITORY,
        digest: DIGEST,
    };
    if let Some(policy) = policy() {
        assert!(judge(&image, &[material], policy).is_err(), "accepted");
    }
    if let Ok(text) = str::from_utf8(rest) {
        // As a root and as a key: an administrator's, but a damaged one must be an error, too.
        let _ = with(text, KEY);
        let _ = with(ROOT, text);
    }
}
