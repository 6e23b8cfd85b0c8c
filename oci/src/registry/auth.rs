//! Who asks: challenges of registries, and what answers them.

use super::Repository;
use super::exchange::{body, unreachable};
use crate::error::{bounded, excerpt};
use crate::manifest::parse;
use crate::reference::is_loopback;
use crate::{Error, limits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use serde::Deserialize;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What a user shows to a registry. Never printed, overwritten when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum Credentials {
    /// User and password.
    Basic {
        /// User.
        user: String,
        /// Password, or a token that serves as one.
        password: String,
    },
    /// A token of the registry's own service, which gives access tokens for it (Docker's `identitytoken`).
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(..)")
    }
}

impl Credentials {
    /// `USER:PASSWORD` with both halves, within bounds.
    ///
    /// # Errors
    ///
    /// A half is missing or too long, or the user has characters that a header cannot have.
    pub fn basic(user: &str, password: &str) -> Result<Self, Error> {
        let invalid = |cause: &str| Err(Error::Settings(format!("credentials: {cause}")));
        if user.is_empty() || password.is_empty() {
            return invalid("user and password must both be given");
        }
        if user.len().max(password.len()) > limits::SECRET_BYTES {
            return invalid("user or password is too long");
        }
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            return invalid("a character in them cannot be sent");
        }
        Ok(Self::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// A token of the registry's own service, within bounds.
    ///
    /// # Errors
    ///
    /// It is empty, too long, or has characters that are in no token.
    pub fn identity(token: &str) -> Result<Self, Error> {
        if token.is_empty()
            || token.len() > limits::SECRET_BYTES
            || token.chars().any(char::is_control)
        {
            return Err(Error::Settings(
                "credentials: the identity token is not one".to_owned(),
            ));
        }
        Ok(Self::Identity(token.to_owned()))
    }

    /// As they travel to the process that uses them. No part can contain the separator.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let parts: [&[u8]; 3] = match self {
            Self::Basic { user, password } => [b"basic", user.as_bytes(), password.as_bytes()],
            Self::Identity(token) => [b"identity", token.as_bytes(), b""],
        };
        let length = parts.iter().map(|part| part.len() + 1).sum();
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        for part in parts {
            bytes.extend_from_slice(part);
            bytes.push(0);
        }
        bytes
    }

    /// The reverse of [`Credentials::encode`].
    ///
    /// # Errors
    ///
    /// They are not what it gives.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let broken = || Error::Settings("credentials: they are not in their form".to_owned());
        let text = std::str::from_utf8(bytes).map_err(|_| broken())?;
        let parts: Vec<&str> = text.split('\0').collect();
        match parts.as_slice() {
            ["basic", user, password, ""] => Self::basic(user, password),
            ["identity", token, "", ""] => Self::identity(token),
            _ => Err(broken()),
        }
    }

    /// The value of the header `Authorization`, when they can be shown as they are.
    fn header(&self) -> Option<HeaderValue> {
        let Self::Basic { user, password } = self else {
            return None;
        };
        let joined = Zeroizing::new(format!("{user}:{password}"));
        let encoded = Zeroizing::new(STANDARD.encode(joined.as_bytes()));
        secret_header("Basic", &encoded)
    }
}

fn secret_header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What a registry asks for (RFC 7235; Docker's token authentication).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Challenge {
    /// User and password.
    Basic,
    /// A token of a service.
    Bearer {
        /// The service's URL.
        realm: String,
        /// What it is to be told the token is for.
        service: Option<String>,
    },
}

impl Challenge {
    /// Parses one value of the header `WWW-Authenticate`; `None` for schemes that are not understood.
    ///
    /// # Errors
    ///
    /// It is malformed.
    pub fn parse(text: &str) -> Result<Option<Self>, Error> {
        let malformed = |cause| Err(Error::malformed("the challenge of the registry", cause));
        if text.len() > limits::CHALLENGE_BYTES {
            return malformed("it is too long");
        }
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Ok(Some(Self::Basic));
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        let (mut realm, mut service) = (None, None);
        let mut rest = rest.trim_start();
        while !rest.is_empty() {
            let Some((key, value)) = rest.split_once('=') else {
                return malformed("a parameter has no value");
            };
            let value = value.trim_start();
            let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
                match quoted.split_once('"') {
                    Some(parts) => parts,
                    None => return malformed("a quote does not end"),
                }
            } else {
                let end = value.find(',').unwrap_or(value.len());
                value.split_at(end)
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = match after.trim_start() {
                "" => "",
                after => match after.strip_prefix(',') {
                    Some(next) => next.trim_start(),
                    None => return malformed("parameters are not separated by commas"),
                },
            };
        }
        match realm {
            Some(realm) => Ok(Some(Self::Bearer { realm, service })),
            None => malformed("it names no token service"),
        }
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
}

impl Repository {
    /// What to authorize with after an answer that asks for it; `None` when there is nothing that could help.
    pub(super) async fn authorization(
        &self,
        place: usize,
        write: bool,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, Error> {
        let credentials = self
            .credentials
            .as_deref()
            .filter(|_| self.endpoints[place].is_origin);
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = value.to_str().unwrap_or_default();
            match Challenge::parse(text)? {
                Some(Challenge::Basic) => {
                    if let Some(header) = credentials.and_then(Credentials::header) {
                        return Ok(Some(header));
                    }
                }
                Some(Challenge::Bearer { realm, service }) => {
                    let scope = scope(&self.endpoints[place].path, write);
                    return self
                        .token(place, credentials, &realm, service.as_deref(), &scope)
                        .await
                        .map(Some);
                }
                None => {}
            }
        }
        Ok(None)
    }

