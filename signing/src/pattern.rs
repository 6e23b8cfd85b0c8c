//! Patterns of images and of identities.

use crate::error::PolicyError;
use crate::limits;
use ipc::messages::signing::Pattern;
use regex::{Regex, RegexBuilder};

/// Which repositories a rule is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Repositories {
    All,
    /// Everything below; ends with a slash.
    Below(String),
    One(String),
}

impl Repositories {
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let bad = |cause: &str| PolicyError::BadPattern {
            pattern: text.to_owned(),
            cause: cause.to_owned(),
        };
        if text.len() > limits::TEXT_BYTES {
            return Err(PolicyError::TooMany {
                what: "bytes of a pattern",
                limit: limits::TEXT_BYTES,
            });
        }
        let (name, parsed) = match text.strip_suffix("/*") {
            Some(prefix) => (prefix, Self::Below(format!("{prefix}/"))),
            None if text == "*" => return Ok(Self::All),
            None => (text, Self::One(text.to_owned())),
        };
        if name.is_empty() || name.starts_with('/') || name.ends_with('/') {
            return Err(bad("name a registry, or a repository with its registry"));
        }
        if name.contains(['*', '@', ' ']) {
            return Err(bad(
                "`*` stands alone or behind the last slash; tags and digests are no part of a pattern",
            ));
        }
        Ok(parsed)
    }

    pub(crate) fn contains(&self, repository: &str) -> bool {
        match self {
            Self::All => true,
            Self::Below(prefix) => repository.starts_with(prefix.as_str()),
            Self::One(one) => repository == one,
        }
    }
}

/// What a subject or an issuer must be.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Exact(String),
    Matches(Regex),
}

impl Text {
    pub(crate) fn new(pattern: &Pattern) -> Result<Self, PolicyError> {
        let (Pattern::Exact(text) | Pattern::Regexp(text)) = pattern;
        let bad = |cause: String| PolicyError::BadPattern {
            pattern: text.clone(),
            cause,
        };
        if text.is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        if text.len() > limits::TEXT_BYTES {
            return Err(PolicyError::TooMany {
                what: "bytes of a pattern",
                limit: limits::TEXT_BYTES,
            });
        }
        match pattern {
            Pattern::Exact(text) => Ok(Self::Exact(text.clone())),
            Pattern::Regexp(text) => {
                // By itself first: "a)|(b" must not become something by what is put around it.
                compile(text).map_err(bad)?;
                compile(&format!("^(?:{text})$"))
                    .map(Self::Matches)
                    .map_err(bad)
            }
        }
    }

    pub(crate) fn is(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == text,
            Self::Matches(expression) => expression.is_match(text),
        }
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(limits::REGEXP_BYTES)
        .dfa_size_limit(limits::REGEXP_BYTES)
        .build()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_one_by_one_or_by_what_is_above() {
        let parse = |text| Repositories::parse(text).unwrap();
        assert!(parse("*").contains("quay.io/a"));
        let below = parse("quay.io/bpfman/*");
        assert!(below.contains("quay.io/bpfman/a"));
        assert!(below.contains("quay.io/bpfman/a/b"));
        for other in [
            "quay.io/bpfman",
            "quay.io/bpfman-evil/a",
            "evil.io/quay.io/bpfman/a",
        ] {
            assert!(!below.contains(other), "{other}");
        }
        assert!(parse("localhost:5000/*").contains("localhost:5000/x"));
        assert!(parse("quay.io/a").contains("quay.io/a"));
        assert!(!parse("quay.io/a").contains("quay.io/a/b"));
        for bad in [
            "",
            "/",
            "/*",
            "*/a",
            "quay.io/*/a",
            "a@sha256:00",
            "a/",
            "**",
            "a b",
        ] {
            assert!(Repositories::parse(bad).is_err(), "{bad}");
        }
        assert!(Repositories::parse(&"a".repeat(limits::TEXT_BYTES)).is_ok());
        assert!(Repositories::parse(&"a".repeat(limits::TEXT_BYTES + 1)).is_err());
    }

    #[test]
    fn expressions_match_all_of_a_text() {
        let text = |pattern: &str| Text::new(&Pattern::Regexp(pattern.to_owned())).unwrap();
        let good = text("https://github\\.com/bpfman/.*|admin@example\\.com");
        assert!(good.is("https://github.com/bpfman/x"));
        assert!(good.is("admin@example.com"));
        for other in [
            "https://evil.example/?https://github.com/bpfman/x",
            "admin@example.com.evil.example",
            "not-admin@example.com",
            "https://githubXcom/bpfman/x",
            "admin@example.com\n",
            "",
        ] {
            assert!(!good.is(other), "{other}");
        }
        for bad in [
            "",
            "(",
            "a)|(b",
            "a{1000}{1000}",
            &"a".repeat(limits::TEXT_BYTES + 1),
        ] {
            assert!(
                Text::new(&Pattern::Regexp(bad.to_owned())).is_err(),
                "{bad}"
            );
        }
    }
}
