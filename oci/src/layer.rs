//! From a layer to the object file in it.
//!
//! A layer is what tools have made of it: an archive or the object file itself, compressed with gzip, with zstd or not at
//! all. What it is is seen from its first bytes; the media type decided before whether it is looked at. Nothing is written
//! anywhere and no path is followed, so that names in an archive are refused rather than cleaned: whoever puts `..` there
//! means no good. The whole layer is decompressed, to its checksum, before any of it is used.

use crate::{Error, limits};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::borrow::Cow;
use std::io::Read;
use tar::EntryType;

const ELF: &[u8] = b"\x7fELF";
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Where an archive says that it is one.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// The object file in a layer.
///
/// # Errors
///
/// The layer is damaged, beyond a bound, holds what it must not, or has no object file.
pub fn object(layer: &[u8]) -> Result<Vec<u8>, Error> {
    if layer.len() as u64 > limits::LAYER_BYTES {
        return Err(Error::too_many_bytes("the layer", limits::LAYER_BYTES));
    }
    let plain = decompress(layer)?;
    if plain.starts_with(ELF) {
        if plain.len() as u64 > limits::OBJECT_BYTES {
            return Err(Error::too_many_bytes(
                "the object file",
                limits::OBJECT_BYTES,
            ));
        }
        return Ok(plain.into_owned());
    }
    if plain.get(TAR_MAGIC) == Some(b"ustar") {
        return from_archive(&plain);
    }
    Err(unfit("is neither an archive nor an object file"))
}

fn unfit(cause: impl Into<String>) -> Error {
    Error::Layer(cause.into())
}

fn decompress(layer: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if layer.starts_with(GZIP) {
        let mut plain = Vec::new();
        append(&mut plain, MultiGzDecoder::new(layer))?;
        return Ok(Cow::Owned(plain));
    }
    if layer.starts_with(ZSTD) || is_skippable(layer) {
        return Ok(Cow::Owned(from_zstd(layer)?));
    }
    if layer.len() as u64 > limits::UNPACKED_BYTES {
        return Err(Error::too_many_bytes(
            "the unpacked layer",
            limits::UNPACKED_BYTES,
        ));
    }
    Ok(Cow::Borrowed(layer))
}

/// Reads to the end, and never more than the bound.
fn append(plain: &mut Vec<u8>, reader: impl Read) -> Result<(), Error> {
    let room = limits::UNPACKED_BYTES + 1 - plain.len() as u64;
    reader
        .take(room)
        .read_to_end(plain)
        .map_err(|error| unfit(format!("is damaged: {error}")))?;
    if plain.len() as u64 > limits::UNPACKED_BYTES {
        return Err(Error::too_many_bytes(
            "the unpacked layer",
            limits::UNPACKED_BYTES,
        ));
    }
    Ok(())
}

/// A zstd frame without content (RFC 8878, 3.1.2). Some tools put an index in one.
fn is_skippable(bytes: &[u8]) -> bool {
    matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// All frames of a zstd stream. The decoder itself refuses a window of more than 100 MiB.
fn from_zstd(layer: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    let mut rest = layer;
    for _ in 0..limits::ZSTD_FRAMES {
        if rest.is_empty() {
            return Ok(plain);
        }
        let mut source = rest;
        match StreamingDecoder::new(&mut source) {
            Ok(mut decoder) => {
                append(&mut plain, &mut decoder)?;
                let decoder = decoder.into_frame_decoder();
                if decoder.get_checksum_from_data().is_some()
                    && decoder.get_checksum_from_data() != decoder.get_calculated_checksum()
                {
                    return Err(unfit("is damaged: its checksum is wrong"));
                }
                rest = source;
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                rest = source
                    .get(length as usize..)
                    .ok_or_else(|| unfit("is damaged: it ends within a frame"))?;
            }
            Err(error) => return Err(unfit(format!("is damaged: {error}"))),
        }
    }
    if rest.is_empty() {
        return Ok(plain);
    }
    Err(Error::TooLarge {
        what: "the layer",
        limit: limits::ZSTD_FRAMES as u64,
        unit: "zstd frames",
    })
}

/// The first object file whose name says so, else the first one: builders differ in what they call it.
fn from_archive(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let damaged = |error: std::io::Error| unfit(format!("is a damaged archive: {error}"));
    let mut archive = tar::Archive::new(bytes);
    let mut unnamed = None;
    let mut named = None;
    for (index, entry) in archive.entries().map_err(damaged)?.enumerate() {
        if index >= limits::ENTRIES {
            return Err(Error::TooLarge {
                what: "the layer",
                limit: limits::ENTRIES as u64,
                unit: "entries",
            });
        }
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path_bytes().into_owned();
        check_path(&path)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {}
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            other => {
                return Err(unfit(format!(
                    "has an entry that is no file or directory but {}: {}",
                    name_of(other),
                    shown(&path)
                )));
            }
        }
        let size = entry.size();
        let mut start = [0; 4];
        let is_elf = size >= 4 && {
            entry.read_exact(&mut start).map_err(damaged)?;
            start == *ELF
        };
        if !is_elf || named.is_some() {
            // What follows is read in any case, so that an archive that ends early is seen to.
            let rest = std::io::copy(&mut entry, &mut std::io::sink()).map_err(damaged)?;
            if size >= 4 && rest + 4 != size {
                return Err(unfit("is a damaged archive: it ends within a file"));
            }
            continue;
        }
        if size > limits::OBJECT_BYTES {
            return Err(Error::too_many_bytes(
                "the object file",
                limits::OBJECT_BYTES,
            ));
        }
        let mut object = Vec::with_capacity((size as usize).min(bytes.len()));
        object.extend(start);
        entry.read_to_end(&mut object).map_err(damaged)?;
        if object.len() as u64 != size {
            return Err(unfit("is a damaged archive: it ends within a file"));
        }
        if path.ends_with(b".o") {
            named = Some(object);
        } else {
            unnamed.get_or_insert(object);
        }
    }
    named
        .or(unnamed)
        .ok_or_else(|| unfit("has no object file (ELF) in its archive"))
}

fn check_path(path: &[u8]) -> Result<(), Error> {
    let refused = |cause: &str| {
        Err(unfit(format!(
            "has an entry whose path {cause}: {}",
            shown(path)
        )))
    };
    if path.len() > limits::ENTRY_PATH_BYTES {
        return refused("is too long");
    }
    if path.starts_with(b"/") {
        return refused("is absolute");
    }
    if path.contains(&0) {
        return refused("has a NUL byte");
    }
    if path.split(|byte| *byte == b'/').any(|part| part == b"..") {
        return refused("leads out of the archive");
    }
    Ok(())
}

fn shown(path: &[u8]) -> String {
    crate::error::excerpt(&String::from_utf8_lossy(path))
}

fn name_of(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Link => "a hard link",
        EntryType::Symlink => "a symbolic link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "something unknown",
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