    async fn token(
        &self,
        place: usize,
        credentials: Option<&Credentials>,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<HeaderValue, Error> {
        let endpoint = &self.endpoints[place];
        let broken = |cause: String| Error::Protocol {
            registry: endpoint.registry.clone(),
            cause,
        };
        let mut url = Url::parse(realm)
            .map_err(|_| broken(format!("its token service `{}` is no URL", excerpt(realm))))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let on_this_machine = is_loopback(&host) && endpoint.is_loopback();
        if url.scheme() != "https" && !(url.scheme() == "http" && on_this_machine) {
            return Err(broken(format!(
                "its token service {} would be told secrets in plain text",
                excerpt(&host)
            )));
        }
        let parameters = [("service", service), ("scope", Some(scope))];
        let request = match credentials {
            Some(Credentials::Identity(identity)) => {
                let mut form = Url::parse("form:").map_err(|error| broken(error.to_string()))?;
                form.query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", "bpfman")
                    .append_pair("refresh_token", identity);
                for (key, value) in parameters {
                    if let Some(value) = value {
                        form.query_pairs_mut().append_pair(key, value);
                    }
                }
                let body = Zeroizing::new(form.query().unwrap_or_default().to_owned());
                String::from(form).zeroize();
                self.http
                    .post(url)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(body.as_bytes().to_vec())
            }
            other => {
                for (key, value) in parameters {
                    if let Some(value) = value {
                        url.query_pairs_mut().append_pair(key, value);
                    }
                }
                match other.and_then(Credentials::header) {
                    Some(header) => self.http.get(url).header(AUTHORIZATION, header),
                    None => self.http.get(url),
                }
            }
        };
        let response = request
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| unreachable(&host, self.patience, error))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(Error::Denied {
                registry: endpoint.registry.clone(),
                status,
                detail: format!(" through its token service {}", bounded(&host, 80)),
                with_credentials: credentials.is_some(),
            });
        }
        let text = Zeroizing::new(
            body(
                &host,
                self.patience,
                response,
                limits::TOKEN_BYTES,
                "the token",
                &mut |_| (),
            )
            .await?,
        );
        let token: Token = parse("the answer of the token service", &text)?;
        token
            .token
            .or(token.access_token)
            .filter(|token| !token.is_empty())
            .and_then(|token| secret_header("Bearer", &token))
            .ok_or_else(|| broken("its token service answers without a token".to_owned()))
    }
}

fn scope(path: &str, write: bool) -> String {
    format!(
        "repository:{path}:{}",
        if write { "pull,push" } else { "pull" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_read() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
            })
        };
        for (text, challenge) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#,
                bearer("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            (
                "bearer realm=https://a , service=b",
                bearer("https://a ", Some("b")),
            ),
            (r#"Bearer realm="https://a""#, bearer("https://a", None)),
            (r#"Basic realm="x""#, Some(Challenge::Basic)),
            ("BASIC", Some(Challenge::Basic)),
            ("Negotiate", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(text).unwrap(), challenge, "{text}");
        }
        for text in [
            "Bearer",
            "Bearer service=\"a\"",
            "Bearer realm",
            "Bearer realm=\"a",
            "Bearer realm=\"a\" service=\"b\"",
        ] {
            assert!(Challenge::parse(text).is_err(), "{text}");
        }
        let long = format!("Basic {}", "a".repeat(limits::CHALLENGE_BYTES - 6));
        assert!(Challenge::parse(&long).is_ok());
        assert!(Challenge::parse(&format!("{long}a")).is_err());
    }

    #[test]
    fn credentials_are_whole_bounded_and_not_shown() {
        let credentials = Credentials::basic("user", "secret").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
        let header = credentials.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dXNlcjpzZWNyZXQ=");
        assert_eq!(format!("{header:?}"), "Sensitive");
        let longest = "a".repeat(limits::SECRET_BYTES);
        assert!(Credentials::basic("user", &longest).is_ok());
        for (user, password) in [
            ("", "a"),
            ("a", ""),
            ("a:b", "c"),
            ("a\n", "b"),
            ("a", &format!("{longest}a")),
        ] {
            assert!(Credentials::basic(user, password).is_err());
        }
    }

    #[test]
    fn credentials_travel() {
        let basic = Credentials::basic("user", "a:b c").unwrap().encode();
        assert!(matches!(
            Credentials::decode(&basic).unwrap(),
            Credentials::Basic { ref user, ref password } if user == "user" && password == "a:b c"
        ));
        let identity = Credentials::identity("token").unwrap().encode();
        assert!(matches!(
            Credentials::decode(&identity).unwrap(),
            Credentials::Identity(ref token) if token == "token"
        ));
        for bytes in [
            &b""[..],
            b"basic",
            b"basic\0a\0b",
            b"basic\0a\0\0",
            b"other\0a\0\0",
            b"basic\0a\0b\0c",
            b"\xff",
        ] {
            assert!(Credentials::decode(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_challenge_has_an_answer(text in "(Bearer |Basic )?[ -~]{0,60}") {
            let _ = Challenge::parse(&text);
        }
    }
}
