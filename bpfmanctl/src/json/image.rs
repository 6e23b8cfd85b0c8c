//! What container builds are given, and what images in registries consist of.

use crate::image::inputs::Inputs;
use crate::image::labels::Labels as Found;
use oci::Reference;
use oci::labels::Labels;
use oci::manifest::Descriptor;
use oci::registry::Fetched;
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of a container build.
#[derive(Serialize)]
pub(crate) struct BuildArgs<'a> {
    platforms: Vec<String>,
    build_args: BTreeMap<&'static str, &'a str>,
    programs: &'a BTreeMap<String, String>,
    maps: &'a BTreeMap<String, String>,
}

impl<'a> BuildArgs<'a> {
    pub(crate) fn new(inputs: &'a Inputs, labels: &'a Found) -> Self {
        let files = inputs.files.iter();
        Self {
            platforms: match inputs.by_platform {
                true => files.clone().map(|file| file.machine.platform()).collect(),
                false => Vec::new(),
            },
            build_args: files
                .map(|file| (argument(inputs, file), file.path.as_str()))
                .collect(),
            programs: &labels.programs,
            maps: &labels.maps,
        }
    }
}

/// The argument that names a file.
pub(crate) fn argument(inputs: &Inputs, file: &crate::image::inputs::Bytecode) -> &'static str {
    match inputs.by_platform {
        true => file.machine.argument,
        false => "BYTECODE_FILE",
    }
}

/// What `image inspect` prints.
#[derive(Serialize)]
pub(crate) struct Inspection {
    reference: String,
    digest: String,
    media_type: String,
    #[serde(flatten)]
    pub(crate) part: Part,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    manifests: Vec<Listed>,
}

/// What is in one image.
#[derive(Default, Serialize)]
pub(crate) struct Part {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    programs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    maps: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Layer>,
}

#[derive(Serialize)]
struct Layer {
    digest: String,
    media_type: String,
    size: u64,
}

/// An image of an index.
#[derive(Serialize)]
struct Listed {
    digest: String,
    media_type: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(flatten)]
    part: Part,
}

impl Inspection {
    pub(crate) fn new(reference: &Reference, fetched: &Fetched) -> Self {
        Self {
            reference: reference.to_string(),
            digest: fetched.digest.to_string(),
            media_type: fetched.media_type.clone(),
            part: Part::default(),
            manifests: Vec::new(),
        }
    }

    pub(crate) fn list(&mut self, descriptor: &Descriptor, part: Part) {
        self.manifests.push(Listed {
            digest: descriptor.digest.to_string(),
            media_type: descriptor.media_type.clone(),
            size: descriptor.size,
            platform: descriptor.platform.as_ref().map(ToString::to_string),
            part,
        });
    }
}

impl Part {
    pub(crate) fn new(labels: Labels, layers: &[Descriptor]) -> Self {
        Self {
            programs: labels.programs,
            maps: labels.maps,
            layers: layers
                .iter()
                .map(|layer| Layer {
                    digest: layer.digest.to_string(),
                    media_type: layer.media_type.clone(),
                    size: layer.size,
                })
                .collect(),
        }
    }
}
