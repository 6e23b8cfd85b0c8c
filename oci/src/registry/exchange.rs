//! One request and what comes of it: challenges, redirects, bounded bodies, errors.

use super::{Patience, Repository};
use crate::error::{bounded, excerpt};
use crate::reference::is_loopback;
use crate::{Error, limits};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use std::error::Error as _;

/// A request to a repository.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Behind `/v2/REPOSITORY/`, or a whole URL that the registry gave.
    pub(super) target: Target,
    pub(super) accept: Option<&'static str>,
    /// Media type and bytes.
    pub(super) content: Option<(String, Vec<u8>)>,
    /// What it is about, for messages.
    pub(super) what: String,
}

#[derive(Clone, Debug)]
pub(super) enum Target {
    Path(String),
    Url(Url),
}

impl Request {
    pub(super) fn get(path: String, what: String) -> Self {
        Self {
            method: Method::GET,
            target: Target::Path(path),
            accept: None,
            content: None,
            what,
        }
    }

    /// Whether it changes anything: another right is needed, and a redirect is not followed.
    fn writes(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether the answer is whatever has a certain digest, which anybody may give. What a tag stands for and who signed it is
    /// for the registry to say.
    fn is_of_content(&self) -> bool {
        matches!(&self.target, Target::Path(path) if path.starts_with("blobs/"))
    }
}

impl Repository {
    /// Sends a request to an endpoint until there is an answer that is not a challenge or a redirect. Answers of success
    /// only; every other is an error.
    pub(super) async fn exchange(
        &self,
        place: usize,
        request: &Request,
    ) -> Result<Response, Error> {
        let (response, shown) = self.authorized(place, request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let registry = self.endpoints[place].registry.clone();
        if status == StatusCode::NOT_FOUND {
            return Err(Error::NotFound {
                what: request.what.clone(),
                registry,
            });
        }
        let is_denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let detail = explanation(&registry, self.patience, response).await;
        Err(if is_denied {
            Error::Denied {
                registry,
                status: status.as_u16(),
                detail,
                with_credentials: shown && self.credentials.is_some(),
            }
        } else {
            Error::Status {
                registry,
                status: status.as_u16(),
                detail,
            }
        })
    }

    /// Also tells whether the answer is one to a request with authorization.
    async fn authorized(&self, place: usize, request: &Request) -> Result<(Response, bool), Error> {
        let key = (place, request.writes());
        let known = self.remember(|memory| memory.authorizations.get(&key).cloned());
        let had_one = known.is_some();
        let response = self.redirected(place, request, known).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok((response, had_one));
        }
        let Some(fresh) = self.authorization(place, key.1, response.headers()).await? else {
            return Ok((response, had_one));
        };
        self.remember(|memory| memory.authorizations.insert(key, fresh.clone()));
        Ok((self.redirected(place, request, Some(fresh)).await?, true))
    }

