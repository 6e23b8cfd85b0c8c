//! Every bound of this crate, with its reason.

/// Bytes of one argument: a key and a path (`PATH_MAX`).
pub const ARGUMENT_BYTES: usize = 4096 + 16;

/// Supplementary groups of a worker. The service gives out one; an administrator may add a few.
pub const GROUPS: usize = 32;

/// Further paths that a worker may read. Resolver files and trust roots are fewer.
pub const EXTRA_PATHS: usize = 16;

/// Bytes of a log specification.
pub const LOG_SPEC_BYTES: usize = 512;

/// Bytes of one seccomp policy file. The longest one is a fifth of it.
pub const POLICY_BYTES: usize = 64 * 1024;

/// Bytes of `/proc/self/status`, which is under 2 KiB; group lists can lengthen it.
pub const STATUS_BYTES: usize = 64 * 1024;
