//! Bounds, each with its reason.

/// Most bytes of the file that are read: it is kept in memory, as root, before anything else is done.
pub const FILE_BYTES: u64 = 1024 * 1024;

/// Most bytes of a file with certificate authorities; that of a distribution has 200 KiB.
pub const AUTHORITIES_BYTES: u64 = 1024 * 1024;
