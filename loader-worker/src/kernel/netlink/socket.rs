//! A netlink socket: requests and lists, one at a time.

use super::message::{Message, Reply, replies};
use crate::kernel::Error;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

/// The kernel sends lists in pieces of at most this much.
const RECEIVE_BYTES: usize = 64 * 1024;

/// The network namespace in which it was opened is the one that it speaks about, whoever uses it.
#[derive(Debug)]
pub struct Socket {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

impl Socket {
    /// In the process's own network namespace.
    pub fn open() -> Result<Self, Error> {
        descriptor().map(Self::from)
    }

    /// Asks for something to be done.
    pub(in crate::kernel) fn request(
        &self,
        call: &'static str,
        message: Message,
    ) -> Result<(), Error> {
        self.exchange(call, message, |_| ())
    }

    /// Asks for a list.
    pub(in crate::kernel) fn dump(
        &self,
        call: &'static str,
        message: Message,
        each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        self.exchange(call, message, each)
    }

    /// Asks for one thing, which is the whole answer.
    pub(in crate::kernel) fn ask(
        &self,
        call: &'static str,
        message: Message,
        each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        // With an acknowledgement there is an end, as there is to a list.
        self.exchange(call, message.acknowledged(), each)
    }

    fn exchange(
        &self,
        call: &'static str,
        message: Message,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let failed = |errno| Error::new(call, errno);
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        // A socket that was never bound or connected speaks to the kernel.
        send(
            &self.socket,
            &message.into_bytes(sequence),
            SendFlags::empty(),
        )
        .map_err(failed)?;
        let mut buffer = vec![MaybeUninit::uninit(); RECEIVE_BYTES];
        loop {
            let ((bytes, _), _) = match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                received => received.map_err(failed)?,
            };
            for (answers, reply) in replies(bytes) {
                match reply {
                    _ if answers != sequence => {}
                    Reply::Body(body) => each(body),
                    Reply::Outcome(0) | Reply::Done => return Ok(()),
                    Reply::Outcome(errno) => {
                        return Err(failed(Errno::from_raw_os_error(errno.saturating_neg())));
                    }
                }
            }
        }
    }
}

/// What [`Socket`] is made of, in the network namespace of the calling thread.
pub fn descriptor() -> Result<OwnedFd, Error> {
    socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // Protocol 0 is NETLINK_ROUTE.
        None,
    )
    .map_err(|errno| Error::new("socket(AF_NETLINK)", errno))
}

impl From<OwnedFd> for Socket {
    /// A descriptor that somebody opened, perhaps in another network namespace. What may be done through it, the kernel
    /// decides by the capabilities of both: of who opened it, and of who uses it.
    fn from(socket: OwnedFd) -> Self {
        // Only how long a list may wait; the kernel's default would do for most.
        let _ = set_socket_recv_buffer_size(&socket, 4 * RECEIVE_BYTES);
        Self {
            socket,
            sequence: Cell::new(0),
        }
    }
}
