//! From a reference to an object file: resolved once, judged, unpacked, kept.
//!
//! ```text
//! cache ── there and still accepted ─────────────────────────────────────────────▶ object
//!   │ else, unless the policy is Never
//!   ▼
//! tag ▶ digest ▶ (index ▶ manifest for this machine) ▶ signatures ▶ verdict ▶ configuration, layer ▶ object ▶ cache
//! ```
//!
//! A tag is asked for once. From then on everything is fetched by digest, and the verdict is about that digest. Nothing is
//! downloaded beyond manifests and signatures before the verdict, and nothing is kept before the object was taken out.

use crate::cache::{Cache, Contents, Parcel, Record};
use crate::evidence;
use crate::rules::Rules;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::pull::{CachedImage, ImageOrigin, Progress, PullPolicy};
use ipc::messages::signing::Acceptance;
use oci::config::Config;
use oci::labels::Labels;
use oci::manifest::{Document, Manifest, Platform};
use oci::registry::{Client, Credentials, Repository};
use oci::{Digest, Error, Kind, Reference, Selector, layer, limits, object};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::info;

/// What is asked for.
#[derive(Debug)]
pub struct Wanted {
    /// As the user wrote it.
    pub url: String,
    /// What that means.
    pub reference: Reference,
    /// When the registry is asked.
    pub policy: PullPolicy,
    /// What is shown to the registry.
    pub credentials: Option<Credentials>,
}

/// An image that may be used.
#[derive(Debug)]
pub struct Pulled {
    /// As the cache lists it.
    pub listed: CachedImage,
    /// What it turned out to be.
    pub origin: ImageOrigin,
    /// What it says that is in it.
    pub labels: Labels,
    /// The object file.
    pub object: Vec<u8>,
}

/// How far a download is, for whoever asks meanwhile.
pub type Shown = Mutex<Vec<Progress>>;

/// Has an image in the cache, and what is in it.
///
/// # Errors
///
/// Whatever is wrong with the reference, the registry, the image or its signatures. The cache is then as before.
pub async fn pull(
    cache: &Mutex<Cache>,
    rules: &Rules,
    wanted: &Wanted,
    shown: &Shown,
) -> Result<Pulled, Failure> {
    if wanted.policy != PullPolicy::Always {
        match from_cache(cache, rules, &wanted.reference) {
            Some(Ok(pulled)) => return Ok(pulled),
            Some(Err(failure)) if wanted.policy == PullPolicy::Never => return Err(failure),
            // It may have been signed since, or signed anew.
            Some(Err(failure)) => {
                info!(image = wanted.url, %failure, "in the cache and not accepted, asking the registry")
            }
            None if wanted.policy == PullPolicy::Never => {
                return Err(Failure::new(
                    FailureCode::NotFound,
                    Stage::Pull,
                    format!("image {} not in cache and pull policy is Never", wanted.url),
                )
                .remedy("pull it first (bpfmanctl image pull), or use another pull policy"));
            }
            None => {}
        }
    }
    let policy = rules.policy.as_ref().map_err(Clone::clone)?;
    let failed = |error| failure(&wanted.url, &error);
    let repository = Client::new(rules.registries.clone())
        .and_then(|client| client.repository(&wanted.reference, wanted.credentials.clone()))
        .map_err(failed)?;
    let resolved = resolve(&repository, &wanted.reference)
        .await
        .map_err(failed)?;
    let materials = if policy.wants_signatures(&wanted.reference.name()) {
        evidence::fetch(&repository, &resolved.digest)
            .await
            .map_err(failed)?
    } else {
        Vec::new()
    };
    let acceptance = evidence::judge(&wanted.reference, &resolved.digest, &materials, policy)?;
    let content = download(&repository, &resolved, shown)
        .await
        .map_err(failed)?;
    let (labels, object) = unpack(
        &resolved.manifest,
        content.config.as_deref(),
        &content.layer,
    )
    .map_err(failed)?;
    let now = now();
    let record = Record {
        reference: wanted.reference.to_string(),
        digest: *resolved.digest.as_bytes(),
        manifest: *Digest::of(&resolved.bytes).as_bytes(),
        media_type: resolved.media_type.clone(),
        config: content
            .config
            .as_deref()
            .map(|config| *Digest::of(config).as_bytes()),
        layer: *Digest::of(&content.layer).as_bytes(),
        bytes: 0,
        pulled_at: now,
        used_at: now,
    };
    let parts = [
        Some(&resolved.bytes),
        content.config.as_ref(),
        Some(&content.layer),
    ];
    let evidence = evidence::encode(&materials).map_err(|error| {
        Failure::new(
            FailureCode::ResourceExhausted,
            Stage::Policy,
            format!("image {}: signatures: {error}", wanted.url),
        )
    })?;
    let parcel = Parcel {
        record: record.clone(),
        content: parts
            .into_iter()
            .flatten()
            .map(|bytes| (Digest::of(bytes), bytes.as_slice()))
            .collect(),
        evidence: &evidence,
    };
    let mut cache = lock(cache);
    cache.store(parcel).map_err(|error| unwritable(&error))?;
    let record = cache.find(&record.reference).unwrap_or(&record);
    info!(image = record.reference, digest = %resolved.digest, "pulled");
    Ok(pulled(record, acceptance, labels, object))
}

