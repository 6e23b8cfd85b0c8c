//! Signatures of identities, stored in a registry as clients of sigstore store them.

use crate::authority::{self, Authority, Subject};
use oci::build::{self, Content};
use oci::manifest::{Descriptor, Manifest};
use oci::registry::{Client, Repository, Settings};
use oci::{Digest, Reference, Selector, media_type};
use std::collections::BTreeMap;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Signs an image that is in a registry: a layer under the signature tag, or a bundle that refers to the image.
pub fn store(authority: &mut Authority, image: &str, subject: &Subject, as_bundle: bool) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(push(authority, image, subject, as_bundle));
}

async fn push(authority: &mut Authority, image: &str, subject: &Subject, as_bundle: bool) {
    let reference: Reference = image.parse().expect("a reference");
    let client = Client::new(Settings::default()).expect("a client");
    let repository = client.repository(&reference, None).expect("a repository");
    let fetched = repository.fetch_manifest(&reference.selector()).await;
    let fetched = fetched.expect("the image");
    let digest = fetched.digest.to_string();
    let certificate = authority.certificates.issue(subject);
    if as_bundle {
        let statement = authority::statement(&digest);
        let bundle = authority.sign_statement(&certificate, &statement, authority::NOW);
        let subject = Descriptor::of(&fetched.media_type, &fetched.bytes);
        refer(&repository, subject, &bundle.to_string(), BTreeMap::new()).await;
        return;
    }
    let payload = authority::payload(&reference.name(), &digest);
    let (payload, annotations) = authority.sign_payload(&certificate, payload, authority::NOW);
    let layer = Content::new(signing::material::PAYLOAD_TYPE, payload);
    let signatures = build::signatures(&[(layer, annotations)]).expect("an image");
    let tag = Selector::Tag(build::signature_tag(&fetched.digest));
    put(&repository, &signatures.blobs, &tag, &signatures.top.bytes).await;
}

/// Pushes a bundle as clients of the current form do: an artifact whose subject is the image.
pub async fn refer(
    repository: &Repository,
    subject: Descriptor,
    bundle: &str,
    annotations: BTreeMap<String, String>,
) {
    let layer = Content::new(BUNDLE, bundle.as_bytes().to_vec());
    let config = Content::new(media_type::EMPTY, b"{}".to_vec());
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.to_owned()),
        artifact_type: Some(BUNDLE.to_owned()),
        config: config.descriptor(),
        layers: vec![layer.descriptor()],
        subject: Some(subject),
        annotations,
    };
    let bytes = serde_json::to_vec(&manifest).expect("JSON");
    let selector = Selector::Digest(Digest::of(&bytes));
    put(repository, &[layer, config], &selector, &bytes).await;
}

async fn put(repository: &Repository, blobs: &[Content], name: &Selector, manifest: &[u8]) {
    for blob in blobs {
        repository.push_blob(&blob.bytes).await.expect("pushed");
    }
    let pushed = repository
        .push_manifest(name, media_type::MANIFEST, manifest)
        .await;
    pushed.expect("pushed");
}
