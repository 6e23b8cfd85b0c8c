//! A link between two processes, for processes with a runtime.
//!
//! [`establish`] takes one end of a stream socket, exchanges greetings and gives the two halves. Dropping both closes it.
//! A link that has seen a fault is of no further use: its owner drops it and reports the peer.

use crate::admission::Gate;
pub use crate::admission::{Fault, Peer};
use crate::build;
use crate::codec::{self, CodecError};
use crate::descriptors::{self, Received};
use crate::frame::{HEADER_BYTES, Header};
use crate::limits::FRAME_DEADLINE;
use crate::messages::Message;
use crate::messages::hello::Hello;
use crate::permissions;
use crate::role::Role;
use interprocess::os::unix::uds_local_socket::tokio::Stream;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use tokio::io::Interest;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A message as it arrived.
#[derive(Debug)]
pub struct Envelope<M> {
    /// Joins request and answer.
    pub request_id: u64,
    /// The message.
    pub message: M,
    /// Descriptors beside it, as many as the table allows.
    pub descriptors: Vec<OwnedFd>,
}

/// Why a link cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer broke the protocol.
    #[error("protocol fault: {0}")]
    Fault(#[from] Fault),
    /// The peer closed, at once or in the middle of a frame.
    #[error("peer is gone")]
    Closed,
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// The message cannot be sent: too large for its row. The link is unharmed.
    #[error("message not sent: {0}")]
    Unsendable(#[from] CodecError),
    /// The message cannot be sent: the table does not have it, or not with so many descriptors. The sender's own mistake;
    /// the link is unharmed and the peer did nothing.
    #[error("message not sent: {0}")]
    Forbidden(Fault),
    /// The peer does not read.
    #[error("peer does not take a frame within {0:?}")]
    Congested(std::time::Duration),
}

impl LinkError {
    /// Whether the peer broke the protocol (otherwise it is gone, or the mistake is our own).
    pub fn is_fault(&self) -> bool {
        matches!(self, LinkError::Fault(_))
    }
}

/// The sending half; clones share the socket.
pub struct Sender<Out> {
    stream: Arc<Stream>,
    shared: Arc<Shared>,
    direction: PhantomData<fn(Out)>,
}

struct Shared {
    local: Role,
    peer: Role,
    generation: u32,
    /// That of this build, or what an older client speaks.
    version: AtomicU16,
    turn: Mutex<()>,
    /// A frame was begun and not finished (its future was dropped, or the peer stalled): nothing can follow it.
    torn: AtomicBool,
}

impl<Out> Clone for Sender<Out> {
    fn clone(&self) -> Self {
        Self {
            stream: Arc::clone(&self.stream),
            shared: Arc::clone(&self.shared),
            direction: PhantomData,
        }
    }
}

impl<Out> std::fmt::Debug for Sender<Out> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Sender({} to {})",
            self.shared.local, self.shared.peer
        )
    }
}

/// The receiving half.
pub struct Receiver<In> {
    stream: Arc<Stream>,
    gate: Gate,
    direction: PhantomData<fn() -> In>,
}

impl<In> std::fmt::Debug for Receiver<In> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Receiver({:?})", self.gate)
    }
}

/// [`adopt`] and [`exchange_greetings`].
///
/// # Errors
///
/// As those.
pub async fn establish<In: Message, Out: Message>(
    socket: OwnedFd,
    local: Role,
    generation: u32,
    peer: impl Into<Peer>,
) -> Result<(Sender<Out>, Receiver<In>, Hello), LinkError> {
    let (sender, mut receiver) = adopt(socket, local, generation, peer)?;
    let hello = exchange_greetings(&sender, &mut receiver).await?;
    Ok((sender, receiver, hello))
}

