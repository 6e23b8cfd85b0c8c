//! What goes wrong with images, in words that a user can act on.
//!
//! Texts quote what came from outside only in excerpts; secrets are in none of them.

use crate::{Digest, limits};
use std::time::Duration;

/// Characters of foreign text that are repeated.
const EXCERPT: usize = 80;

/// The beginning of some foreign text, without anything that a terminal acts on.
pub(crate) fn excerpt(text: &str) -> String {
    bounded(text, EXCERPT)
}

/// At most so many printable characters.
pub(crate) fn bounded(text: &str, characters: usize) -> String {
    let mut short: String = text
        .chars()
        .take(characters)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(characters).is_some() {
        short.push_str("...");
    }
    short
}

/// Of which kind an error is, as far as a caller acts on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// What the user wrote is wrong.
    Invalid,
    /// There is no such image.
    NotFound,
    /// The registry wants other credentials, or none that this user has.
    Denied,
    /// The image is not what an image with bytecode for this machine must be.
    Unfit,
    /// More than a bound allows.
    TooLarge,
    /// The registry cannot be reached, or does not answer; later it may.
    Unavailable,
    /// It took too long.
    Timeout,
    /// The registry breaks its protocol, or sends what it must not.
    Protocol,
}

/// What went wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not a name of an image.
    #[error("`{text}` is no image reference: {cause}")]
    Reference {
        /// What was written.
        text: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// Not a digest.
    #[error(
        "`{0}` is no digest: only sha256: and 64 hexadecimal digits in lower case are understood"
    )]
    Digest(String),
    /// Settings that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// JSON that is not what it must be.
    #[error("{what} is malformed: {cause}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// Where and why.
        cause: String,
    },
    /// A media type that is not one of an image.
    #[error("{what} has the foreign media type `{media_type}`")]
    MediaType {
        /// Which document.
        what: &'static str,
        /// Its type.
        media_type: String,
    },
    /// More than a bound.
    #[error("{what} is larger than {limit} {unit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The bound.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Content that is not what its digest says.
    #[error(
        "{what} has the digest {found} and not {expected}: it was changed or damaged on its way"
    )]
    Mismatch {
        /// What was fetched.
        what: &'static str,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Content of another length than announced.
    #[error("{what} has {found} bytes where {expected} are announced")]
    Length {
        /// What was fetched.
        what: &'static str,
        /// What was announced.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The index has no image for this machine.
    #[error("no {wanted} manifest found in image index (it has: {found})")]
    NoPlatform {
        /// What this machine is.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// The image is for another machine.
    #[error("the image is for {found}, this machine is {wanted}")]
    ForeignPlatform {
        /// What this machine is.
        wanted: String,
        /// What the image says.
        found: String,
    },
    /// A layer that has no bytecode.
    #[error("the layer {0}")]
    Layer(String),
    /// There is no such image.
    #[error("{what} is not in the registry {registry}")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Where.
        registry: String,
    },
    /// The registry wants to know who asks, or knows and refuses.
    #[error("the registry {registry} refuses access ({status}){detail}")]
    Denied {
        /// Which.
        registry: String,
        /// HTTP status.
        status: u16,
        /// What it says.
        detail: String,
        /// Whether credentials were shown.
        with_credentials: bool,
    },
    /// An answer that is an error of the registry.
    #[error("the registry {registry} answers {status}{detail}")]
    Status {
        /// Which.
        registry: String,
        /// HTTP status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// No connection.
    #[error("the registry {registry} cannot be reached: {cause}")]
    Unreachable {
        /// Which.
        registry: String,
        /// Why.
        cause: String,
    },
    /// The connection ended in the middle.
    #[error("the registry {registry} broke off: {cause}")]
    BrokeOff {
        /// Which.
        registry: String,
        /// Why.
        cause: String,
    },
    /// It took too long.
    #[error("the registry {registry} did not answer in time ({} s)", limit.as_secs())]
    Timeout {
        /// Which.
        registry: String,
        /// How long it had.
        limit: Duration,
    },
    /// The registry breaks the protocol.
    #[error("the registry {registry} breaks the protocol: {cause}")]
    Protocol {
        /// Which.
        registry: String,
        /// How.
        cause: String,
    },
    /// A redirect that is not followed.
    #[error("the registry {registry} redirects to {target}, which is not followed: {cause}")]
    Redirect {
        /// Which.
        registry: String,
        /// Scheme and host of where to.
        target: String,
        /// Why not.
        cause: &'static str,
    },
}

impl Error {
    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reference { .. } | Self::Digest(_) | Self::Settings(_) => Kind::Invalid,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Denied { .. } => Kind::Denied,
            Self::TooLarge { .. } => Kind::TooLarge,
            Self::Malformed { .. }
            | Self::MediaType { .. }
            | Self::NoPlatform { .. }
            | Self::ForeignPlatform { .. }
            | Self::Layer(_) => Kind::Unfit,
            Self::Unreachable { .. } | Self::BrokeOff { .. } => Kind::Unavailable,
            Self::Status { status, .. } if *status >= 500 || *status == 429 => Kind::Unavailable,
            Self::Timeout { .. } => Kind::Timeout,
            Self::Mismatch { .. }
            | Self::Length { .. }
            | Self::Status { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. } => Kind::Protocol,
        }
    }

    /// What can be done about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Denied {
                with_credentials: false,
                ..
            } => {
                "log in (podman login, docker login), or name the file with credentials in REGISTRY_AUTH_FILE; \
                 registries answer so for images that do not exist, too"
            }
            Self::Denied { .. } => {
                "check user and password, and that they may read this repository; REGISTRY_AUTH_FILE names the file with \
                 credentials"
            }
            Self::Reference { .. } | Self::Digest(_) => {
                "name it as in quay.io/example/image:v1 or quay.io/example/image@sha256:..."
            }
            Self::Settings(_) => {
                "correct [registries] in the configuration; where bpfmanctl itself asks a registry, HTTPS_PROXY and NO_PROXY"
            }
            Self::NotFound { .. } => "check the name and the tag; list tags with skopeo list-tags",
            Self::NoPlatform { .. } | Self::ForeignPlatform { .. } => {
                "build the image for this machine, too (bpfmanctl image build PLATFORM=FILE ...)"
            }
            Self::Malformed { .. }
            | Self::MediaType { .. }
            | Self::Layer(_)
            | Self::TooLarge { .. } => {
                "use an image that was built for bytecode (bpfmanctl image build)"
            }
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::BrokeOff { .. } => {
                "check that this machine reaches the registry (names, proxy, certificates), then retry"
            }
            Self::Status { .. } => "retry later; if it stays so, ask whoever runs the registry",
            Self::Mismatch { .. }
            | Self::Length { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. } => {
                "do not trust what this registry, or a proxy before it, sends; ask whoever runs it"
            }
        }
    }

    /// More than `limit` bytes.
    pub(crate) fn too_many_bytes(what: &'static str, limit: u64) -> Self {
        Self::TooLarge {
            what,
            limit,
            unit: "bytes",
        }
    }

    /// JSON that is not what it must be.
    pub(crate) fn malformed(what: &'static str, cause: impl std::fmt::Display) -> Self {
        Self::Malformed {
            what,
            cause: bounded(&cause.to_string(), limits::ERROR_CHARACTERS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_and_cannot_move_a_cursor() {
        assert_eq!(excerpt("a\u{1b}[2Jb"), "a [2Jb");
        assert_eq!(bounded("abcdef", 3), "abc...");
        assert_eq!(bounded("abc", 3), "abc");
    }
}
