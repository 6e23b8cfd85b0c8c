//! Which process is at the other end of a socket, as the kernel recorded it when it connected.
#![allow(
    unsafe_code,
    reason = "the safe wrapper of SO_PEERCRED knows no process id of 0"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// SO_PEERCRED of socket(7).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Credentials {
    /// Process id; 0 when the client is in a process namespace that this one cannot see into: in another container, or
    /// outside of this one.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Asks the kernel.
///
/// # Errors
///
/// It is not a socket, or not one of this machine.
pub fn credentials(socket: &impl AsFd) -> io::Result<Credentials> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe an initialised structure of integers, and the kernel writes at most
    // `length` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if length as usize != size_of::<libc::ucred>() {
        return Err(io::Error::other("the kernel did not say all"));
    }
    Ok(Credentials {
        pid: credentials.pid,
        uid: credentials.uid,
        gid: credentials.gid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_names_the_process_at_its_other_end() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let found = credentials(&ours).unwrap();
        assert_eq!(found.pid, rustix::process::getpid().as_raw_nonzero().get());
        assert_eq!(found.uid, rustix::process::getuid().as_raw());
        assert_eq!(found.gid, rustix::process::getgid().as_raw());
    }

    #[test]
    fn what_is_no_socket_names_nobody() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        assert!(credentials(&reader).is_err());
    }
}
