//! Those who are trusted, their signatures, and a registry's answers that have them.

use crate::authority::{self, Authority, Certificate, Layer, NOW, Subject};
use crate::hostile_registry::{Answer, Image};
use crate::world::World;
use ipc::messages::pull::ImageSettings;
use ipc::messages::signing::{Demand, Pattern, Signers, SigningRule, TrustedIdentity};
use oci::Digest;
use oci::build::{self, Content, signature_tag};
use oci::media_type::{EMPTY, INDEX, MANIFEST};
use rcgen::KeyPair;
use serde_json::{Value, json};
use signing::material::PAYLOAD_TYPE;
use std::collections::BTreeMap;
use std::fs;
use tempfile::TempDir;

pub(crate) const SIGNER: &str = "signer@example.com";
pub(crate) const ISSUER: &str = "https://issuer.example.com";
/// What is signed: the registry of a test has another port each time.
pub(crate) const REPOSITORY: &str = "quay.io/acme/counter";
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

pub(crate) type Answers = BTreeMap<String, Answer>;

/// Those who are trusted, and what says so.
pub(crate) struct Trusted {
    pub(crate) authority: Authority,
    pub(crate) key: KeyPair,
    pub(crate) folder: TempDir,
}

impl Trusted {
    pub(crate) fn new() -> Self {
        let authority = Authority::default();
        let key = KeyPair::generate().expect("randomness");
        let folder = tempfile::tempdir().expect("a directory");
        let root = authority.trusted_root().to_string();
        fs::write(folder.path().join("trusted_root.json"), root).expect("a file");
        fs::write(folder.path().join("a.pub"), key.public_key_pem()).expect("a file");
        Self {
            authority,
            key,
            folder,
        }
    }

    pub(crate) fn world(&self) -> World {
        let exact = |text: &str| Pattern::Exact(text.to_owned());
        let signers = Signers {
            keys: vec!["a.pub".to_owned()],
            identities: vec![TrustedIdentity {
                subject: exact(SIGNER),
                issuer: exact(ISSUER),
            }],
            logged: false,
        };
        let mut settings = ImageSettings::default();
        // It must not help that unsigned images are accepted elsewhere.
        settings.signing.allow_unsigned = true;
        settings.signing.trust_dir = self.folder.path().display().to_string();
        settings.signing.rules = vec![SigningRule {
            images: "*".to_owned(),
            demand: Demand::SignedBy(signers),
            signed_as: vec![REPOSITORY.to_owned()],
        }];
        World::with(settings)
    }

    pub(crate) fn certificate(&self, subject: &Subject) -> Certificate {
        self.authority.certificates.issue(subject)
    }

    /// Signed with a key, as the tag has it.
    pub(crate) fn by_key(&self, digest: &Digest) -> Layer {
        authority::sign_with_key(
            &self.key,
            authority::payload(REPOSITORY, &digest.to_string()),
        )
    }

    /// Signed by somebody, as the tag has it.
    pub(crate) fn layer(&mut self, subject: &Subject, digest: &Digest) -> Layer {
        let certificate = self.certificate(subject);
        let payload = authority::payload(REPOSITORY, &digest.to_string());
        self.authority.sign_payload(&certificate, payload, NOW)
    }

    /// Signed by somebody, as a bundle.
    pub(crate) fn bundle(&mut self, subject: &Subject, digest: &Digest) -> Value {
        let certificate = self.certificate(subject);
        let statement = authority::statement(&digest.to_string());
        self.authority.sign_statement(&certificate, &statement, NOW)
    }
}

pub(crate) fn good_subject() -> Subject {
    Subject::new(SIGNER, ISSUER)
}

/// An image that has these signatures under its tag.
pub(crate) fn tagged(image: &Image, layers: Vec<Layer>) -> Answers {
    let layers: Vec<_> = layers
        .into_iter()
        .map(|(payload, annotations)| (Content::new(PAYLOAD_TYPE, payload), annotations))
        .collect();
    let signatures = build::signatures(&layers).expect("an image");
    let mut answers = image.answers();
    for blob in signatures.blobs {
        put_blob(&mut answers, blob.bytes);
    }
    answers.insert(
        signature_path(image),
        Answer::new(200, MANIFEST, signatures.top.bytes),
    );
    answers
}

pub(crate) fn put_blob(answers: &mut Answers, bytes: Vec<u8>) -> Digest {
    let digest = Digest::of(&bytes);
    let answer = Answer::new(200, "application/octet-stream", bytes);
    answers.insert(format!("blobs/{digest}"), answer);
    digest
}

pub(crate) fn digest_of(image: &Image) -> Digest {
    Digest::of(&image.manifest_bytes())
}

pub(crate) fn signature_path(image: &Image) -> String {
    format!("manifests/{}", signature_tag(&digest_of(image)))
}

pub(crate) fn referrers_path(image: &Image) -> String {
    format!("referrers/{}", digest_of(image))
}

/// An image to which these bundles refer.
pub(crate) fn referred(image: &Image, bundles: &[Vec<u8>]) -> Answers {
    let mut answers = image.answers();
    let listed: Vec<Value> = bundles
        .iter()
        .map(|bundle| {
            let layer = put_blob(&mut answers, bundle.clone());
            let config = put_blob(&mut answers, b"{}".to_vec());
            let subject = digest_of(image);
            let manifest = json!({
                "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE,
                "config": { "mediaType": EMPTY, "digest": config, "size": 2 },
                "layers": [{ "mediaType": BUNDLE, "digest": layer, "size": bundle.len() }],
                "subject": { "mediaType": MANIFEST, "digest": subject, "size": 1 },
            });
            let bytes = manifest.to_string().into_bytes();
            let digest = Digest::of(&bytes);
            let size = bytes.len();
            answers.insert(
                format!("manifests/{digest}"),
                Answer::new(200, MANIFEST, bytes),
            );
            json!({ "mediaType": MANIFEST, "artifactType": BUNDLE, "digest": digest, "size": size })
        })
        .collect();
    let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed });
    answers.insert(
        referrers_path(image),
        Answer::new(200, INDEX, list.to_string().into_bytes()),
    );
    answers
}

pub(crate) fn bytes(bundle: &Value) -> Vec<u8> {
    bundle.to_string().into_bytes()
}
