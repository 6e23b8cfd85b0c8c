#![allow(
    unsafe_code,
    reason = "close_range, the bounding set and a look at a descriptor by number have no safe wrapper"
)]

//! The system calls of the sandbox that no library wraps safely.

use std::io;
use std::os::fd::RawFd;

/// Closes every descriptor from `first` to `last`, both included.
///
/// Whoever calls this must own no descriptor in the range; `steps::descriptors` is the only caller, and its contract says so.
pub(crate) fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: no memory is passed. Nothing in this process owns a descriptor in the range: see above.
    result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Whether the descriptor is open.
pub(crate) fn is_open(descriptor: RawFd) -> bool {
    // SAFETY: F_GETFD takes any number and touches no memory.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) >= 0 }
}

/// Lets the descriptor end with this program.
pub(crate) fn set_close_on_exec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD takes any number and touches no memory.
    result(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) }.into()).map(drop)
}

/// Whether the capability is in the bounding set; `None` when the kernel does not know a capability of this number.
pub(crate) fn in_bounding_set(capability: u8) -> Option<bool> {
    // SAFETY: PR_CAPBSET_READ takes a number and touches no memory.
    match unsafe {
        libc::prctl(
            libc::PR_CAPBSET_READ,
            libc::c_ulong::from(capability),
            0,
            0,
            0,
        )
    } {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Takes the capability out of the bounding set, for ever.
pub(crate) fn drop_from_bounding_set(capability: u8) -> io::Result<()> {
    // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
    result(
        unsafe {
            libc::prctl(
                libc::PR_CAPBSET_DROP,
                libc::c_ulong::from(capability),
                0,
                0,
                0,
            )
        }
        .into(),
    )
    .map(drop)
}

fn result(value: libc::c_long) -> io::Result<libc::c_long> {
    if value < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value)
    }
}
