//! Witnesses of interfaces: whether an interface still exists, whichever network namespace it is in, without going there and
//! without keeping it or its namespace in existence.
//!
//! A witness is a map for redirecting packets (`BPF_MAP_TYPE_DEVMAP`) with one entry, which no program uses. Whoever writes
//! the entry does so from inside the namespace, where the kernel looks the index up; from then on the entry means that very
//! device. The kernel clears it when the device is taken out of its namespace: deleted, moved elsewhere, or ended with the
//! namespace (`dev_map_notification` in `kernel/bpf/devmap.c`). What is on clsact ends at the same moment.

use super::{Error, map, pin};
use ipc::plan::MapPlan;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a witness says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Testimony {
    /// The interface is where it was.
    Alive,
    /// It is not.
    Gone,
    /// There is no witness: it was removed, or bpffs is a new one.
    Nobody,
}

/// A witness of nothing yet. Takes CAP_BPF and CAP_NET_ADMIN.
pub fn create() -> Result<OwnedFd, Error> {
    const DEVMAP: u32 = 14;
    let plan = MapPlan::plain("witness", DEVMAP, (4, 4), 1);
    map::create(&plan, None, None, "bpfman_witness")
}

/// Notes an interface of the calling thread's network namespace.
pub fn note(witness: BorrowedFd<'_>, ifindex: u32) -> Result<(), Error> {
    map::update(witness, &0_u32.to_ne_bytes(), &ifindex.to_ne_bytes())
}

/// Asks the witness behind a pin.
pub fn ask(path: &Path) -> Result<Testimony, Error> {
    let witness = match pin::get(path) {
        Ok(witness) => witness,
        Err(error) if error.is_not_found() => return Ok(Testimony::Nobody),
        Err(error) => return Err(error),
    };
    match map::lookup(witness.as_fd(), &0_u32.to_ne_bytes()) {
        Ok(_) => Ok(Testimony::Alive),
        Err(error) if error.is_not_found() => Ok(Testimony::Gone),
        Err(error) => Err(error),
    }
}
