//! bpf(2).
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use rustix::io::Errno;
use std::ffi::{c_int, c_long};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `enum bpf_cmd`: the commands that the loader and its helpers use, and no others.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Command {
    MapCreate = 0,
    MapLookupElem = 1,
    MapUpdateElem = 2,
    ProgLoad = 5,
    ObjPin = 6,
    ObjGet = 7,
    ProgGetFdById = 13,
    MapGetFdById = 14,
    ObjGetInfoByFd = 15,
    ProgQuery = 16,
    RawTracepointOpen = 17,
    BtfLoad = 18,
    MapFreeze = 22,
    LinkCreate = 28,
    LinkUpdate = 29,
    LinkDetach = 34,
}

/// Calls bpf(2).
///
/// # Safety
/// `A` is a `#[repr(C)]` prefix of the command's part of `union bpf_attr` without padding bytes, and each address in it is
/// zero or points to as many bytes as the command will read or write.
pub(super) unsafe fn call<A>(command: Command, attributes: &mut A) -> Result<c_long, Errno> {
    // SAFETY: `attributes` is an exclusive reference to `size_of::<A>()` initialised bytes; the caller vouches for the
    // addresses inside.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as c_int,
            std::ptr::from_mut(attributes),
            size_of::<A>(),
        )
    };
    if answer < 0 {
        Err(last_errno())
    } else {
        Ok(answer)
    }
}

/// Calls bpf(2) with a command whose answer is a new descriptor.
///
/// # Safety
/// As [`call`]; and the command returns a descriptor.
pub(super) unsafe fn open<A>(command: Command, attributes: &mut A) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller vouches for it.
    let answer = unsafe { call(command, attributes) }?;
    // SAFETY: the caller vouches that the command returns a descriptor; the kernel has just made it, for nobody else.
    Ok(unsafe { owned(answer) })
}

/// Takes over a descriptor that a system call has returned.
///
/// # Safety
/// `answer` is an open descriptor without owner.
pub(super) unsafe fn owned(answer: c_long) -> OwnedFd {
    // The kernel numbers descriptors by `int`, so nothing is cut off.
    let descriptor = answer as RawFd;
    // SAFETY: the caller vouches for it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// The error number of the call that has just failed on this thread.
pub(super) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// A descriptor as `union bpf_attr` has it.
pub(super) fn number(descriptor: BorrowedFd<'_>) -> u32 {
    use std::os::fd::AsRawFd;
    // A borrowed descriptor is never negative.
    descriptor.as_raw_fd() as u32
}

/// The address of a slice as `union bpf_attr` has it; 0 for an empty one.
pub(super) fn address<T>(slice: &[T]) -> u64 {
    if slice.is_empty() {
        0
    } else {
        slice.as_ptr().expose_provenance() as u64
    }
}

/// As [`address`], for what the kernel writes to.
pub(super) fn address_mut<T>(slice: &mut [T]) -> u64 {
    if slice.is_empty() {
        0
    } else {
        slice.as_mut_ptr().expose_provenance() as u64
    }
}
