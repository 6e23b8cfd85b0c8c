//! bincode, called from here alone.
//!
//! The legacy configuration (fixed-width little-endian integers) is used because a maintained crate can take it over
//! byte for byte. Every value is bounded twice: by its encoded length, and by what its containers claim to hold.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the one place that calls bincode"
)]

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::enc::EncoderImpl;
use bincode::enc::write::SizeWriter;
use bincode::{Decode, Encode};

/// What a container may claim while decoding, whatever the frame's own bound: the largest plan.
const CLAIM_BYTES: usize = crate::limits::PLAN_BYTES;

const fn configuration() -> Configuration<LittleEndian, Fixint, Limit<CLAIM_BYTES>> {
    bincode::config::legacy().with_limit::<CLAIM_BYTES>()
}

/// A value that cannot cross the boundary.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value cannot be encoded.
    #[error("cannot encode: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    /// The bytes are not an encoded value of the type.
    #[error("cannot decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// The encoded value is longer than allowed.
    #[error("{length} bytes encoded, {limit} allowed")]
    TooLong {
        /// Bytes.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The value ends before the bytes do.
    #[error("{0} bytes after the end of the value")]
    Trailing(usize),
}

/// Encodes a value into at most `limit` bytes.
///
/// # Errors
///
/// [`CodecError::TooLong`] past the limit.
pub fn encode<T: Encode>(value: &T, limit: usize) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::encode_to_vec(value, configuration())?;
    if bytes.len() > limit {
        return Err(CodecError::TooLong {
            length: bytes.len(),
            limit,
        });
    }
    Ok(bytes)
}

/// Bytes that a value takes when encoded.
///
/// # Errors
///
/// [`CodecError::Encode`] when it cannot be.
pub fn size<T: Encode + ?Sized>(value: &T) -> Result<usize, CodecError> {
    let mut counter = EncoderImpl::new(SizeWriter::default(), configuration());
    value.encode(&mut counter)?;
    Ok(counter.into_writer().bytes_written)
}

/// Decodes a value that fills the bytes exactly.
///
/// # Errors
///
/// [`CodecError::Trailing`] when bytes remain, [`CodecError::Decode`] when the bytes are not such a value or a
/// container claims more than any bound allows.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::decode_from_slice(bytes, configuration())?;
    match bytes.len() - used {
        0 => Ok(value),
        trailing => Err(CodecError::Trailing(trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_encoded_value() {
        let value = (vec![String::from("abc")], Some(7_u64), 3_u8);
        let bytes = encode(&value, 100).unwrap();
        assert_eq!(size(&value).unwrap(), bytes.len());
    }

    #[test]
    fn trailing_bytes_are_an_error() {
        let mut bytes = encode(&7_u32, 16).unwrap();
        bytes.push(0);
        assert!(matches!(
            decode::<u32>(&bytes),
            Err(CodecError::Trailing(1))
        ));
    }

    #[test]
    fn one_byte_past_the_limit_is_an_error() {
        let value = vec![0_u8; 8];
        assert_eq!(encode(&value, 16).unwrap().len(), 16);
        assert!(matches!(
            encode(&value, 15),
            Err(CodecError::TooLong {
                length: 16,
                limit: 15
            })
        ));
    }

    #[test]
    fn a_claimed_length_beyond_every_bound_is_refused_before_allocation() {
        let bytes = u64::MAX.to_le_bytes();
        assert!(matches!(
            decode::<Vec<u8>>(&bytes),
            Err(CodecError::Decode(_))
        ));
        let bytes = (CLAIM_BYTES as u64 + 1).to_le_bytes();
        assert!(matches!(
            decode::<Vec<u8>>(&bytes),
            Err(CodecError::Decode(_))
        ));
    }
}
