//! Arbitrary bytes as what registries send: what the fuzz target calls, kept here so that every build compiles it and a test
//! runs it.

use oci::config::Config;
use oci::labels::{Labels, MAPS, PROGRAMS};
use oci::manifest::{Document, Platform};
use oci::registry::Challenge;
use oci::{Digest, Reference, layer, limits, media_type};

/// Reads the bytes as what their first one says: reference, manifest, index, configuration, label, layer, challenge.
///
/// # Panics
///
/// When something is accepted that must not be, or is not what it was when written and read again.
pub fn read(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let text = str::from_utf8(rest).unwrap_or_default();
    match first % 7 {
        0 => reference(text),
        1 => document(media_type::MANIFEST, rest),
        2 => document(media_type::INDEX, rest),
        3 => {
            if let Ok(config) = Config::parse(rest) {
                let _ = config.check_machine(&Platform::host());
                let _ = Labels::parse(&config.labels);
            }
        }
        4 => {
            let labels = [PROGRAMS, MAPS].map(|key| (key.to_owned(), text.to_owned()));
            if let Ok(labels) = Labels::parse(&labels.into()) {
                assert!(labels.programs.len() <= limits::LABEL_ENTRIES);
                for program in labels.programs.keys() {
                    let _ = labels.contradicts(program, "xdp");
                }
            }
        }
        5 => {
            if let Ok(object) = layer::object(rest) {
                assert!(object.starts_with(b"\x7fELF"));
                assert!(object.len() as u64 <= limits::OBJECT_BYTES);
            }
        }
        _ => {
            let _ = Challenge::parse(text);
        }
    }
}

fn reference(text: &str) {
    let _ = text.parse::<Digest>();
    if let Ok(reference) = text.parse::<Reference>() {
        let written = reference.to_string();
        let again = written.parse::<Reference>().map(|again| again.to_string());
        assert_eq!(again.as_ref(), Ok(&written));
        // It becomes a part of a path.
        assert!(
            !written.contains(char::is_whitespace) && !written.split('/').any(|part| part == "..")
        );
    }
}

fn document(media_type: &str, bytes: &[u8]) {
    match Document::parse(media_type, bytes) {
        Ok(Document::Image(manifest)) => {
            assert!(manifest.layers.len() <= limits::LAYERS);
            let _ = (manifest.bytecode(), manifest.labelled_config());
        }
        Ok(Document::Index(index)) => {
            assert!(index.manifests.len() <= limits::INDEX_MANIFESTS);
            let _ = index.choose(&Platform::host());
        }
        Err(_) => {}
    }
}
