//! Writing to a repository: never to a mirror.

use super::Repository;
use super::exchange::{Request, Target};
use crate::manifest::{Descriptor, Document, Index};
use crate::media_type::{INDEX, MANIFEST};
use crate::{Digest, Error, Selector};
use reqwest::header::LOCATION;
use reqwest::{Method, Url};
use std::collections::BTreeMap;

impl Repository {
    /// Whether the registry has this content.
    ///
    /// # Errors
    ///
    /// The registry cannot be asked.
    pub async fn blob_exists(&self, digest: &Digest) -> Result<bool, Error> {
        let mut request = Request::get(format!("blobs/{digest}"), format!("the content {digest}"));
        request.method = Method::HEAD;
        let place = self.origin();
        match self.in_time(place, self.exchange(place, &request)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Uploads content, unless it is there.
    ///
    /// # Errors
    ///
    /// The registry refuses it, or cannot be reached.
    pub async fn push_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        if self.blob_exists(&digest).await? {
            return Ok(digest);
        }
        let place = self.origin();
        self.in_time(place, async {
            let start = Request {
                method: Method::POST,
                target: Target::Path("blobs/uploads/".to_owned()),
                accept: None,
                content: None,
                what: "the repository".to_owned(),
            };
            let response = self.exchange(place, &start).await?;
            let broken = |cause: &str| Error::Protocol {
                registry: self.endpoints[place].registry.clone(),
                cause: cause.to_owned(),
            };
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let mut url: Url = location
                .and_then(|location| response.url().join(location).ok())
                .ok_or_else(|| broken("it does not say where to upload to"))?;
            // The upload carries the authorization.
            if url.origin() != response.url().origin() {
                return Err(broken("it wants the upload to go to another host"));
            }
            url.query_pairs_mut()
                .append_pair("digest", &digest.to_string());
            let upload = Request {
                method: Method::PUT,
                target: Target::Url(url),
                content: Some(("application/octet-stream".to_owned(), bytes.to_vec())),
                what: format!("the upload of {digest}"),
                ..start
            };
            self.exchange(place, &upload).await?;
            Ok(digest)
        })
        .await
    }

    /// Uploads a manifest or an index under a tag or its digest. When it has a subject and the registry does not keep
    /// track of referrers, the list under the subject's tag is extended.
    ///
    /// # Errors
    ///
    /// The registry refuses it, or cannot be reached.
    pub async fn push_manifest(
        &self,
        selector: &Selector,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Digest, Error> {
        let place = self.origin();
        let digest = Digest::of(bytes);
        let request = Request {
            method: Method::PUT,
            target: Target::Path(format!("manifests/{selector}")),
            accept: None,
            content: Some((media_type.to_owned(), bytes.to_vec())),
            what: format!("the repository for {selector}"),
        };
        let response = self.in_time(place, self.exchange(place, &request)).await?;
        let tracked = response.headers().contains_key("oci-subject");
        if let Document::Image(manifest) = Document::parse(media_type, bytes)?
            && let Some(subject) = &manifest.subject
            && !tracked
        {
            let referrer = Descriptor {
                artifact_type: manifest.artifact_type.or(Some(manifest.config.media_type)),
                annotations: manifest.annotations,
                ..Descriptor::of(MANIFEST, bytes)
            };
            self.list_referrer(&subject.digest, referrer).await?;
        }
        Ok(digest)
    }

    /// Two that do this at once may lose one of the entries; the specification knows and has no remedy.
    async fn list_referrer(&self, subject: &Digest, referrer: Descriptor) -> Result<(), Error> {
        let tag = Selector::Tag(format!("sha256-{}", subject.hex()));
        let mut manifests = match self.fetch_manifest(&tag).await {
            Ok(fetched) => match fetched.document()? {
                Document::Index(index) => index.manifests,
                Document::Image(_) => {
                    return Err(Error::malformed("the list of referrers", "it is no index"));
                }
            },
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        if manifests
            .iter()
            .any(|known| known.digest == referrer.digest)
        {
            return Ok(());
        }
        manifests.push(referrer);
        let index = Index {
            schema_version: 2,
            media_type: Some(INDEX.to_owned()),
            manifests,
            annotations: BTreeMap::new(),
        };
        let bytes = serde_json::to_vec(&index)
            .map_err(|error| Error::malformed("the list of referrers", error))?;
        let place = self.origin();
        let request = Request {
            method: Method::PUT,
            target: Target::Path(format!("manifests/{tag}")),
            accept: None,
            content: Some((INDEX.to_owned(), bytes)),
            what: "the list of referrers".to_owned(),
        };
        self.in_time(place, self.exchange(place, &request))
            .await
            .map(drop)
    }
}
