//! Reading from a repository: its mirrors in turn, then the registry itself.

use super::Repository;
use super::exchange::{Request, body};
use crate::error::excerpt;
use crate::manifest::{Descriptor, Document};
use crate::media_type::{self, ACCEPT};
use crate::{Digest, Error, Selector, limits};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::info;

/// A manifest as a registry sent it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetched {
    /// What it says it is.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Fetched {
    /// Parses it.
    ///
    /// # Errors
    ///
    /// See [`Document::parse`].
    pub fn document(&self) -> Result<Document, Error> {
        Document::parse(&self.media_type, &self.bytes)
    }
}

impl Repository {
    /// The manifest or index that a tag or a digest stands for. By digest, the bytes are those; by tag, whatever has the
    /// tag at this moment: whoever goes on does so by the digest.
    ///
    /// # Errors
    ///
    /// It is not there, not allowed, too large, or not what was asked for.
    pub async fn fetch_manifest(&self, selector: &Selector) -> Result<Fetched, Error> {
        let mut request = Request::get(
            format!("manifests/{selector}"),
            format!("the manifest {selector}"),
        );
        request.accept = Some(ACCEPT);
        for place in self.mirrors() {
            let answer = self.manifest_from(place, &request, selector);
            if let Some(fetched) = self.of_mirror(place, answer).await {
                return Ok(fetched);
            }
        }
        let last = self.origin();
        self.in_time(last, self.manifest_from(last, &request, selector))
            .await
    }