/// Makes the two halves of a socket; nothing is said yet. Must be called inside a runtime.
///
/// # Errors
///
/// [`LinkError::Socket`] when it is no socket.
pub fn adopt<In: Message, Out: Message>(
    socket: OwnedFd,
    local: Role,
    generation: u32,
    peer: impl Into<Peer>,
) -> Result<(Sender<Out>, Receiver<In>), LinkError> {
    let peer = peer.into();
    rustix::io::ioctl_fionbio(&socket, true).map_err(io::Error::from)?;
    let stream = Arc::new(Stream::try_from(socket)?);
    let shared = Shared {
        local,
        peer: peer.role,
        generation,
        version: AtomicU16::new(build::PROTOCOL_VERSION),
        turn: Mutex::new(()),
        torn: AtomicBool::new(false),
    };
    let sender = Sender {
        stream: Arc::clone(&stream),
        shared: Arc::new(shared),
        direction: PhantomData,
    };
    let receiver = Receiver {
        stream,
        gate: Gate::new(peer, local),
        direction: PhantomData,
    };
    Ok((sender, receiver))
}

/// Greets the peer and checks its greeting. A client is greeted whatever it did, if it is still there: it can then be told
/// what was wrong.
///
/// # Errors
///
/// [`LinkError::Fault`] when the peer is not who the link was made for or does not greet within
/// [`FRAME_DEADLINE`]; [`LinkError::Closed`] when it goes away first.
pub async fn exchange_greetings<In: Message, Out: Message>(
    sender: &Sender<Out>,
    receiver: &mut Receiver<In>,
) -> Result<Hello, LinkError> {
    let heard = if sender.shared.peer == Role::Client {
        let heard = greeting(receiver).await;
        let version = match &heard {
            // An older client refuses versions that it does not know, so it is answered in its own.
            Ok(hello) => hello
                .version
                .clamp(build::OLDEST_CLIENT_VERSION, build::PROTOCOL_VERSION),
            Err(LinkError::Fault(_)) => build::PROTOCOL_VERSION,
            Err(_) => return heard,
        };
        sender.shared.version.store(version, Ordering::Relaxed);
        greet(sender, version).await?;
        heard
    } else {
        greet(sender, build::PROTOCOL_VERSION).await?;
        greeting(receiver).await
    };
    let hello = heard?;
    receiver.gate.greet(&hello)?;
    Ok(hello)
}

async fn greet<Out: Message>(sender: &Sender<Out>, version: u16) -> Result<(), LinkError> {
    let hello = Hello {
        version,
        ..Hello::new(sender.shared.local, sender.shared.generation)
    };
    sender.send(0, &Out::from(hello), &[]).await
}

async fn greeting<In: Message>(receiver: &mut Receiver<In>) -> Result<Hello, LinkError> {
    let first: Envelope<In> = timeout(FRAME_DEADLINE, receiver.receive())
        .await
        .map_err(|_| Fault::Stalled(FRAME_DEADLINE))??
        .ok_or(LinkError::Closed)?;
    let hello = first.message.hello().cloned();
    Ok(hello.ok_or(Fault::OutOfPhase("first message"))?)
}

impl<Out: Message> Sender<Out> {
    /// Sends one message with descriptors beside it. Frames of concurrent callers do not mix.
    ///
    /// # Errors
    ///
    /// [`LinkError::Unsendable`] when the message is larger than its row allows, [`LinkError::Forbidden`] when it has no
    /// row or other descriptors than its row wants (the link stays usable in both cases), otherwise the link is lost.
    pub async fn send(
        &self,
        request_id: u64,
        message: &Out,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), LinkError> {
        let frame = frame(
            self.shared.local,
            self.shared.peer,
            self.shared.version.load(Ordering::Relaxed),
            self.shared.generation,
            request_id,
            message,
            descriptors.len(),
        )?;
        let _turn = self.shared.turn.lock().await;
        if self.shared.torn.swap(true, Ordering::Relaxed) {
            return Err(LinkError::Closed);
        }
        timeout(FRAME_DEADLINE, self.write(&frame, descriptors))
            .await
            .map_err(|_| LinkError::Congested(FRAME_DEADLINE))?
            .map_err(lost)?;
        self.shared.torn.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn write(&self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let socket = self.stream.inner();
        let mut written = 0;
        while written < frame.len() {
            let beside = if written == 0 { descriptors } else { &[] };
            written += socket
                .async_io(Interest::WRITABLE, || {
                    descriptors::send(socket.as_fd(), &[IoSlice::new(&frame[written..])], beside)
                        .map_err(io::Error::from)
                })
                .await?;
        }
        Ok(())
    }
}

/// What a failed socket says of the peer: writing to one that has closed is no failure of the socket.
fn lost(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => LinkError::Closed,
        _ => LinkError::Socket(error),
    }
}

