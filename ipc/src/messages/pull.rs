//! Images from registries: how they are asked for, what they turned out to be, what is in the cache.

use super::signing::{Acceptance, SigningSettings};
use bincode::{Decode, Encode};
use std::fmt;
use std::str::FromStr;

/// When the registry is asked. The position is the number in the established API.
#[derive(Clone, Copy, Debug, Decode, Default, Encode, Eq, Hash, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum PullPolicy {
    /// Every time.
    Always,
    /// When the image is not in the cache.
    #[default]
    IfNotPresent,
    /// Never: it is in the cache, or the request fails.
    Never,
}

impl PullPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Always, Self::IfNotPresent, Self::Never];

    /// The name in the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl FromStr for PullPolicy {
    type Err = UnknownPolicy;

    /// The name in any case; nothing is `IfNotPresent`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::ALL
            .into_iter()
            .find(|policy| policy.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownPolicy(text.to_owned()))
    }
}

/// Not the name of a pull policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown pull policy \"{0}\": Always, IfNotPresent or Never")]
pub struct UnknownPolicy(pub String);

/// An image that programs are loaded from.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ImageSource {
    /// The reference as the user wrote it.
    pub url: String,
    /// When the registry is asked.
    pub pull_policy: PullPolicy,
    /// What it turned out to be: filled in by the loader, from what the image worker says beside the plan.
    pub origin: Option<Box<ImageOrigin>>,
}

/// What a reference was resolved to, and why that was accepted.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct ImageOrigin {
    /// SHA-256 of what the reference leads to: a manifest or an index. It is what was judged.
    pub digest: [u8; 32],
    /// SHA-256 of the manifest for this machine.
    pub manifest: [u8; 32],
    /// On what grounds it was accepted.
    pub acceptance: Acceptance,
}

/// An image in the cache.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct CachedImage {
    /// The reference, short names expanded.
    pub reference: String,
    /// SHA-256 of what the reference leads to.
    pub digest: [u8; 32],
    /// SHA-256 of the manifest for this machine.
    pub manifest: [u8; 32],
    /// Bytes that it takes.
    pub bytes: u64,
    /// Seconds since the Unix epoch.
    pub pulled_at: i64,
    /// On what grounds the present policy accepts it; `None` when it does not.
    pub acceptance: Option<Acceptance>,
}

/// How far a download is.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Progress {
    /// What is downloaded.
    pub what: String,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes that there will be.
    pub total: u64,
}

/// What the image worker is told when it begins: a sealed memfd beside `Activate` holds it.
#[derive(Clone, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct ImageSettings {
    /// How registries are reached.
    pub registries: RegistrySettings,
    /// Who must have signed what.
    pub signing: SigningSettings,
}

/// `[registries]` of the configuration file.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct RegistrySettings {
    /// Registries with the places to ask before them.
    pub mirrors: Vec<(String, Vec<String>)>,
    /// Certificate authorities (PEM) besides those of the system.
    pub authorities: Vec<u8>,
    /// URL of a proxy for https.
    pub https_proxy: Option<String>,
    /// Hosts without proxy, separated by commas.
    pub no_proxy: Option<String>,
    /// Seconds that one answer of a registry may take.
    pub timeout: u32,
    /// Bytes that the cache may take.
    pub cache_bytes: u64,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            authorities: Vec::new(),
            https_proxy: None,
            no_proxy: None,
            timeout: 120,
            cache_bytes: 512 * 1024 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_spelled_in_any_case() {
        for policy in PullPolicy::ALL {
            assert_eq!(policy.name().to_lowercase().parse(), Ok(policy));
            assert_eq!(policy.name().to_uppercase().parse(), Ok(policy));
        }
        assert_eq!("".parse(), Ok(PullPolicy::IfNotPresent));
        assert!("sometimes".parse::<PullPolicy>().is_err());
    }
}
