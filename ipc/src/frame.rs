//! The frame header: fixed size, little endian, checked before anything else is read.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | magic `bpfm` |
//! | 4 | 2 | protocol version |
//! | 6 | 2 | kind: index of the variant in the direction's enum |
//! | 8 | 8 | request id: an answer repeats that of its request; 0 for messages without answer |
//! | 16 | 4 | generation of the sender |
//! | 20 | 4 | bytes of the body |
//! | 24 | 1 | descriptors beside the frame |
//! | 25 | 7 | zero |

use crate::build::PROTOCOL_VERSION;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// First four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"bpfm";

/// A decoded header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Protocol version of the sender.
    pub version: u16,
    /// Index of the variant.
    pub kind: u16,
    /// Joins request and answer.
    pub request_id: u64,
    /// Incarnation of the sender.
    pub generation: u32,
    /// Bytes of the body.
    pub length: u32,
    /// Descriptors beside the frame.
    pub descriptors: u8,
}

/// Not a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// The first bytes are something else.
    #[error("not a bpfman frame (magic {0:02x?})")]
    Magic([u8; 4]),
    /// Reserved bytes are in use.
    #[error("reserved bytes of the frame header are not zero")]
    Reserved,
}

impl Header {
    /// A header of this build for a body that is still to be counted.
    pub fn new(kind: u16, request_id: u64, generation: u32) -> Self {
        Self {
            version: PROTOCOL_VERSION,
            kind,
            request_id,
            generation,
            length: 0,
            descriptors: 0,
        }
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&self.version.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.request_id.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.generation.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24] = self.descriptors;
        bytes
    }

    /// Reads a header. The version is left to the caller, which knows whom it talks to.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] when the bytes are no header of any version.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let field =
            |at: usize| -> [u8; 4] { [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]] };
        let magic = field(0);
        if magic != MAGIC {
            return Err(HeaderError::Magic(magic));
        }
        if bytes[25..].iter().any(|byte| *byte != 0) {
            return Err(HeaderError::Reserved);
        }
        let low = u32::from_le_bytes(field(8));
        let high = u32::from_le_bytes(field(12));
        Ok(Self {
            version: u16::from_le_bytes([bytes[4], bytes[5]]),
            kind: u16::from_le_bytes([bytes[6], bytes[7]]),
            request_id: u64::from(high) << 32 | u64::from(low),
            generation: u32::from_le_bytes(field(16)),
            length: u32::from_le_bytes(field(20)),
            descriptors: bytes[24],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_header_survives_the_wire(
            version: u16, kind: u16, request_id: u64, generation: u32, length: u32, descriptors: u8,
        ) {
            let header = Header { version, kind, request_id, generation, length, descriptors };
            prop_assert_eq!(Header::decode(&header.encode()), Ok(header));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: [u8; HEADER_BYTES]) {
            let _ = Header::decode(&bytes);
        }
    }

    #[test]
    fn a_foreign_protocol_is_named() {
        let mut bytes = Header::new(0, 0, 0).encode();
        bytes[..4].copy_from_slice(b"GET ");
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Magic(*b"GET ")));
    }

    #[test]
    fn reserved_bytes_must_be_zero() {
        let mut bytes = Header::new(0, 0, 0).encode();
        bytes[31] = 1;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Reserved));
    }
}