/// The bytes of a frame, as large as its row allows.
pub(crate) fn frame<M: Message>(
    from: Role,
    to: Role,
    version: u16,
    generation: u32,
    request_id: u64,
    message: &M,
    descriptors: usize,
) -> Result<Vec<u8>, LinkError> {
    let kind = message.kind();
    let row = permissions::lookup(from, to, kind)
        .ok_or(LinkError::Forbidden(Fault::NotPermitted { from, to, kind }))?;
    let body = codec::encode(message, row.bytes as usize)?;
    let mut header = Header::new(kind, request_id, generation);
    header.version = version;
    header.length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    header.descriptors = u8::try_from(descriptors).unwrap_or(u8::MAX);
    if !(row.least_descriptors..=row.most_descriptors).contains(&header.descriptors) {
        return Err(LinkError::Forbidden(Fault::Descriptors {
            name: row.name,
            got: descriptors,
        }));
    }
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&header.encode());
    frame.extend_from_slice(&body);
    Ok(frame)
}

impl<In: Message> Receiver<In> {
    /// The next message; `None` when the peer has closed between two frames.
    ///
    /// Not cancel safe: a dropped future may have read half a frame.
    ///
    /// # Errors
    ///
    /// [`LinkError::Fault`] when the peer broke the protocol; otherwise it is gone.
    pub async fn receive(&mut self) -> Result<Option<Envelope<In>>, LinkError> {
        let mut header = [0; HEADER_BYTES];
        // Room for descriptors is offered here alone: a frame in many pieces cannot bring them with each.
        let begun = self.read(&mut header[..], self.gate.room()).await?;
        if begun.bytes == 0 {
            return Ok(None);
        }
        timeout(
            FRAME_DEADLINE,
            self.finish(header, begun.bytes, begun.descriptors),
        )
        .await
        .map_err(|_| Fault::Stalled(FRAME_DEADLINE))?
        .map(Some)
    }

    async fn finish(
        &mut self,
        mut header: [u8; HEADER_BYTES],
        begun: usize,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Envelope<In>, LinkError> {
        self.fill(&mut header[begun..]).await?;
        let (header, row) = self.gate.admit(&header)?;
        let mut body = vec![0; header.length as usize];
        self.fill(&mut body).await?;
        let message = self.gate.accept(&header, row, &body, &descriptors)?;
        Ok(Envelope {
            request_id: header.request_id,
            message,
            descriptors,
        })
    }

    /// Reads on in a frame until the bytes are there.
    async fn fill(&self, bytes: &mut [u8]) -> Result<(), LinkError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read(&mut bytes[filled..], 0).await?.bytes {
                0 => return Err(LinkError::Closed),
                read => filled += read,
            }
        }
        Ok(())
    }

    async fn read(&self, bytes: &mut [u8], room: usize) -> Result<Received, LinkError> {
        let socket = self.stream.inner();
        let received = socket
            .async_io(Interest::READABLE, || {
                descriptors::receive(socket.as_fd(), bytes, room).map_err(io::Error::from)
            })
            .await
            .map_err(lost)?;
        if received.surplus {
            Err(Fault::SurplusDescriptors.into())
        } else {
            Ok(received)
        }
    }
}

#[cfg(test)]
mod tests;
