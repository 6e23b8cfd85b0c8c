//! Images with bytecode: what they are called, what they consist of, and how registries are asked for them.
//!
//! Formats are pure functions over bytes that anybody may have made ([`reference`], [`manifest`], [`config`], [`labels`],
//! [`layer`]); [`registry`] moves them. Every bound stands in [`limits`]. Linked by the image worker, which has no
//! capability, and by `bpfmanctl`, which has the user's rights; never by loader, spawner or supervisor.

pub mod build;
pub mod config;
pub mod digest;
pub mod error;
pub mod labels;
pub mod layer;
pub mod limits;
pub mod manifest;
pub mod media_type;
pub mod object;
pub mod reference;
pub mod registry;

pub use digest::Digest;
pub use error::{Error, Kind};
pub use reference::{Reference, Selector};
