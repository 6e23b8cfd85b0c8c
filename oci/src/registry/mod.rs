//! The client of registries (OCI distribution specification 1.1, and Docker's tokens).
//!
//! ```text
//! Client ── one per operation: certificates, proxies, names ──▶ Repository ── one repository, with its mirrors and tokens
//!                                                                 │ fetch, push
//!                                                                 ▼
//!                                                               exchange: request ▶ challenge ▶ redirects ▶ bounded body
//! ```
//!
//! Whatever comes is bounded in size and time and checked against the digest it was asked for by. Plain HTTP is spoken to
//! this machine only. Credentials go to the registry they are for, and to the token service that it names; never to a
//! mirror, never along with a redirect to another host.

mod auth;
mod exchange;
mod fetch;
mod push;
mod transport;

pub use auth::{Challenge, Credentials};
pub use fetch::Fetched;

use crate::reference::is_loopback;
use crate::{Error, Reference, limits};
use reqwest::header::HeaderValue;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where else the images of a registry are, by registry.
    pub mirrors: HashMap<String, Vec<String>>,
    /// Certificate authorities (PEM) besides those of the system.
    pub authorities: Vec<u8>,
    /// Proxy for https (URL).
    pub https_proxy: Option<String>,
    /// Hosts for which there is none, separated by commas.
    pub no_proxy: Option<String>,
    /// How long is waited.
    pub patience: Patience,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the next byte.
    pub silence: Duration,
    /// For a whole answer.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT,
            silence: limits::SILENCE,
            answer: limits::ANSWER,
        }
    }
}

/// A way to all registries.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
}

impl Client {
    /// Reads the system's certificate authorities, so that what an administrator has changed counts from the next
    /// operation on.
    ///
    /// # Errors
    ///
    /// The settings are wrong.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            http: transport::client(&settings)?,
            settings: Arc::new(settings),
        })
    }

    /// One repository, as somebody with these credentials or as nobody.
    ///
    /// # Errors
    ///
    /// A mirror of its registry is misspelled, or there are too many.
    pub fn repository(
        &self,
        reference: &Reference,
        credentials: Option<Credentials>,
    ) -> Result<Repository, Error> {
        let mut endpoints = Vec::new();
        let mirrors = self.settings.mirrors.get(reference.registry());
        let mirrors = mirrors.map(Vec::as_slice).unwrap_or_default();
        if mirrors.len() > limits::MIRRORS {
            return Err(Error::TooLarge {
                what: "the list of mirrors",
                limit: limits::MIRRORS as u64,
                unit: "entries",
            });
        }
        for mirror in mirrors {
            endpoints.push(Endpoint::mirror(mirror, reference)?);
        }
        endpoints.push(Endpoint::origin(reference));
        Ok(Repository {
            http: self.http.clone(),
            patience: self.settings.patience,
            endpoints: endpoints.into(),
            credentials: credentials.map(Arc::new),
            memory: Arc::default(),
        })
    }
}

/// Where the content of a repository is.
#[derive(Clone, Debug)]
struct Endpoint {
    /// Host with port, as it is shown.
    registry: String,
    /// Host with port, as it is connected to.
    host: String,
    /// The repository's name there.
    path: String,
    /// Whether it is the registry that the reference names: only that one is shown credentials.
    is_origin: bool,
}

impl Endpoint {
    fn origin(reference: &Reference) -> Self {
        let registry = reference.registry();
        // The name of Docker's registry is not the host that serves it.
        let host = match registry {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        Self {
            registry: registry.to_owned(),
            host: host.to_owned(),
            path: reference.repository().to_owned(),
            is_origin: true,
        }
    }

    /// A mirror is written `HOST[:PORT][/PREFIX]`.
    fn mirror(text: &str, reference: &Reference) -> Result<Self, Error> {
        let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
        let path = match prefix.trim_end_matches('/') {
            "" => reference.repository().to_owned(),
            prefix => format!("{prefix}/{}", reference.repository()),
        };
        // As a reference it is checked like one.
        let checked: Reference = format!("{host}/{path}").parse().map_err(|error| {
            Error::Settings(format!("mirror of {}: {error}", reference.registry()))
        })?;
        if checked.registry() != host.to_ascii_lowercase() || checked.repository() != path {
            return Err(Error::Settings(format!(
                "mirror of {}: `{}` does not start with a host name",
                reference.registry(),
                crate::error::excerpt(text)
            )));
        }
        Ok(Self {
            registry: host.to_owned(),
            host: host.to_owned(),
            path,
            is_origin: false,
        })
    }

    fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// One repository with its mirrors. Clones share what was learnt.
#[derive(Clone, Debug)]
pub struct Repository {
    http: reqwest::Client,
    patience: Patience,
    /// In the order in which they are asked; the last is the registry itself.
    endpoints: Arc<[Endpoint]>,
    credentials: Option<Arc<Credentials>>,
    memory: Arc<Mutex<Memory>>,
}

/// What was learnt of the endpoints, by their place.
#[derive(Debug, Default)]
struct Memory {
    /// What to authorize with, for reading and for writing.
    authorizations: HashMap<(usize, bool), HeaderValue>,
    /// Those on this machine that speak plain HTTP.
    plain: HashMap<usize, bool>,
}

impl Repository {
    fn remember<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        // Nothing panics while it is held.
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The place of the registry itself.
    fn origin(&self) -> usize {
        self.endpoints.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(mirrors: &[&str], reference: &str) -> Result<Repository, Error> {
        let mirrors = mirrors.iter().map(|mirror| (*mirror).to_owned()).collect();
        let settings = Settings {
            mirrors: HashMap::from([("docker.io".to_owned(), mirrors)]),
            ..Settings::default()
        };
        Client::new(settings)?.repository(&reference.parse()?, None)
    }

    #[test]
    fn mirrors_come_before_the_registry() {
        let found = repository(&["mirror.example:5000", "other.example/hub/"], "me/xdp").unwrap();
        let places: Vec<(&str, &str, bool)> = found
            .endpoints
            .iter()
            .map(|endpoint| {
                (
                    endpoint.host.as_str(),
                    endpoint.path.as_str(),
                    endpoint.is_origin,
                )
            })
            .collect();
        assert_eq!(
            places,
            [
                ("mirror.example:5000", "me/xdp", false),
                ("other.example", "hub/me/xdp", false),
                ("registry-1.docker.io", "me/xdp", true),
            ]
        );
        assert_eq!(
            repository(&["mirror.example"], "quay.io/a/b")
                .unwrap()
                .endpoints
                .len(),
            1
        );
    }

    #[test]
    fn misspelled_and_too_many_mirrors_are_refused() {
        for mirror in [
            "",
            "mirror",
            "https://mirror.example",
            "mirror.example/..",
            "mirror.example/a b",
            "a b",
        ] {
            assert!(repository(&[mirror], "me/xdp").is_err(), "{mirror}");
        }
        assert!(repository(&["mirror.example"; limits::MIRRORS], "me/xdp").is_ok());
        assert!(repository(&["mirror.example"; limits::MIRRORS + 1], "me/xdp").is_err());
    }
}