    async fn manifest_from(
        &self,
        place: usize,
        request: &Request,
        selector: &Selector,
    ) -> Result<Fetched, Error> {
        let response = self.exchange(place, request).await?;
        let headers = response.headers().clone();
        let registry = &self.endpoints[place].registry;
        let bytes = body(
            registry,
            self.patience,
            response,
            limits::MANIFEST_BYTES,
            "the manifest",
            &mut |_| (),
        )
        .await?;
        let digest = Digest::of(&bytes);
        let announced =
            text_of(&headers, "docker-content-digest").and_then(|text| text.parse().ok());
        let expected = match selector {
            Selector::Digest(expected) => Some(*expected),
            Selector::Tag(_) => announced,
        };
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(Error::Mismatch {
                what: "the manifest",
                expected,
                found: digest,
            });
        }
        Ok(Fetched {
            media_type: media_type_of(&headers, &bytes)?,
            digest,
            bytes,
        })
    }

    /// Content by its digest. `progress` hears how many bytes are there.
    ///
    /// # Errors
    ///
    /// It is not there, not allowed, larger than `limit`, or not what was asked for.
    pub async fn fetch_blob(
        &self,
        digest: &Digest,
        limit: u64,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Vec<u8>, Error> {
        let request = Request::get(format!("blobs/{digest}"), format!("the content {digest}"));
        for place in self.mirrors() {
            let answer = self.blob_from(place, &request, digest, limit, progress);
            if let Some(bytes) = self.of_mirror(place, answer).await {
                return Ok(bytes);
            }
        }
        let last = self.origin();
        let answer = self.blob_from(last, &request, digest, limit, progress);
        self.in_time(last, answer).await
    }

    async fn blob_from(
        &self,
        place: usize,
        request: &Request,
        digest: &Digest,
        limit: u64,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Vec<u8>, Error> {
        let response = self.exchange(place, request).await?;
        let registry = &self.endpoints[place].registry;
        let bytes = body(
            registry,
            self.patience,
            response,
            limit,
            "the content",
            progress,
        )
        .await?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::Mismatch {
                what: "the content",
                expected: *digest,
                found,
            });
        }
        Ok(bytes)
    }

    /// Content that a descriptor points to, whose size must be the announced one.
    ///
    /// # Errors
    ///
    /// As [`Repository::fetch_blob`], and for another size.
    pub async fn fetch_content(
        &self,
        what: &'static str,
        descriptor: &Descriptor,
        limit: u64,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Vec<u8>, Error> {
        if descriptor.size > limit {
            return Err(Error::too_many_bytes(what, limit));
        }
        let bytes = self
            .fetch_blob(&descriptor.digest, descriptor.size, progress)
            .await;
        match bytes {
            Ok(bytes) if bytes.len() as u64 != descriptor.size => Err(Error::Length {
                what,
                expected: descriptor.size,
                found: bytes.len() as u64,
            }),
            other => other,
        }
    }

    /// What is attached to an image: signatures and the like. Nothing attached is an empty list.
    ///
    /// A mirror may add to what the registry itself lists, and stands in for it when it cannot be asked; its "nothing" is
    /// not the registry's word.
    ///
    /// # Errors
    ///
    /// The list cannot be read, or is too long.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        let mut referrers = Vec::new();
        for place in self.mirrors() {
            let listed = self.referrers_from(place, subject);
            referrers = self.of_mirror(place, listed).await.unwrap_or_default();
            if !referrers.is_empty() {
                break;
            }
        }
        match self.referrers_from(self.origin(), subject).await {
            Ok(listed) => {
                for referrer in listed {
                    if !referrers.contains(&referrer) {
                        referrers.push(referrer);
                    }
                }
            }
            Err(error) if referrers.is_empty() => return Err(error),
            Err(error) => info!(%error, "referrers of a mirror alone"),
        }
        referrers.retain(|referrer| {
            artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
        });
        crate::manifest::check_count("the list of referrers", referrers.len(), limits::REFERRERS)?;
        Ok(referrers)
    }

    /// What one endpoint lists. Registries that do not know the question keep the list under a tag (distribution
    /// specification, "referrers tag schema").
    async fn referrers_from(
        &self,
        place: usize,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let what = format!("the list of referrers of {subject}");
        let mut request = Request::get(format!("referrers/{subject}"), what.clone());
        request.accept = Some(media_type::INDEX);
        let listed = self.in_time(place, self.list_from(place, &request)).await;
        // Registries that do not know it answer 404, some of them 400 or 405.
        let bytes = match listed {
            Ok(bytes) => bytes,
            Err(
                Error::NotFound { .. }
                | Error::Status {
                    status: 400 | 405, ..
                },
            ) => {
                let tag = Selector::Tag(format!("sha256-{}", subject.hex()));
                let mut request = Request::get(format!("manifests/{tag}"), what);
                request.accept = Some(ACCEPT);
                let tagged = self.manifest_from(place, &request, &tag);
                match self.in_time(place, tagged).await {
                    Ok(fetched) => fetched.bytes,
                    Err(Error::NotFound { .. }) => return Ok(Vec::new()),
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };
        match Document::parse(media_type::INDEX, &bytes)? {
            Document::Index(index) => Ok(index.manifests),
            Document::Image(_) => Err(Error::malformed("the list of referrers", "it is no index")),
        }
    }

    async fn list_from(&self, place: usize, request: &Request) -> Result<Vec<u8>, Error> {
        const WHAT: &str = "the list of referrers";
        let response = self.exchange(place, request).await?;
        let registry = &self.endpoints[place].registry;
        body(
            registry,
            self.patience,
            response,
            limits::MANIFEST_BYTES,
            WHAT,
            &mut |_| (),
        )
        .await
    }

    /// The places of the mirrors, in the order in which they are asked.
    fn mirrors(&self) -> std::ops::Range<usize> {
        0..self.origin()
    }

    /// What a mirror lacks, refuses or gets wrong is asked of the next; the word of the registry itself is the last.
    async fn of_mirror<T>(
        &self,
        place: usize,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Option<T> {
        match self.in_time(place, answer).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                info!(mirror = self.endpoints[place].registry, %error, "mirror passed over");
                None
            }
        }
    }

    /// Bounds the time of a whole answer: bytes that come one by one are not silence.
    pub(super) async fn in_time<T>(
        &self,
        place: usize,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.patience.answer;
        timeout(limit, answer).await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                registry: self.endpoints[place].registry.clone(),
                limit,
            })
        })
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The type in the header without parameters; where there is none, the one in the document.
fn media_type_of(headers: &HeaderMap, bytes: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Typed {
        media_type: Option<String>,
    }
    let media_type = match text_of(headers, CONTENT_TYPE.as_str()) {
        Some(text) => text.split(';').next().unwrap_or_default().trim().to_owned(),
        None => crate::manifest::parse::<Typed>("the manifest", bytes)?
            .media_type
            .unwrap_or_default(),
    };
    if media_type.len() > limits::MEDIA_TYPE_BYTES {
        return Err(Error::MediaType {
            what: "the manifest",
            media_type: excerpt(&media_type),
        });
    }
    Ok(media_type)
}
