//! Images out of object files, the same bytes from the same input.
//!
//! No container tool is involved: an image is a few JSON documents and an archive. Everything that could differ between two
//! runs is fixed (owners, modes, order, compression) or given ([`Recipe::created`]).

pub mod layout;

use crate::labels;
use crate::manifest::{Descriptor, Index, Manifest, Platform};
use crate::{Digest, Error, media_type};
use flate2::{Compression, GzBuilder};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;

/// Mode of the object file in its archive.
const MODE: u32 = 0o644;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Object files, at least one.
    pub inputs: Vec<Input>,
    /// Types of programs by name.
    pub programs: BTreeMap<String, String>,
    /// Types of maps by name.
    pub maps: BTreeMap<String, String>,
    /// Seconds since the epoch that stand wherever a time must be, and the same as text (RFC 3339).
    pub created: (u64, String),
    /// Whether the result is an index, for which platforms must differ; else there is one input.
    pub index: bool,
}

/// An object file for a machine.
#[derive(Clone, Debug)]
pub struct Input {
    /// The machine.
    pub platform: Platform,
    /// Name in the archive, without directories.
    pub name: String,
    /// The object file.
    pub object: Vec<u8>,
}

/// Some content with its type.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// What it is.
    pub media_type: String,
    /// SHA-256 of it.
    pub digest: Digest,
    /// It.
    pub bytes: Vec<u8>,
}

impl Content {
    /// Of these bytes.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(&bytes),
            bytes,
        }
    }

    /// What points to it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::of(&self.media_type, &self.bytes)
    }
}

/// An image with all its parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Configurations and layers.
    pub blobs: Vec<Content>,
    /// Manifests that `top` lists, if that is an index.
    pub manifests: Vec<Content>,
    /// Manifest or index.
    pub top: Content,
}

/// Builds an image.
///
/// # Errors
///
/// An archive or a document cannot be made: a name is too long.
pub fn build(recipe: &Recipe) -> Result<Image, Error> {
    let mut blobs: Vec<Content> = Vec::new();
    let mut manifests = Vec::new();
    let mut listed = Vec::new();
    for input in &recipe.inputs {
        let (layer, unpacked) = layer(input, recipe.created.0)?;
        let config = config(recipe, input, unpacked)?;
        let manifest = document(
            media_type::MANIFEST,
            &Manifest {
                schema_version: 2,
                media_type: Some(media_type::MANIFEST.to_owned()),
                artifact_type: None,
                config: config.descriptor(),
                layers: vec![layer.descriptor()],
                subject: None,
                annotations: BTreeMap::new(),
            },
        )?;
        listed.push(Descriptor {
            platform: Some(input.platform.clone()),
            ..manifest.descriptor()
        });
        for blob in [layer, config] {
            if !blobs.contains(&blob) {
                blobs.push(blob);
            }
        }
        manifests.push(manifest);
    }
    let top = match manifests.pop() {
        Some(only) if !recipe.index => only,
        last => {
            manifests.extend(last);
            document(
                media_type::INDEX,
                &Index {
                    schema_version: 2,
                    media_type: Some(media_type::INDEX.to_owned()),
                    manifests: listed,
                    annotations: BTreeMap::new(),
                },
            )?
        }
    };
    Ok(Image {
        blobs,
        manifests,
        top,
    })
}

/// The image that holds signatures of another (`cosign`'s layout): one layer per signature, annotations beside it.
///
/// # Errors
///
/// A document cannot be made.
pub fn signatures(layers: &[(Content, BTreeMap<String, String>)]) -> Result<Image, Error> {
    let unpacked: Vec<_> = layers.iter().map(|(layer, _)| layer.digest).collect();
    let config = document(
        media_type::CONFIG,
        &json!({
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": unpacked},
        }),
    )?;
    let described = layers.iter().map(|(layer, annotations)| Descriptor {
        annotations: annotations.clone(),
        ..layer.descriptor()
    });
    let top = document(
        media_type::MANIFEST,
        &Manifest {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config: config.descriptor(),
            layers: described.collect(),
            subject: None,
            annotations: BTreeMap::new(),
        },
    )?;
    let mut blobs: Vec<_> = layers.iter().map(|(layer, _)| layer.clone()).collect();
    blobs.push(config);
    Ok(Image {
        blobs,
        manifests: Vec::new(),
        top,
    })
}

/// The tag under which signatures of an image are kept.
pub fn signature_tag(image: &Digest) -> String {
    format!("sha256-{}.sig", image.hex())
}

/// A compressed archive with one file, and the digest of the archive.
fn layer(input: &Input, created: u64) -> Result<(Content, Digest), Error> {
    let archive = archive([(input.name.as_str(), input.object.as_slice())], created)
        .map_err(|error| Error::Layer(format!("cannot be made: {error}")))?;
    let digest = Digest::of(&archive);
    // Neither name nor time in the header; its last byte says that the system does not matter.
    let mut packer = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    let packed = packer
        .write_all(&archive)
        .and_then(|()| packer.finish())
        .map_err(|error| Error::Layer(format!("cannot be made: {error}")))?;
    Ok((Content::new(media_type::LAYER_GZIP, packed), digest))
}

/// An archive of files that belong to nobody.
fn archive<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    created: u64,
) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(MODE);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(created);
        archive.append_data(&mut header, name, bytes)?;
    }
    archive.into_inner()
}

fn config(recipe: &Recipe, input: &Input, unpacked: Digest) -> Result<Content, Error> {
    let platform = &input.platform;
    let mut config = json!({
        "created": recipe.created.1,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Labels": {
            labels::PROGRAMS: compact(&recipe.programs),
            labels::MAPS: compact(&recipe.maps),
        }},
        "rootfs": {"type": "layers", "diff_ids": [unpacked]},
    });
    if let Some(variant) = &platform.variant {
        config["variant"] = json!(variant);
    }
    document(media_type::CONFIG, &config)
}

/// A label's value: names in order, no space.
pub fn compact(table: &BTreeMap<String, String>) -> String {
    json!(table).to_string()
}

fn document(media_type: &str, value: &impl serde::Serialize) -> Result<Content, Error> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Error::Layer(format!("cannot be described: {error}")))?;
    Ok(Content::new(media_type, bytes))
}

#[cfg(test)]
mod tests;
