//! Images that were pulled, by content.
//!
//! ```text
//! CACHE/content/SHA256   manifests, configurations, layers: what the name says, checked whenever it is read
//! CACHE/images/SHA256    a record for each reference (the name is the reference's hash): which content, when, how large
//! CACHE/evidence/SHA256  signatures, by the digest of what they are about
//! CACHE/new/             files that are being written
//! ```
//!
//! A file is written whole, flushed, and renamed; a record comes after what it points to. So whatever a crash leaves is
//! either complete or not pointed to, and the next start removes the latter. Records and evidence carry their own
//! checksum. What turns out to be damaged is removed, and so counts as not there.

mod files;
mod record;

#[cfg(test)]
mod tests;

pub use record::Record;

use crate::limits::EVIDENCE_BYTES;
use files::Folder;
use ipc::limits::CACHED_IMAGES;
use oci::{Digest, limits as bounds};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use tracing::{info, warn};

/// The cache.
#[derive(Debug)]
pub struct Cache {
    content: Folder,
    images: Folder,
    evidence: Folder,
    /// By reference.
    records: BTreeMap<String, Record>,
    /// Bytes that it may take.
    quota: u64,
}

/// An image as it is put into the cache.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// What is known of it; `bytes` is counted here.
    pub record: Record,
    /// Its content.
    pub content: Vec<(Digest, &'a [u8])>,
    /// Its signatures, encoded.
    pub evidence: &'a [u8],
}

/// An image as it comes out.
#[derive(Debug)]
pub struct Contents {
    /// The manifest for this machine.
    pub manifest: Vec<u8>,
    /// The configuration; artifacts have none.
    pub config: Option<Vec<u8>>,
    /// The layer with the object file.
    pub layer: Vec<u8>,
    /// Its signatures, encoded.
    pub evidence: Vec<u8>,
}

impl Cache {
    /// Opens the cache, and removes what a crash left or nobody knows.
    ///
    /// # Errors
    ///
    /// The directory cannot be used.
    pub fn open(root: &Path, quota: u64) -> io::Result<Self> {
        let folder = |name: &str| Folder::open(root, name);
        let mut cache = Self {
            content: folder("content")?,
            images: folder("images")?,
            evidence: folder("evidence")?,
            records: BTreeMap::new(),
            quota,
        };
        for name in cache.images.names()? {
            let record = cache
                .images
                .read_checked(&name, Record::BYTES)
                .and_then(|bytes| Record::decode(&bytes))
                .filter(|record| record.file() == name);
            match record {
                Some(record) => {
                    cache.records.insert(record.reference.clone(), record);
                }
                None => cache.images.remove(&name),
            }
        }
        cache.sweep()?;
        cache.evict(None)?;
        Ok(cache)
    }

    /// What is known of a reference.
    pub fn find(&self, reference: &str) -> Option<&Record> {
        self.records.get(reference)
    }

