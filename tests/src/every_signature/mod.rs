//! Arbitrary bytes as signatures, keys and roots: what the fuzz target calls, kept here so that every build compiles it and a
//! test runs it.

use ipc::messages::signing::{Grounds, Pattern, Signers, SigningSettings, TrustedIdentity};
use signing::{Image, Material, Policy, Trust, judge};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Of an authority that nobody has the keys of any more. It made the signatures in `tests/fuzz/seeds`, for this image.
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

/// What the annotations of the seeds are of.
const PAYLOAD: &str = include_str!("payload.json");

/// Who made them.
const SIGNER: &str = "https://github.com/bpfman/bpfman/.github/workflows/image.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SIGNED_AT: i64 = 1_750_000_000;

/// What is found when the bytes are a signature of the image.
fn verdict(bytes: &[u8]) -> Option<Grounds> {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let material = match first % 3 {
        0 => Material::Bundle(rest.to_vec()),
        1 => Material::cosign(rest.to_vec(), &BTreeMap::new()),
        // Annotations as JSON: payloads are plain enough for the case before this one.
        _ => {
            let annotations = serde_json::from_slice(rest).unwrap_or_default();
            Material::cosign(PAYLOAD.as_bytes().to_vec(), &annotations)
        }
    };
    let image = Image {
        repository: REPOSITORY,
        digest: DIGEST,
    };
    let accepted = judge(&image, &[material], policy()?).ok()?;
    Some(accepted.grounds)
}

/// Whether the bytes are a signature that counts.
pub fn is_good(bytes: &[u8]) -> bool {
    verdict(bytes).is_some()
}

/// Reads the bytes as each thing that they could be. Nobody can make another signature of the authority, so whatever is
/// accepted says what the seeds say, however it is written.
///
/// # Panics
///
/// When anything else is accepted.
pub fn read(bytes: &[u8]) {
    if let Some(grounds) = verdict(bytes) {
        let signer = Grounds::Identity {
            subject: SIGNER.to_owned(),
            issuer: ISSUER.to_owned(),
            signed_at: SIGNED_AT,
        };
        assert_eq!(grounds, signer);
    }
    if let Ok(text) = str::from_utf8(bytes.get(1..).unwrap_or_default()) {
        // As a root and as a key: an administrator's, but a damaged one must be an error, too.
        let _ = with(text, KEY);
        let _ = with(ROOT, text);
    }
}