    async fn redirected(
        &self,
        place: usize,
        request: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Error> {
        let endpoint = &self.endpoints[place];
        let (response, first) = self
            .first_answer(place, request, authorization.as_ref())
            .await?;
        let (mut response, mut at) = (response, first.clone());
        for _ in 0..limits::REDIRECTS {
            if !is_redirect(response.status()) || request.writes() {
                return Ok(response);
            }
            let refused = |target: &Url, cause| Error::Redirect {
                registry: endpoint.registry.clone(),
                target: excerpt(&format!("{}://{}", target.scheme(), host_of(target))),
                cause,
            };
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let target = location
                .and_then(|location| at.join(location).ok())
                .ok_or_else(|| refused(&at, "it does not say where to"))?;
            let inside = is_loopback(&host_of(&target));
            match target.scheme() {
                "https" => {}
                "http" if at.scheme() == "http" && inside => {}
                "http" => return Err(refused(&target, "it would be plain HTTP")),
                _ => return Err(refused(&target, "it is not HTTP")),
            }
            if inside && !endpoint.is_loopback() {
                return Err(refused(&target, "it leads to this machine"));
            }
            let same = target.origin() == first.origin();
            if !same && !request.is_of_content() {
                return Err(refused(&target, "it leads to another host"));
            }
            // What is shown to the registry is not for whoever it sends us to.
            let shown = authorization.as_ref().filter(|_| same);
            response = self
                .send(request, target.clone(), shown)
                .await
                .map_err(|error| unreachable(&host_of(&target), self.patience, error))?;
            at = target;
        }
        if is_redirect(response.status()) {
            return Err(Error::Protocol {
                registry: endpoint.registry.clone(),
                cause: format!("it redirects more than {} times", limits::REDIRECTS),
            });
        }
        Ok(response)
    }

    /// The first answer, and the URL that gave it. A registry on this machine may speak plain HTTP; whether it does is
    /// found out once, by its answer to the beginning of TLS. Nothing else makes the client do without TLS.
    async fn first_answer(
        &self,
        place: usize,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<(Response, Url), Error> {
        let endpoint = &self.endpoints[place];
        let plain = self.remember(|memory| memory.plain.get(&place).copied());
        let failed = |error| unreachable(&endpoint.registry, self.patience, error);
        let url = self.url(place, request, plain == Some(true))?;
        let error = match self.send(request, url.clone(), authorization).await {
            Ok(response) => return Ok((response, url)),
            Err(error) => error,
        };
        if plain.is_some() || !endpoint.is_loopback() || !speaks_no_tls(&error) {
            return Err(failed(error));
        }
        self.remember(|memory| memory.plain.insert(place, true));
        let url = self.url(place, request, true)?;
        let response = self
            .send(request, url.clone(), authorization)
            .await
            .map_err(failed)?;
        Ok((response, url))
    }

    fn url(&self, place: usize, request: &Request, plain: bool) -> Result<Url, Error> {
        let endpoint = &self.endpoints[place];
        match &request.target {
            Target::Url(url) => Ok(url.clone()),
            Target::Path(path) => {
                let scheme = if plain { "http" } else { "https" };
                let text = format!("{scheme}://{}/v2/{}/{path}", endpoint.host, endpoint.path);
                Url::parse(&text)
                    .map_err(|error| Error::Settings(format!("{}: {error}", endpoint.registry)))
            }
        }
    }

    async fn send(
        &self,
        request: &Request,
        url: Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, reqwest::Error> {
        let mut builder = self.http.request(request.method.clone(), url);
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization.clone());
        }
        if let Some((media_type, bytes)) = &request.content {
            builder = builder.header(CONTENT_TYPE, media_type).body(bytes.clone());
        }
        builder.send().await
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Host and port of a URL.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Reads an answer to its end and never more than the bound. `progress` hears the bytes so far.
pub(super) async fn body(
    registry: &str,
    patience: Patience,
    mut response: Response,
    limit: u64,
    what: &'static str,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Vec<u8>, Error> {
    if response
        .content_length()
        .is_some_and(|length| length > limit)
    {
        return Err(Error::too_many_bytes(what, limit));
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if (bytes.len() + chunk.len()) as u64 > limit {
                    return Err(Error::too_many_bytes(what, limit));
                }
                bytes.extend_from_slice(&chunk);
                progress(bytes.len() as u64);
            }
            Ok(None) => return Ok(bytes),
            Err(error) => return Err(unreachable(registry, patience, error)),
        }
    }
}

/// What a registry says about an error: ` (CODE: message)`, or nothing.
async fn explanation(registry: &str, patience: Patience, response: Response) -> String {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let bytes = body(
        registry,
        patience,
        response,
        limits::ERROR_BYTES,
        "the explanation",
        &mut |_| (),
    )
    .await;
    let errors = bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Errors>(&bytes).ok());
    match errors.and_then(|errors| errors.errors.into_iter().next()) {
        Some(One { code, message }) => {
            format!(
                " ({})",
                bounded(&format!("{code}: {message}"), limits::ERROR_CHARACTERS)
            )
        }
        None => String::new(),
    }
}

/// What a connection ended with. URLs are left out: those of storage services are secrets.
pub(super) fn unreachable(registry: &str, patience: Patience, error: reqwest::Error) -> Error {
    let registry = bounded(registry, 80);
    if error.is_timeout() {
        let limit = if error.is_connect() {
            patience.connect
        } else {
            patience.silence
        };
        return Error::Timeout { registry, limit };
    }
    let connecting = error.is_connect();
    let cause = chain(&error.without_url());
    if connecting {
        Error::Unreachable { registry, cause }
    } else {
        Error::BrokeOff { registry, cause }
    }
}

/// An error with its causes, the innermost of which tells most.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    bounded(&text, limits::ERROR_CHARACTERS)
}

/// Whether the peer answered the beginning of TLS with something else.
fn speaks_no_tls(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inner| inner as &(dyn std::error::Error + 'static));
        let tls = error
            .downcast_ref::<rustls::Error>()
            .or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if matches!(tls, Some(rustls::Error::InvalidMessage(_))) {
            return true;
        }
        source = inner.map_or_else(|| error.source(), Some);
    }
    false
}
