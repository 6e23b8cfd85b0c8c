//! What may be wrong with a signature, and with a policy.

use crate::limits;
use std::path::PathBuf;

/// Why a signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// A bound is exceeded.
    #[error("it has more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// It does not have the form.
    #[error("malformed {what}: {cause}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// It is a signature of something else.
    #[error("it was made for {signed}, not for {wanted}")]
    OtherImage {
        /// Digest that was signed.
        signed: String,
        /// Digest of the image.
        wanted: String,
    },
    /// It is a signature of the same image in another place.
    #[error(
        "it was made for \"{signed}\", not for \"{wanted}\"; a rule's `signed_as` can allow that"
    )]
    OtherRepository {
        /// Repository that was signed.
        signed: String,
        /// Repository of the image.
        wanted: String,
    },
    /// It states something about an image, but not that it is signed.
    #[error("it is an attestation (\"{0}\"), no signature")]
    OtherStatement(String),
    /// No trusted key made it.
    #[error("none of the trusted keys made it")]
    OtherKey,
    /// It was made with a key, and only identities are trusted.
    #[error("it was made with a key, and no key is trusted")]
    NoKeyTrusted,
    /// It was made with a certificate, and only keys are trusted.
    #[error("it was made with a certificate, and no identity is trusted")]
    NoIdentityTrusted,
    /// There is nothing to check a certificate against.
    #[error(
        "there is no trusted root to check its certificate against: put trusted_root.json into the trust directory"
    )]
    NoRoot,
    /// The policy demands a log entry.
    #[error("it is in no transparency log, which the policy demands")]
    NotLogged,
    /// It proves another identity.
    #[error(
        "it was made by \"{subject}\" (issuer \"{issuer}\"), who is not trusted for this image"
    )]
    OtherIdentity {
        /// Subject of the certificate.
        subject: String,
        /// OpenID Connect issuer.
        issuer: String,
    },
    /// Signature, certificate, log entry or time stamp does not verify.
    #[error("{0}")]
    Invalid(#[from] Box<sigstore_verify::Error>),
}

impl Flaw {
    pub(crate) fn malformed(what: &'static str, cause: impl ToString) -> Self {
        Self::Malformed {
            what,
            cause: cause.to_string(),
        }
    }
}

/// What is wrong with a policy, a key or a trusted root. Nothing is verified then: everything is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The directory or a file in it cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More than anybody needs.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// A file is too long.
    #[error("\"{0}\" is larger than {size} bytes", size = limits::TRUST_FILE_BYTES)]
    TooLarge(String),
    /// A key that is named is not there.
    #[error("the key \"{0}\" is not in the trust directory")]
    NoKey(String),
    /// A key does not parse.
    #[error("\"{name}\" is no public key (PEM, ECDSA P-256 or P-384, Ed25519, RSA): {cause}")]
    BadKey {
        /// File.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// A trusted root does not parse.
    #[error("\"{name}\" is no trusted root: {cause}")]
    BadRoot {
        /// File.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// A pattern does not parse.
    #[error("\"{pattern}\": {cause}")]
    BadPattern {
        /// Which.
        pattern: String,
        /// What is wrong.
        cause: String,
    },
    /// A rule that demands a signature of nobody.
    #[error("the rule for \"{0}\" names neither keys nor identities")]
    NoSigner(String),
}
