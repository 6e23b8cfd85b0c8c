//! Signatures of images: who made them, and whether that is enough.
//!
//! Everything here is a pure function of bytes: no network, no clock beyond "is this log entry from the future", no state.
//! Whoever fetches signatures hands them over as [`Material`]; [`judge`](judge()) says whether one of them is good enough
//! for the [`Policy`]. Cryptography and log proofs are the `sigstore-verify` crate's, which checks the certificate's chain
//! at the time of the log entry, its timestamps (SCT), the entry's promise (SET) and Merkle proof, and that the entry is
//! about this very signature. What a signature says (which image, which repository) and who is trusted is decided here.

mod bundle;
mod cosign;
pub mod error;
pub mod judge;
pub mod key;
pub mod limits;
pub mod material;
mod pattern;
mod payload;
pub mod policy;
pub mod sign;
pub mod trust;

pub use error::{Flaw, PolicyError};
pub use judge::{Image, Refusal, Verdict, judge};
pub use material::Material;
pub use policy::Policy;
pub use trust::Trust;
