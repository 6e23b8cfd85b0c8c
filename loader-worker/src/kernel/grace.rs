//! Waiting for the kernel to forget.

use super::{Error, sys};
use std::os::fd::{AsFd, AsRawFd};

/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_ARRAY_OF_MAPS`.
const ARRAY_OF_MAPS: u32 = 12;

/// Waits for an RCU grace period: what was released before it and is only waiting for readers is gone after it.
///
/// The kernel waits for one when an inner map is replaced, so that its programs are known not to use the old one any more.
/// This asks for it without a system call that the sandbox would have to allow for nothing else (membarrier).
pub fn wait() -> Result<(), Error> {
    let map = |map_type| sys::map::Create {
        map_type,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        ..sys::map::Create::default()
    };
    let created = |errno| Error::new("BPF_MAP_CREATE", errno);
    let inner = sys::map::create(map(ARRAY), None, None).map_err(created)?;
    let outer = sys::map::create(map(ARRAY_OF_MAPS), Some(inner.as_fd()), None).map_err(created)?;
    sys::map::update(outer.as_fd(), &[0; 4], &inner.as_raw_fd().to_ne_bytes())
        .map_err(|errno| Error::new("BPF_MAP_UPDATE_ELEM", errno))
}
