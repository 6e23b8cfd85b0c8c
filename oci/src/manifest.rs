//! Manifests and indexes: which content an image consists of (OCI image specification 1.1, Docker schema 2).

use crate::error::excerpt;
use crate::media_type::{self, Shape};
use crate::{Digest, Error, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pointer to content.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// SHA-256 of it.
    pub digest: Digest,
    /// Bytes of it.
    pub size: u64,
    /// For which machine, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What an artifact is, in a list of referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// A kind of machine, in the words of Go's GOOS and GOARCH.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Platform {
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant: None,
        }
    }

    /// Whether bytecode for `self` is for `machine`. Variants name instruction sets of the machine, which do not matter
    /// to bytecode.
    pub fn fits(&self, machine: &Self) -> bool {
        self.os == machine.os && self.architecture == machine.architecture
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The manifest of one image or artifact.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// What it is; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its configuration.
    pub config: Descriptor,
    /// Its content.
    pub layers: Vec<Descriptor>,
    /// What it is about, for signatures and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Whether it is an artifact rather than an image that a container could be made of.
    pub fn is_artifact(&self) -> bool {
        self.artifact_type.is_some() || !media_type::is_config(&self.config.media_type)
    }

    /// The layer that holds the bytecode: the first one, as the established implementation has it.
    ///
    /// # Errors
    ///
    /// There is none, or it is of a foreign type, or too large.
    pub fn bytecode(&self) -> Result<&Descriptor, Error> {
        let layer = self
            .layers
            .first()
            .ok_or_else(|| Error::malformed("the manifest", "it has no layer"))?;
        if !media_type::is_bytecode(&layer.media_type, self.is_artifact()) {
            return Err(foreign("the layer", &layer.media_type));
        }
        if layer.size > limits::LAYER_BYTES {
            return Err(Error::too_many_bytes("the layer", limits::LAYER_BYTES));
        }
        Ok(layer)
    }

    /// The configuration with labels; `None` for artifacts, which have annotations instead.
    ///
    /// # Errors
    ///
    /// It is too large.
    pub fn labelled_config(&self) -> Result<Option<&Descriptor>, Error> {
        if !media_type::is_config(&self.config.media_type) {
            return Ok(None);
        }
        if self.config.size > limits::CONFIG_BYTES {
            return Err(Error::too_many_bytes(
                "the image configuration",
                limits::CONFIG_BYTES,
            ));
        }
        Ok(Some(&self.config))
    }
}

/// A list of manifests.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// What it is; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Free text.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "or_default"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// The manifest for a machine.
    ///
    /// # Errors
    ///
    /// There is none, or it is too large or of a foreign type.
    pub fn choose(&self, machine: &Platform) -> Result<&Descriptor, Error> {
        let chosen = self.manifests.iter().find(|manifest| {
            manifest
                .platform
                .as_ref()
                .is_some_and(|platform| platform.fits(machine))
        });
        let Some(chosen) = chosen else {
            let found: Vec<String> = self
                .manifests
                .iter()
                .filter_map(|manifest| manifest.platform.as_ref())
                .map(Platform::to_string)
                .take(16)
                .collect();
            return Err(Error::NoPlatform {
                wanted: machine.to_string(),
                found: if found.is_empty() {
                    "none".to_owned()
                } else {
                    excerpt(&found.join(", "))
                },
            });
        };
        if media_type::shape(&chosen.media_type) != Some(Shape::Image) {
            return Err(foreign("the manifest for this machine", &chosen.media_type));
        }
        if chosen.size > limits::MANIFEST_BYTES {
            return Err(Error::too_many_bytes(
                "the manifest",
                limits::MANIFEST_BYTES,
            ));
        }
        Ok(chosen)
    }
}

/// What a reference leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Document {
    /// One image or artifact.
    Image(Box<Manifest>),
    /// One for each kind of machine.
    Index(Index),
}

impl Document {
    /// Parses what came under a media type. What the document says of itself must agree with it: bytes that are an
    /// index to one reader and an image to another have one digest, hence one signature.
    ///
    /// # Errors
    ///
    /// Too large, not JSON, of a foreign type, or beyond a bound.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() as u64 > limits::MANIFEST_BYTES {
            return Err(Error::too_many_bytes(
                "the manifest",
                limits::MANIFEST_BYTES,
            ));
        }
        let shape =
            media_type::shape(media_type).ok_or_else(|| foreign("the manifest", media_type))?;
        let sketch: Sketch = parse("the manifest", bytes)?;
        sketch.check(media_type, shape)?;
        match shape {
            Shape::Image => {
                let manifest: Manifest = parse("the manifest", bytes)?;
                check_count("layers of the image", manifest.layers.len(), limits::LAYERS)?;
                check_count(
                    "annotations of the manifest",
                    manifest.annotations.len(),
                    limits::LABELS,
                )?;
                Ok(Self::Image(Box::new(manifest)))
            }
            Shape::Index => {
                let index: Index = parse("the image index", bytes)?;
                check_count(
                    "manifests of the index",
                    index.manifests.len(),
                    limits::INDEX_MANIFESTS,
                )?;
                Ok(Self::Index(index))
            }
        }
    }
}

/// As much of a document as tells what it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sketch {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Sketch {
    fn check(&self, media_type: &str, shape: Shape) -> Result<(), Error> {
        if self.schema_version != 2 {
            return Err(Error::malformed(
                "the manifest",
                format!(
                    "schema version {} is not supported, only 2 is",
                    self.schema_version
                ),
            ));
        }
        if self
            .media_type
            .as_deref()
            .is_some_and(|own| own != media_type)
        {
            return Err(Error::malformed(
                "the manifest",
                "it says that it is of another media type than the registry says",
            ));
        }
        let (image, index) = (
            self.layers.is_some() || self.config.is_some(),
            self.manifests.is_some(),
        );
        if (image && index) || (shape == Shape::Image) == index {
            return Err(Error::malformed(
                "the manifest",
                "it is an image and an index at once, or not what its media type says",
            ));
        }
        Ok(())
    }
}

pub(crate) fn foreign(what: &'static str, media_type: &str) -> Error {
    Error::MediaType {
        what,
        media_type: excerpt(media_type),
    }
}

pub(crate) fn parse<'de, T: Deserialize<'de>>(
    what: &'static str,
    bytes: &'de [u8],
) -> Result<T, Error> {
    // The library would also take the fields of a document from an array, by their places.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::malformed(what, "it is no JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| Error::malformed(what, error))
}

pub(crate) fn check_count(what: &'static str, count: usize, limit: usize) -> Result<(), Error> {
    if count > limit {
        return Err(Error::TooLarge {
            what,
            limit: limit as u64,
            unit: "entries",
        });
    }
    Ok(())
}

/// `null` where a map may stand, as Go writes empty ones.
pub(crate) fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
