//! BTF blobs.

use super::limits::LOG_BYTES_FIRST;
use super::{Error, program, sys};
use std::os::fd::OwnedFd;

/// Loads a BTF blob. A rejected one comes back with what the kernel says about it.
pub fn load(blob: &[u8]) -> Result<OwnedFd, Error> {
    let refused = match sys::program::btf_load(blob, &mut []) {
        Ok(btf) => return Ok(btf),
        Err(errno) => errno,
    };
    let mut log = vec![0; LOG_BYTES_FIRST];
    let verifier_log = match sys::program::btf_load(blob, &mut log) {
        Ok(btf) => return Ok(btf),
        Err(_) => program::log_text(&log),
    };
    Err(Error {
        call: "BPF_BTF_LOAD",
        errno: refused,
        verifier_log,
    })
}
