//! Arbitrary bytes as what registries send: what the fuzz target calls, kept here so that every build compiles it and a test
//! runs it.

use oci::config::Config;
use oci::labels::{Labels, MAPS, PROGRAMS};
use oci::manifest::{Document, Platform};
use oci::registry::Challenge;
use oci::{Digest, Reference, layer, limits, media_type};

/// Reads the bytes as what their first one says: reference, manifest, index, configuration, label, layer, challenge.
/// Whether they are one.
///
/// # Panics
///
/// When something is accepted that must not be, or is not what it was when written and read again.
pub fn read(bytes: &[u8]) -> bool {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let text = str::from_utf8(rest).unwrap_or_default();
    match first % 7 {
        0 => reference(text),
        1 => document(media_type::MANIFEST, rest),
        2 => document(media_type::INDEX, rest),
        3 => Config::parse(rest).is_ok_and(|config| {
            let _ = config.check_machine(&Platform::host());
            Labels::parse(&config.labels).is_ok()
        }),
        4 => {
            let labels = [PROGRAMS, MAPS].map(|key| (key.to_owned(), text.to_owned()));
            Labels::parse(&labels.into()).is_ok_and(|labels| {
                assert!(labels.programs.len() <= limits::LABEL_ENTRIES);
                for program in labels.programs.keys() {
                    let _ = labels.contradicts(program, "xdp");
                }
                true
            })
        }
        5 => layer::object(rest).is_ok_and(|object| {
            assert!(object.starts_with(b"\x7fELF"));
            assert!(object.len() as u64 <= limits::OBJECT_BYTES);
            true
        }),
        _ => Challenge::parse(text).is_ok(),
    }
}

fn reference(text: &str) -> bool {
    let _ = text.parse::<Digest>();
    text.parse::<Reference>().is_ok_and(|reference| {
        let written = reference.to_string();
        let again = written.parse::<Reference>().map(|again| again.to_string());
        assert_eq!(again.as_ref(), Ok(&written));
        // It becomes a part of a path.
        assert!(
            !written.contains(char::is_whitespace) && !written.split('/').any(|part| part == "..")
        );
        true
    })
}

fn document(media_type: &str, bytes: &[u8]) -> bool {
    match Document::parse(media_type, bytes) {
        Ok(Document::Image(manifest)) => {
            assert!(manifest.layers.len() <= limits::LAYERS);
            manifest.bytecode().is_ok() && manifest.labelled_config().is_ok()
        }
        Ok(Document::Index(index)) => {
            assert!(index.manifests.len() <= limits::INDEX_MANIFESTS);
            let _ = index.choose(&Platform::host());
            true
        }
        Err(_) => false,
    }
}
