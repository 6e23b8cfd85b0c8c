//! Client sessions: the number that the API worker gave to a connection, and who is behind it.
//!
//! The identity is taken once, from the client's own socket: what the API worker says about its clients is not believed.
//! The descriptor is kept, though never read: when the client has left, its identity has left too, and an API worker that
//! was taken over cannot use it any longer.

use crate::limits;
use crate::peer;
use crate::policy::Identity;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::loader::Session;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// The open sessions of one incarnation of the API worker.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<Session, Client>,
}

/// A client and its own socket.
#[derive(Debug)]
struct Client {
    identity: Identity,
    socket: OwnedFd,
}

impl Client {
    /// Whether the client still holds its end. A socket that cannot be asked counts as left.
    fn is_connected(&self) -> bool {
        let mut socket = [PollFd::new(&self.socket, PollFlags::empty())];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut socket, Some(&at_once)).is_ok_and(|ready| ready == 0)
    }
}

impl Sessions {
    /// Opens a session for the process at the other end of `socket`.
    pub fn open(&mut self, session: Session, socket: OwnedFd) -> Result<(), Failure> {
        if self.open.contains_key(&session) {
            return Err(failure(
                FailureCode::AlreadyExists,
                format!("session {session} is open already"),
            ));
        }
        if self.open.len() >= limits::SESSIONS {
            return Err(failure(
                FailureCode::ResourceExhausted,
                format!("all {} client sessions are in use", limits::SESSIONS),
            )
            .remedy("try again when another client has finished"));
        }
        let identity = peer::identity(&socket)?;
        self.open.insert(session, Client { identity, socket });
        Ok(())
    }

    /// Forgets a session; one that is not open is forgotten already.
    pub fn close(&mut self, session: Session) {
        self.open.remove(&session);
    }

    /// Who is behind a session. After a restart of the loader no session is known: the API worker opens them again.
    pub fn identity(&self, session: Session) -> Result<&Identity, Failure> {
        let client = self
            .open
            .get(&session)
            .filter(|client| client.is_connected());
        client.map(|client| &client.identity).ok_or_else(|| {
            failure(
                FailureCode::Unavailable,
                format!("session {session} is not open"),
            )
            .remedy("open the session again and repeat the request")
        })
    }
}

fn failure(code: FailureCode, cause: String) -> Failure {
    Failure::new(code, Stage::Connect, cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    /// A connection through a listening socket, as clients make it.
    fn accepted(listener: &UnixListener, path: &std::path::Path) -> (OwnedFd, UnixStream) {
        let client = UnixStream::connect(path).unwrap();
        (listener.accept().unwrap().0.into(), client)
    }

    #[test]
    fn sessions_are_bounded_and_unknown_ones_are_retryable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut sessions = Sessions::default();
        assert!(sessions.identity(1).unwrap_err().is_retryable());

        let mut clients = Vec::new();
        for number in 0..limits::SESSIONS as u64 {
            let (socket, client) = accepted(&listener, &path);
            sessions.open(number, socket).unwrap();
            clients.push(client);
        }
        let (socket, _client) = accepted(&listener, &path);
        let failure = sessions.open(limits::SESSIONS as u64, socket).unwrap_err();
        assert_eq!(failure.code, FailureCode::ResourceExhausted);

        sessions.close(3);
        let (socket, _client) = accepted(&listener, &path);
        assert_eq!(
            sessions.open(4, socket).unwrap_err().code,
            FailureCode::AlreadyExists
        );
        let (socket, _client) = accepted(&listener, &path);
        sessions.open(3, socket).unwrap();
        assert_eq!(sessions.identity(3).unwrap().pid, std::process::id() as i32);
    }

    #[test]
    fn an_identity_lasts_as_long_as_its_connection() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut sessions = Sessions::default();
        let (socket, mut client) = accepted(&listener, &path);
        sessions.open(1, socket).unwrap();
        // Unread requests and a client that only listens are no end.
        std::io::Write::write_all(&mut client, b"request").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(sessions.identity(1).is_ok());
        drop(client);
        assert!(sessions.identity(1).unwrap_err().is_retryable());
    }
}
