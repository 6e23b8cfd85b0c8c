//! ioctl_ns(2).
#![allow(
    unsafe_code,
    reason = "the ioctls of namespace files have no safe wrapper"
)]

use super::bpf::last_errno;
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `CLONE_NEWNET`, the kind of network namespaces.
pub(in crate::kernel) const NETWORK: i32 = libc::CLONE_NEWNET;

/// `NS_GET_NSTYPE` of `include/uapi/linux/nsfs.h`: `_IO(0xb7, 0x3)`.
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;

/// Kind of the namespace of a file of nsfs, as the flag of clone(2).
pub(in crate::kernel) fn kind(file: BorrowedFd<'_>) -> Result<i32, Errno> {
    // SAFETY: this ioctl takes no argument.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    if kind < 0 {
        Err(last_errno())
    } else {
        Ok(kind)
    }
}
