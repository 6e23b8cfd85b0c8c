//! Names of images, as container tools write them: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
//!
//! The grammar is that of the distribution project. A name without registry is one of `docker.io`, one of its names
//! without a slash is in `library/`, and a name with neither tag nor digest means the tag `latest`.

use crate::error::excerpt;
use crate::{Digest, Error, limits};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

const DOCKER: &str = "docker.io";

/// A name of an image in a registry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What is asked of a repository: a manifest by what it is called, or by what it is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Selector {
    /// Whatever has this tag now.
    Tag(String),
    /// Exactly this.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => formatter.write_str(tag),
            Self::Digest(digest) => digest.fmt(formatter),
        }
    }
}

impl Reference {
    /// Host of the registry, with its port if one is given.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Name of the repository in its registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag, also where a digest stands beside it and decides.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What to ask the registry for: the digest if there is one, else the tag.
    pub fn selector(&self) -> Selector {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Selector::Digest(*digest),
            (None, Some(tag)) => Selector::Tag(tag.clone()),
            (None, None) => Selector::Tag("latest".to_owned()),
        }
    }

    /// The same repository, exactly this content.
    pub fn at(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The same repository, another tag.
    ///
    /// # Errors
    ///
    /// The tag is not one.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        if !is_tag(tag) {
            return Err(invalid(tag, "the tag is not one"));
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// Whether the registry is on this machine: only there plain HTTP is spoken.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.registry)
    }
}

