//! Who must have signed an image, as configured, and what was found.

use bincode::{Decode, Encode};

/// `[signing]` of the configuration file. Keys are names of files in the trust directory, which only the image worker reads.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct SigningSettings {
    /// Whether signatures are looked at.
    pub verify: bool,
    /// Whether images without any signature are accepted where no rule says otherwise.
    pub allow_unsigned: bool,
    /// Whether programs are loaded from files of clients, which nobody signs.
    pub local_files: bool,
    /// Who is trusted for images that no rule names.
    pub signers: Signers,
    /// For some images other signers; the first rule that names an image counts.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub rules: Vec<SigningRule>,
    /// Directory of keys and roots, which the sandbox of the image worker lets it read. Empty for none.
    pub trust_dir: String,
}

impl Default for SigningSettings {
    /// Images from registries need a trusted signer, and there is none: what is not configured is not trusted.
    fn default() -> Self {
        Self {
            verify: true,
            allow_unsigned: false,
            local_files: true,
            signers: Signers::default(),
            rules: Vec::new(),
            trust_dir: String::new(),
        }
    }
}

/// Those whose signature counts. Any one of them is enough.
#[derive(Clone, Debug, Decode, Default, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Signers {
    /// Files with public keys (PEM).
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub keys: Vec<String>,
    /// Identities that a certificate authority vouched for.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub identities: Vec<TrustedIdentity>,
    /// Whether a signature with a key must be in a transparency log, too. One with a certificate must be in any case.
    pub logged: bool,
}

/// An identity and who vouched for it.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct TrustedIdentity {
    /// Subject alternative name of the certificate: an address or a URI.
    pub subject: Pattern,
    /// OpenID Connect issuer.
    pub issuer: Pattern,
}

impl TrustedIdentity {
    /// Whether it is whoever has a certificate at all, as far as that can be told from the usual words for it.
    pub fn is_anybody(&self) -> bool {
        let any = |pattern: &Pattern| matches!(pattern, Pattern::Regexp(text) if [".*", "^.*$", ".+", "^.+$"].contains(&text.as_str()));
        any(&self.subject) && any(&self.issuer)
    }
}

/// What a text must be.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Pattern {
    /// Exactly this.
    Exact(String),
    /// All of it matches this regular expression.
    Regexp(String),
}

/// What is demanded of some images.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct SigningRule {
    /// Repository with its registry; `/*` at the end stands for everything below; `*` alone for everything.
    pub images: String,
    /// What is demanded.
    pub demand: Demand,
    /// Other repositories for which the signature may have been made, as of images that were copied to a mirror.
    #[cfg_attr(test, proptest(strategy = "crate::messages::few()"))]
    pub signed_as: Vec<String>,
}

/// What is demanded of an image.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Demand {
    /// A signature of one of these.
    SignedBy(Signers),
    /// Nothing: signatures are not looked at.
    Nothing,
    /// It is never loaded.
    Refused,
}

/// Why an image was accepted; recorded with the programs that were loaded from it.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub struct Acceptance {
    /// On what grounds.
    pub grounds: Grounds,
    /// SHA-256 over the settings and all trusted keys and roots.
    pub policy: [u8; 32],
}

/// On what grounds an image was accepted.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Grounds {
    /// Signed with a trusted key.
    Key {
        /// The file that holds the key.
        name: String,
        /// SHA-256 of the key (DER).
        fingerprint: [u8; 32],
        /// Whether the signature is in a trusted transparency log.
        logged: bool,
    },
    /// Signed by a trusted identity.
    Identity {
        /// Subject of the certificate.
        subject: String,
        /// OpenID Connect issuer.
        issuer: String,
        /// Seconds since the epoch at which the signature existed, by a log or a time stamp authority.
        signed_at: i64,
    },
    /// It has no signature, and needs none.
    Unsigned,
    /// Signatures were not looked at, by configuration.
    NotChecked,
}
