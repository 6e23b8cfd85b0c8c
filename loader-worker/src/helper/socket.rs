//! The socket that this process was started with.
#![allow(
    unsafe_code,
    reason = "a descriptor that was inherited has no owner until somebody claims it"
)]

use sandbox::profiles::CONTROL_SOCKET;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixStream;

/// Takes over the inherited socket. To be called once, after the sandbox was entered.
pub(super) fn inherited() -> UnixStream {
    // SAFETY: entering the sandbox has failed unless the descriptor is open; nothing else in this process claims it, and
    // this function is called once. If it is no socket, the first operation on it fails.
    unsafe { UnixStream::from_raw_fd(CONTROL_SOCKET) }
}