    /// All of it, by reference.
    pub fn list(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The signatures of an image, as they were put in.
    pub fn evidence(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.evidence.read_checked(&digest.hex(), EVIDENCE_BYTES)
    }

    /// Reads an image. One that is damaged is forgotten.
    pub fn read(&mut self, reference: &str, now: i64) -> Option<Contents> {
        let record = self.records.get(reference)?.clone();
        let contents = self.contents(&record);
        if contents.is_none() {
            warn!(reference, "damaged in the cache, forgotten");
            self.forget(reference);
            return None;
        }
        if let Some(record) = self.records.get_mut(reference) {
            // In memory only: a use is no reason to write. After a restart the time of the pull counts.
            record.used_at = now;
        }
        contents
    }

    fn contents(&self, record: &Record) -> Option<Contents> {
        let read = |digest: &[u8; 32], limit: u64| {
            let digest = Digest::from_bytes(*digest);
            let bytes = self.content.read(&digest.hex(), limit as usize)?;
            if Digest::of(&bytes) != digest {
                self.content.remove(&digest.hex());
                return None;
            }
            Some(bytes)
        };
        Some(Contents {
            manifest: read(&record.manifest, bounds::MANIFEST_BYTES)?,
            config: match &record.config {
                Some(config) => Some(read(config, bounds::CONFIG_BYTES)?),
                None => None,
            },
            layer: read(&record.layer, bounds::LAYER_BYTES)?,
            evidence: self.evidence(&Digest::from_bytes(record.digest))?,
        })
    }

    /// Puts an image in, in place of what its reference led to before, and makes room for it.
    ///
    /// # Errors
    ///
    /// It cannot be written; then the reference leads to what it led to before.
    pub fn store(&mut self, parcel: Parcel<'_>) -> io::Result<()> {
        let Parcel {
            mut record,
            content,
            evidence,
        } = parcel;
        let bytes = content.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + evidence.len();
        record.bytes = bytes as u64;
        let written = content
            .iter()
            .try_for_each(|(digest, bytes)| self.content.write(&digest.hex(), bytes))
            .and_then(|()| {
                let digest = Digest::from_bytes(record.digest);
                self.evidence.write_checked(&digest.hex(), evidence)
            })
            .and_then(|()| self.images.write_checked(&record.file(), &record.encode()));
        if let Err(error) = written {
            // Content without a record is not pointed to.
            self.sweep()?;
            return Err(error);
        }
        let reference = record.reference.clone();
        let before = self.records.insert(reference.clone(), record);
        self.evict(Some(&reference))?;
        if before.is_some() {
            self.sweep()?;
        }
        Ok(())
    }

    /// Removes all images but those with these manifests; tells how many, and how many bytes that gave back.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn prune(&mut self, keep: &[[u8; 32]]) -> io::Result<(u32, u64)> {
        let before = self.content.bytes()? + self.evidence.bytes()?;
        let gone: Vec<String> = self
            .records
            .values()
            .filter(|record| !keep.contains(&record.manifest))
            .map(|record| record.reference.clone())
            .collect();
        for reference in &gone {
            self.forget(reference);
        }
        self.sweep()?;
        let after = self.content.bytes()? + self.evidence.bytes()?;
        let count = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        Ok((count, before.saturating_sub(after)))
    }

    fn forget(&mut self, reference: &str) {
        if let Some(record) = self.records.remove(reference) {
            self.images.remove(&record.file());
        }
    }

    /// Removes the least recently used images until the rest fits; `newest` stays in any case.
    fn evict(&mut self, newest: Option<&str>) -> io::Result<()> {
        loop {
            let bytes = self.content.bytes()? + self.evidence.bytes()?;
            if bytes <= self.quota && self.records.len() <= CACHED_IMAGES {
                return Ok(());
            }
            let oldest = self
                .records
                .values()
                .filter(|record| Some(record.reference.as_str()) != newest)
                .min_by_key(|record| (record.used_at, &record.reference))
                .map(|record| record.reference.clone());
            let Some(oldest) = oldest else {
                return Ok(());
            };
            info!(reference = oldest, "removed from the cache to make room");
            self.forget(&oldest);
            self.sweep()?;
        }
    }

    /// Removes what no record points to.
    fn sweep(&self) -> io::Result<()> {
        let mut content = BTreeSet::new();
        let mut evidence = BTreeSet::new();
        for record in self.records.values() {
            let parts = [Some(record.manifest), Some(record.layer), record.config];
            content.extend(
                parts
                    .into_iter()
                    .flatten()
                    .map(|digest| Digest::from_bytes(digest).hex()),
            );
            evidence.insert(Digest::from_bytes(record.digest).hex());
        }
        for (folder, known) in [(&self.content, content), (&self.evidence, evidence)] {
            for name in folder.names()? {
                if !known.contains(&name) {
                    folder.remove(&name);
                }
            }
        }
        Ok(())
    }
}
