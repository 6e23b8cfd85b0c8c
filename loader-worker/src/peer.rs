//! The identity of the process at the other end of a client's socket, as the kernel recorded it when it connected.
#![allow(unsafe_code, reason = "SO_PEERGROUPS has no safe wrapper")]

use crate::limits;
use crate::policy::Identity;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::peer;
use rustix::net::{SocketAddrUnix, getsockname, sockopt};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Takes uid, gid, pid and supplementary groups from the kernel.
///
/// Only sockets that came out of a listening socket with a path are taken: on any other, SO_PEERCRED does not name a
/// client. The API worker's end of its own link, for example, would name the supervisor that made it.
pub fn identity(socket: &impl AsFd) -> Result<Identity, Failure> {
    if !is_accepted(socket).map_err(|error| refused(&error.to_string()))? {
        return Err(refused("it did not come from bpfman's listening socket"));
    }
    let credentials = peer::credentials(socket).map_err(|error| refused(&error.to_string()))?;
    let groups = groups(socket).map_err(|error| refused(&error.to_string()))?;
    Ok(Identity {
        uid: credentials.uid,
        gid: credentials.gid,
        pid: credentials.pid,
        groups,
    })
}

/// A connected socket has the name of the listening socket that accepted it; one that called connect(2) or came from
/// socketpair(2) has none.
fn is_accepted(socket: &impl AsFd) -> io::Result<bool> {
    let address = getsockname(socket)?;
    let Ok(address) = SocketAddrUnix::try_from(address) else {
        return Ok(false);
    };
    Ok(address.path().is_some() && !sockopt::socket_acceptconn(socket)?)
}

fn groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let mut length = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the pointer and the length describe the vector's initialised storage; the kernel writes at most
        // `length` bytes and stores how many it wrote or needs.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = length as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // ERANGE with the needed length, which the kernel bounds by NGROUPS_MAX.
        if error.raw_os_error() != Some(libc::ERANGE)
            || count <= groups.len()
            || count > limits::PEER_GROUPS
        {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

fn refused(reason: &str) -> Failure {
    Failure::new(
        FailureCode::PermissionDenied,
        Stage::Connect,
        format!("cannot tell who the client is from its socket: {reason}"),
    )
    .remedy("connect to bpfman's own socket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn an_accepted_socket_names_its_client() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        let (accepted, _) = listener.accept().unwrap();

        let identity = identity(&accepted).unwrap();
        assert_eq!(identity.uid, rustix::process::getuid().as_raw());
        assert_eq!(identity.gid, rustix::process::getgid().as_raw());
        let mut expected: Vec<u32> = rustix::process::getgroups()
            .unwrap()
            .into_iter()
            .map(rustix::process::Gid::as_raw)
            .collect();
        let mut groups = identity.groups;
        expected.sort_unstable();
        groups.sort_unstable();
        assert_eq!(groups, expected);
    }

    #[test]
    fn a_socket_pair_names_nobody() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let failure = identity(&ours).unwrap_err();
        assert_eq!(failure.code, FailureCode::PermissionDenied);
    }

    #[test]
    fn a_connecting_socket_does_not_lend_its_servers_identity() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        assert!(identity(&client).is_err());
    }

    #[test]
    fn a_file_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(identity(&file).is_err());
    }
}
