//! Signatures of an image: fetched, and judged.
//!
//! What is fetched is kept with the image in the cache, so that a changed policy can judge it again without the registry.

use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::signing::Acceptance;
use oci::build::signature_tag;
use oci::manifest::{Descriptor, Document, Manifest};
use oci::registry::Repository;
use oci::{Digest, Error, Reference, Selector};
use signing::material::{BUNDLE_TYPE, PAYLOAD_TYPE};
use signing::{Image, Material, Policy, limits};
use tracing::info;

/// Annotation in which a bundle's referrer says what it states.
const STATES: &str = "dev.sigstore.bundle.predicateType";
/// What a signature states.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// Bytes of all signatures of an image, encoded.
const EVIDENCE_BYTES: usize = (limits::MATERIALS + 1) * (limits::MATERIAL_BYTES + 1024);

/// Fetches all signatures of an image: those under its signature tag, and those that refer to it.
///
/// # Errors
///
/// Whatever the registry says, but that there is nothing: an image whose signatures cannot be fetched is not an unsigned
/// one.
pub async fn fetch(repository: &Repository, image: &Digest) -> Result<Vec<Material>, Error> {
    let mut found = Vec::new();
    match repository
        .fetch_manifest(&Selector::Tag(signature_tag(image)))
        .await
    {
        Ok(fetched) => {
            // An index under this tag is nothing that a signer makes.
            if let Document::Image(manifest) = fetched.document()? {
                from_layers(repository, &manifest, &mut found).await?;
            }
        }
        Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let referrers = match repository.referrers(image, None).await {
        // A mirror has signatures, and the registry itself is out of reach: they are judged, and if none counts, so be it.
        Err(error) if !found.is_empty() && is_out_of_reach(&error) => {
            info!(%error, "signatures under the tag alone");
            Vec::new()
        }
        other => other?,
    };
    for referrer in referrers {
        if found.len() > limits::MATERIALS {
            break;
        }
        if may_sign(&referrer) {
            let selector = Selector::Digest(referrer.digest);
            if let Document::Image(manifest) =
                repository.fetch_manifest(&selector).await?.document()?
            {
                from_layers(repository, &manifest, &mut found).await?;
            }
        }
    }
    Ok(found)
}

fn is_out_of_reach(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Timeout { .. })
}

/// Whether a referrer may hold a signature. Attestations have the same type, and say in an annotation what they state.
fn may_sign(referrer: &Descriptor) -> bool {
    let kind = referrer.artifact_type.as_deref().unwrap_or_default();
    let states = referrer.annotations.get(STATES);
    kind.starts_with(BUNDLE_TYPE) && states.is_none_or(|states| states == SIGNED)
}

/// Every layer that is a signature, and one more than are looked at, so that too many are seen to be.
async fn from_layers(
    repository: &Repository,
    manifest: &Manifest,
    found: &mut Vec<Material>,
) -> Result<(), Error> {
    for layer in &manifest.layers {
        if found.len() > limits::MATERIALS {
            return Ok(());
        }
        let is_payload = layer.media_type == PAYLOAD_TYPE;
        if !is_payload && !layer.media_type.starts_with(BUNDLE_TYPE) {
            continue;
        }
        let limit = limits::MATERIAL_BYTES as u64;
        let bytes = repository
            .fetch_content("the signature", layer, limit, &mut |_| ())
            .await?;
        found.push(match is_payload {
            true => Material::cosign(bytes, &layer.annotations),
            false => Material::Bundle(bytes),
        });
    }
    Ok(())
}

/// Judges an image by its signatures.
///
/// # Errors
///
/// A failure that says what is wrong with each signature, and what can be done.
pub fn judge(
    reference: &Reference,
    digest: &Digest,
    evidence: &[Material],
    policy: &Policy,
) -> Result<Acceptance, Failure> {
    let image = Image {
        repository: &reference.name(),
        digest: &digest.to_string(),
    };
    signing::judge(&image, evidence, policy).map_err(|refusal| {
        Failure::new(
            FailureCode::PermissionDenied,
            Stage::Policy,
            refusal.to_string(),
        )
        .remedy(refusal.remedy())
    })
}

/// As a cache keeps it.
///
/// # Errors
///
/// There is more than a cache keeps.
pub fn encode(evidence: &Vec<Material>) -> Result<Vec<u8>, ipc::codec::CodecError> {
    ipc::codec::encode(evidence, EVIDENCE_BYTES)
}

/// From a cache.
///
/// # Errors
///
/// It is damaged.
pub fn decode(bytes: &[u8]) -> Result<Vec<Material>, ipc::codec::CodecError> {
    ipc::codec::decode(bytes)
}