/// What the cache has of a reference: nothing, or what is accepted, or why it is not.
fn from_cache(
    cache: &Mutex<Cache>,
    rules: &Rules,
    reference: &Reference,
) -> Option<Result<Pulled, Failure>> {
    let name = reference.to_string();
    let (record, contents) = {
        let mut cache = lock(cache);
        let contents = cache.read(&name, now())?;
        (cache.find(&name)?.clone(), contents)
    };
    let Contents {
        manifest,
        config,
        layer,
        evidence,
    } = contents;
    let digest = Digest::from_bytes(record.digest);
    let materials = evidence::decode(&evidence).ok()?;
    let judged = rules
        .policy
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|policy| evidence::judge(reference, &digest, &materials, policy));
    let acceptance = match judged {
        Ok(acceptance) => acceptance,
        Err(failure) => return Some(Err(failure)),
    };
    // It was unpacked before it was kept: what cannot be unpacked now was written by another version.
    let Ok(Document::Image(manifest)) = Document::parse(&record.media_type, &manifest) else {
        return None;
    };
    let (labels, object) = unpack(&manifest, config.as_deref(), &layer).ok()?;
    Some(Ok(pulled(&record, acceptance, labels, object)))
}

fn pulled(record: &Record, acceptance: Acceptance, labels: Labels, object: Vec<u8>) -> Pulled {
    Pulled {
        listed: listed(record, Some(acceptance.clone())),
        origin: ImageOrigin {
            digest: record.digest,
            manifest: record.manifest,
            acceptance,
        },
        labels,
        object,
    }
}

/// All images in the cache, each judged by the present policy.
pub fn list(cache: &Mutex<Cache>, rules: &Rules) -> Vec<CachedImage> {
    let cache = lock(cache);
    cache
        .list()
        .map(|record| {
            let digest = Digest::from_bytes(record.digest);
            let judged = || {
                let reference: Reference = record.reference.parse().ok()?;
                let materials = evidence::decode(&cache.evidence(&digest)?).ok()?;
                evidence::judge(&reference, &digest, &materials, rules.policy.as_ref().ok()?).ok()
            };
            listed(record, judged())
        })
        .collect()
}

fn listed(record: &Record, acceptance: Option<Acceptance>) -> CachedImage {
    CachedImage {
        reference: record.reference.clone(),
        digest: record.digest,
        manifest: record.manifest,
        bytes: record.bytes,
        pulled_at: record.pulled_at,
        acceptance,
    }
}

/// What a reference led to, once.
struct Resolved {
    /// Of the manifest or index.
    digest: Digest,
    /// The manifest for this machine.
    manifest: Manifest,
    bytes: Vec<u8>,
    media_type: String,
}

