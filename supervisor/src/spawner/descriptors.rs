//! What the spawner keeps open. It was forked from a process that holds the listening socket and more.
#![allow(
    unsafe_code,
    reason = "close_range(2) and dup2(2) onto fixed numbers have no safe wrapper"
)]

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Lowest number of a kept descriptor. 0 to 3 are what a started process gets; being occupied here, no descriptor that
/// arrives later can collide with them.
const LOWEST: RawFd = 10;

/// Moves `kept` up and closes everything else but standard error. 0, 1 and 3 become /dev/null.
pub(super) fn keep_only(kept: Vec<OwnedFd>) -> io::Result<Vec<OwnedFd>> {
    let null = move_up(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)?;
    let mut moved = Vec::with_capacity(kept.len());
    for descriptor in kept {
        moved.push(move_up(descriptor)?);
    }
    for target in [0, 1, 3] {
        // SAFETY: no owner of 0, 1 or 3 exists in this process after the fork: the parent's owners are in frames that
        // are never returned to, `kept` was moved up and dropped above.
        if unsafe { libc::dup2(null.as_raw_fd(), target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    drop(null);
    let mut numbers: Vec<RawFd> = moved.iter().map(AsRawFd::as_raw_fd).collect();
    numbers.sort_unstable();
    let mut from = 4;
    for number in numbers {
        close(from, number - 1)?;
        from = number + 1;
    }
    close(from, RawFd::MAX)?;
    Ok(moved)
}

fn move_up(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(&descriptor, LOWEST)?)
}

fn close(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: as above: what is closed has no owner that is ever used or dropped again.
    let outcome = unsafe { libc::close_range(first as libc::c_uint, last as libc::c_uint, 0) };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