/// Whether a host, with or without port, is this machine: `localhost`, 127.0.0.0/8, `[::1]`.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), _) => write!(formatter, ":{tag}")?,
            (None, None) => formatter.write_str(":latest")?,
            (None, Some(_)) => {}
        }
        match &self.digest {
            Some(digest) => write!(formatter, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > limits::REFERENCE_BYTES {
            return Err(invalid(text, "it is too long"));
        }
        if text.contains("://") {
            return Err(invalid(
                text,
                "it starts with a scheme; name the registry alone, as in quay.io/example/image:v1",
            ));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon after the last slash starts the tag; one before it, the port.
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_start..].rfind(':') {
            Some(colon) => {
                let colon = name_start + colon;
                (&rest[..colon], Some(&rest[colon + 1..]))
            }
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid(text, "the tag is not one"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, repository)) if looks_like_host(host) => {
                (host.to_ascii_lowercase(), repository.to_owned())
            }
            _ => (DOCKER.to_owned(), name.to_owned()),
        };
        // In lower case it would be a part of a name in another registry, and one image would have two names.
        if !looks_like_host(&registry) {
            return Err(invalid(
                text,
                "the registry's name has neither dot nor port",
            ));
        }
        let registry = match registry.as_str() {
            "index.docker.io" => DOCKER.to_owned(),
            _ => registry,
        };
        if !is_host(&registry) {
            return Err(invalid(text, "the registry is not a host name"));
        }
        let repository = if registry == DOCKER && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository
        };
        if repository.len() > limits::REPOSITORY_BYTES {
            return Err(invalid(text, "the repository's name is too long"));
        }
        if !repository.split('/').all(is_component) {
            return Err(invalid(
                text,
                "the repository's name may have lower-case letters, digits, and single separators (. _ __ -) between them",
            ));
        }
        Ok(Self {
            registry,
            repository,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

fn invalid(text: &str, cause: &'static str) -> Error {
    Error::Reference {
        text: excerpt(text),
        cause,
    }
}

/// What stands before the first slash is a registry only when it cannot be a part of a repository's name.
fn looks_like_host(host: &str) -> bool {
    host == "localhost"
        || host.contains(['.', ':'])
        || host.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(host: &str) -> bool {
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        if address.parse::<Ipv6Addr>().is_err() {
            return false;
        }
        match port {
            "" => return true,
            port => match port.strip_prefix(':') {
                Some(port) => (None, Some(port)),
                None => return false,
            },
        }
    } else {
        match host.split_once(':') {
            Some((name, port)) => (Some(name), Some(port)),
            None => (Some(host), None),
        }
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.is_none_or(|name| name.len() <= 253 && name.split('.').all(is_label))
        && port.is_none_or(|port| {
            port.len() <= 5
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        })
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    if !ends
        .iter()
        .all(|byte| byte.is_some_and(|byte| is_plain(*byte)))
    {
        return false;
    }
    bytes
        .split(|byte| is_plain(*byte))
        .all(|separator| match separator {
            b"" | b"." | b"_" | b"__" => true,
            other => other.iter().all(|byte| *byte == b'-'),
        })
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= limits::TAG_BYTES
        && bytes.first().is_some_and(|byte| is_word(*byte))
        && bytes
            .iter()
            .all(|byte| is_word(*byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn normal(text: &str) -> String {
        text.parse::<Reference>().map_or_else(
            |error| panic!("{text}: {error}"),
            |reference| reference.to_string(),
        )
    }

    #[test]
    fn short_names_are_expanded() {
        for (short, long) in [
            ("xdp", "docker.io/library/xdp:latest"),
            ("xdp:v1", "docker.io/library/xdp:v1"),
            ("me/xdp", "docker.io/me/xdp:latest"),
            ("index.docker.io/me/xdp", "docker.io/me/xdp:latest"),
            ("localhost/xdp", "localhost/xdp:latest"),
            (
                "localhost:5000/a/b_c/d--e:T_1.2-3",
                "localhost:5000/a/b_c/d--e:T_1.2-3",
            ),
            ("[::1]:5000/xdp", "[::1]:5000/xdp:latest"),
            ("[::1]/xdp:1", "[::1]/xdp:1"),
            ("QUAY.io/a", "quay.io/a:latest"),
            ("Docker.io/xdp", "docker.io/library/xdp:latest"),
            ("INDEX.docker.io/xdp", "docker.io/library/xdp:latest"),
            ("LOCALHOST/xdp", "localhost/xdp:latest"),
            (
                "quay.io/bpfman-bytecode/xdp_pass:latest",
                "quay.io/bpfman-bytecode/xdp_pass:latest",
            ),
            // One colon and no slash is a tag, not a port.
            ("host:5000", "docker.io/library/host:5000"),
        ] {
            assert_eq!(normal(short), long);
        }
        let pinned = format!("quay.io/a/b@{DIGEST}");
        assert_eq!(normal(&pinned), pinned);
        let both = format!("quay.io/a/b:v1@{DIGEST}");
        assert_eq!(normal(&both), both);
        let reference: Reference = both.parse().unwrap();
        assert_eq!(reference.selector(), Selector::Digest(Digest::of(b"")));
        assert_eq!(reference.tag(), Some("v1"));
        assert_eq!(reference.name(), "quay.io/a/b");
        assert_eq!(reference.at(Digest::of(b"")).to_string(), pinned);
        assert_eq!(
            reference.with_tag("v2").unwrap().to_string(),
            "quay.io/a/b:v2"
        );
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let longest = format!("quay.io/{}", "a".repeat(limits::REPOSITORY_BYTES));
        assert!(longest.parse::<Reference>().is_ok());
        let longer = format!("{longest}a");
        let tag = format!("a:{}", "t".repeat(limits::TAG_BYTES));
        assert!(tag.parse::<Reference>().is_ok());
        let long_tag = format!("{tag}t");
        let long = format!("quay.io/{}", "a/".repeat(limits::REFERENCE_BYTES));
        for text in [
            "",
            "/",
            ":",
            "@",
            "a:",
            "a/",
            "/a",
            "a//b",
            "A",
            // In lower case it would be docker.io/f/i.
            "F/i",
            "quay.io/A",
            "quay.io/a b",
            "quay.io/a\n",
            "quay.io/../a",
            "quay.io/./a",
            "quay.io/.a",
            "quay.io/a___b",
            "quay.io/a..b",
            "quay.io/a?x=y",
            "quay.io/a%2e",
            "quay.io:0/a",
            "quay.io:65536/a",
            "quay.io:x/a",
            "quay.io:/a",
            "-quay.io/a",
            "quay..io/a",
            "user@quay.io/a",
            "[::1/a",
            "[::g]/a",
            "[::1]5000/a",
            "https://quay.io/a",
            "a:t@sha256:12",
            "a@sha512:12",
            "a:-t",
            "quay.io/\u{e9}",
            &longer,
            &long_tag,
            &long,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:5000",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "127.0.0.1.nip.io",
            "0.0.0.0",
            "[::2]",
            "quay.io",
            "127.1",
            "",
            "[",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn what_is_understood_is_written_so_that_it_is_understood_again(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                let again: Reference = reference.to_string().parse().unwrap();
                prop_assert_eq!(again.to_string(), reference.to_string());
                prop_assert_eq!(again.selector(), reference.selector());
            }
        }

        #[test]
        fn any_text_has_an_answer(text in ".{0,200}") {
            let _ = text.parse::<Reference>();
        }
    }
}
