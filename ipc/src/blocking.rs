//! A link for processes without a runtime: `bpfmanctl`, the one-shot helper, tests.

use crate::admission::{Fault, Gate, Peer};
use crate::build;
use crate::descriptors::{self, Received};
use crate::frame::HEADER_BYTES;
use crate::limits::FRAME_DEADLINE;
use crate::link::{Envelope, LinkError, frame};
use crate::messages::Message;
use crate::messages::hello::Hello;
use crate::role::Role;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Both halves of a link.
#[derive(Debug)]
pub struct Link<In, Out> {
    socket: UnixStream,
    gate: Gate,
    local: Role,
    peer: Role,
    generation: u32,
    direction: PhantomData<fn(Out) -> In>,
}

impl<In: Message, Out: Message> Link<In, Out> {
    /// Exchanges greetings over a socket and checks the peer's.
    ///
    /// # Errors
    ///
    /// As [`crate::link::establish`].
    pub fn establish(
        socket: UnixStream,
        local: Role,
        generation: u32,
        peer: impl Into<Peer>,
        deadline: Duration,
    ) -> Result<(Self, Hello), LinkError> {
        let peer = peer.into();
        socket.set_write_timeout(Some(FRAME_DEADLINE))?;
        let mut link = Self {
            socket,
            gate: Gate::new(peer, local),
            local,
            peer: peer.role,
            generation,
            direction: PhantomData,
        };
        link.send(0, &Out::from(Hello::new(local, generation)), &[])?;
        let first = link.receive(deadline)?.ok_or(LinkError::Closed)?;
        let hello = first
            .message
            .hello()
            .cloned()
            .ok_or(Fault::OutOfPhase("first message"))?;
        link.gate.greet(&hello)?;
        Ok((link, hello))
    }

    /// Sends one message with descriptors beside it.
    ///
    /// # Errors
    ///
    /// As [`crate::link::Sender::send`].
    pub fn send(
        &mut self,
        request_id: u64,
        message: &Out,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), LinkError> {
        let frame = frame(
            self.local,
            self.peer,
            build::PROTOCOL_VERSION,
            self.generation,
            request_id,
            message,
            descriptors.len(),
        )?;
        let mut written = 0;
        while written < frame.len() {
            let beside = if written == 0 { descriptors } else { &[] };
            match descriptors::send(
                self.socket.as_fd(),
                &[IoSlice::new(&frame[written..])],
                beside,
            ) {
                Ok(bytes) => written += bytes,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Err(LinkError::Congested(FRAME_DEADLINE)),
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    return Err(LinkError::Closed);
                }
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
        Ok(())
    }

    /// The next message within the deadline; `None` when the peer has closed between two frames.
    ///
    /// # Errors
    ///
    /// [`Fault::Stalled`] when the deadline passes, otherwise as [`crate::link::Receiver::receive`].
    pub fn receive(&mut self, deadline: Duration) -> Result<Option<Envelope<In>>, LinkError> {
        let wait = Wait {
            until: Instant::now() + deadline,
            deadline,
        };
        let mut header = [0; HEADER_BYTES];
        // Room for descriptors is offered here alone: a frame in many pieces cannot bring them with each.
        let begun = self.read(&wait, &mut header, self.gate.room())?;
        if begun.bytes == 0 {
            return Ok(None);
        }
        let descriptors = begun.descriptors;
        self.fill(&wait, &mut header[begun.bytes..])?;
        let (header, row) = self.gate.admit(&header)?;
        let mut body = vec![0; header.length as usize];
        self.fill(&wait, &mut body)?;
        let message = self.gate.accept(&header, row, &body, &descriptors)?;
        Ok(Some(Envelope {
            request_id: header.request_id,
            message,
            descriptors,
        }))
    }

    /// Reads on in a frame until the bytes are there.
    fn fill(&self, wait: &Wait, bytes: &mut [u8]) -> Result<(), LinkError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(wait, &mut bytes[filled..], 0)?.bytes {
                0 => return Err(LinkError::Closed),
                read => filled += read,
            }
        }
        Ok(())
    }

    fn read(&self, wait: &Wait, bytes: &mut [u8], room: usize) -> Result<Received, LinkError> {
        loop {
            self.socket.set_read_timeout(Some(wait.remaining()?))?;
            match descriptors::receive(self.socket.as_fd(), bytes, room) {
                Ok(received) if received.surplus => return Err(Fault::SurplusDescriptors.into()),
                Ok(received) => return Ok(received),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(Received::default()),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }
}

struct Wait {
    until: Instant,
    deadline: Duration,
}

impl Wait {
    /// Time left, never zero (which would mean for ever).
    fn remaining(&self) -> Result<Duration, Fault> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(Fault::Stalled(self.deadline))
        } else {
            Ok(left.max(Duration::from_millis(1)))
        }
    }
}
