//! Objects by their kernel ids. Needs CAP_SYS_ADMIN, so it is for a one-shot helper alone.

use super::{Error, sys};
use std::os::fd::OwnedFd;

/// The program with this id; `ENOENT` if there is none.
pub fn program(id: u32) -> Result<OwnedFd, Error> {
    sys::object::program_by_id(id).map_err(|errno| Error::new("BPF_PROG_GET_FD_BY_ID", errno))
}

/// The map with this id, open for reading.
pub fn map(id: u32) -> Result<OwnedFd, Error> {
    sys::object::map_by_id(id, sys::object::READ_ONLY)
        .map_err(|errno| Error::new("BPF_MAP_GET_FD_BY_ID", errno))
}
