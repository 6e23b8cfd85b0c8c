//! What the cache knows of an image.

use bincode::{Decode, Encode};
use ipc::codec;
use sha2::{Digest as _, Sha256};

/// An image in the cache, as it is written.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Record {
    /// The reference, short names expanded.
    pub reference: String,
    /// SHA-256 of what the reference led to: a manifest or an index.
    pub digest: [u8; 32],
    /// SHA-256 of the manifest for this machine.
    pub manifest: [u8; 32],
    /// Its media type.
    pub media_type: String,
    /// SHA-256 of the configuration; artifacts have none.
    pub config: Option<[u8; 32]>,
    /// SHA-256 of the layer with the object file.
    pub layer: [u8; 32],
    /// Bytes of all that.
    pub bytes: u64,
    /// Seconds since the Unix epoch.
    pub pulled_at: i64,
    /// Seconds since the Unix epoch of the last use.
    pub used_at: i64,
}

impl Record {
    /// Bytes of one, encoded: a reference and a media type within their bounds.
    pub(super) const BYTES: usize = 4096;
    /// First byte; another form gets another one, and records of the old form count as not there.
    const FORM: u8 = 1;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::FORM];
        // Fails beyond the limit only, and both texts were bounded when they were parsed.
        bytes.extend(codec::encode(self, Self::BYTES - 1).unwrap_or_default());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        (*form == Self::FORM)
            .then(|| codec::decode(rest).ok())
            .flatten()
    }

    /// Name of its file.
    pub(super) fn file(&self) -> String {
        let hash = Sha256::digest(self.reference.as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
