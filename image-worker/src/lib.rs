//! The image worker: turns object files into load plans, and finds functions in binaries. It has no capability.

pub mod compile;
pub mod limits;
