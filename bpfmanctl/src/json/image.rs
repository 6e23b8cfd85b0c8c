//! What container builds are given.

use crate::image::inputs::Inputs;
use crate::image::labels::Labels;
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
    pub(crate) fn new(inputs: &'a Inputs, labels: &'a Labels) -> Self {
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