async fn resolve(repository: &Repository, reference: &Reference) -> Result<Resolved, Error> {
    let top = repository.fetch_manifest(&reference.selector()).await?;
    let digest = top.digest;
    let (manifest, fetched) = match top.document()? {
        Document::Image(manifest) => (manifest, top),
        Document::Index(index) => {
            let chosen = index.choose(&Platform::host())?;
            let fetched = repository
                .fetch_manifest(&Selector::Digest(chosen.digest))
                .await?;
            if fetched.bytes.len() as u64 != chosen.size {
                return Err(Error::Length {
                    what: "the manifest",
                    expected: chosen.size,
                    found: fetched.bytes.len() as u64,
                });
            }
            match fetched.document()? {
                Document::Image(manifest) => (manifest, fetched),
                Document::Index(_) => {
                    return Err(Error::MediaType {
                        what: "the manifest for this machine",
                        media_type: fetched.media_type,
                    });
                }
            }
        }
    };
    // Refused here, before signatures are fetched for something that cannot be used.
    manifest.bytecode()?;
    Ok(Resolved {
        digest,
        manifest: *manifest,
        bytes: fetched.bytes,
        media_type: fetched.media_type,
    })
}

struct Downloaded {
    config: Option<Vec<u8>>,
    layer: Vec<u8>,
}

async fn download(
    repository: &Repository,
    resolved: &Resolved,
    shown: &Shown,
) -> Result<Downloaded, Error> {
    let config = match resolved.manifest.labelled_config()? {
        None => None,
        Some(config) => {
            let bytes = repository
                .fetch_content(
                    "the image configuration",
                    config,
                    limits::CONFIG_BYTES,
                    &mut |_| (),
                )
                .await?;
            // Known before the layer is downloaded.
            Config::parse(&bytes)?.check_machine(&Platform::host())?;
            Some(bytes)
        }
    };
    let layer = resolved.manifest.bytecode()?;
    lock(shown).push(Progress {
        what: layer.digest.to_string(),
        done: 0,
        total: layer.size,
    });
    let mut progress = |done| {
        if let Some(last) = lock(shown).last_mut() {
            last.done = done;
        }
    };
    let layer = repository
        .fetch_content("the layer", layer, limits::LAYER_BYTES, &mut progress)
        .await?;
    Ok(Downloaded { config, layer })
}

fn unpack(
    manifest: &Manifest,
    config: Option<&[u8]>,
    layer: &[u8],
) -> Result<(Labels, Vec<u8>), Error> {
    let labels = match config {
        Some(config) => {
            let config = Config::parse(config)?;
            config.check_machine(&Platform::host())?;
            Labels::parse(&config.labels)?
        }
        None => Labels::parse(&manifest.annotations)?,
    };
    let object = layer::object(layer)?;
    object::check(&object)?;
    Ok((labels, object))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds it leaves it half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since the Unix epoch.
fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// What went wrong with an image, as a client hears of it.
pub fn failure(url: &str, error: &Error) -> Failure {
    let code = match error.kind() {
        Kind::Invalid => FailureCode::InvalidArgument,
        Kind::NotFound => FailureCode::NotFound,
        Kind::Denied => FailureCode::PermissionDenied,
        Kind::Unfit | Kind::Protocol => FailureCode::FailedPrecondition,
        Kind::TooLarge => FailureCode::ResourceExhausted,
        Kind::Unavailable => FailureCode::Unavailable,
        Kind::Timeout => FailureCode::DeadlineExceeded,
    };
    let cause = match error {
        Error::Reference { .. } => error.to_string(),
        _ => format!("image {url}: {error}"),
    };
    Failure::new(code, Stage::Pull, cause).remedy(error.remedy())
}

/// The cache cannot be written or read.
pub fn unwritable(error: &std::io::Error) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Pull,
        format!("the image cache cannot be used: {error}"),
    )
    .remedy("check room and rights of the directory in --image-cache-dir")
}
