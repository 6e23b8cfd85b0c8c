//! The system calls themselves: the only files of this crate with `unsafe` in them.
//!
//! Each wrapper is safe: it builds the argument structure from slices and borrowed descriptors, so that every pointer in
//! it is valid and as long as it claims for the time of the call. The structures are hand-written prefixes of `union
//! bpf_attr` (the kernel takes the rest for zero), one for each command, without implicit padding.

pub(super) mod bpf;
pub(super) mod interfaces;
pub(super) mod link;
pub(super) mod map;
pub(super) mod namespaces;
pub(super) mod object;
pub(super) mod perf;
pub(super) mod program;
