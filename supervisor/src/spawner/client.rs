//! The supervisor's end of the spawner's socket.

use super::protocol::{Command, REPLY_BYTES, Reply};
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// Sends commands and receives replies.
#[derive(Clone, Debug)]
pub struct Client {
    /// Of type SOCK_SEQPACKET, which has no type of its own in std: datagrams, with an end.
    socket: Arc<UnixDatagram>,
}

impl Client {
    /// Adopts the socket. Must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// When it cannot be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = net::UnixDatagram::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Arc::new(UnixDatagram::from_std(socket)?),
        })
    }

    /// Sends a command at once.
    ///
    /// # Errors
    ///
    /// When the spawner is gone, or so far behind that it may as well be.
    pub fn command(&self, command: Command, beside: &[BorrowedFd<'_>]) -> io::Result<()> {
        ipc::descriptors::send(&self.socket, &[IoSlice::new(&[command.encode()])], beside)?;
        Ok(())
    }

    /// The next reply; `None` when the spawner is gone.
    ///
    /// # Errors
    ///
    /// When what came is no reply.
    pub async fn reply(&self) -> io::Result<Option<Reply>> {
        // One byte more than a reply has, so that a longer datagram shows.
        let mut datagram = [0; REPLY_BYTES + 1];
        let received = self
            .socket
            .async_io(Interest::READABLE, || {
                Ok(ipc::descriptors::receive(&self.socket, &mut datagram, 0)?)
            })
            .await;
        let bytes = match received {
            Ok(received) => received.bytes,
            // It ended with a command unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        match bytes {
            0 => Ok(None),
            bytes => Reply::decode(&datagram[..bytes])
                .map(Some)
                .ok_or_else(|| io::Error::other("what came from the spawner is no reply")),
        }
    }

    /// Tells the spawner that nothing more will come: it ends what still runs, and itself.
    pub fn finish(&self) {
        // Fails only when the spawner is gone already.
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }
}
