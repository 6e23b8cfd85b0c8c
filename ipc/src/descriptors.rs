//! Bytes with descriptors beside them (SCM_RIGHTS, unix(7)).
//!
//! Descriptors ride on the first byte of a frame. The receiver offers room for them only in the first read of a frame, and
//! only for as many as its direction allows. What arrives at any other time is surplus: the kernel closes it and sets
//! MSG_CTRUNC, which is a fault of the sender. So no peer can make another hold more than one frame may carry.

use crate::limits::FRAME_DESCRIPTORS;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const SPACE: usize = rustix::cmsg_space!(ScmRights(FRAME_DESCRIPTORS as usize));

/// What one read brought.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes; 0 at the end of the stream.
    pub bytes: usize,
    /// Descriptors beside them, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// Whether there were more descriptors than room was offered for.
    pub surplus: bool,
}

/// Sends some of the bytes, with descriptors beside the first of them.
///
/// # Errors
///
/// That of sendmsg(2), or E2BIG for more than [`FRAME_DESCRIPTORS`]. Never raises SIGPIPE.
pub fn send(
    socket: impl AsFd,
    bytes: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    if descriptors.len() > usize::from(FRAME_DESCRIPTORS) {
        return Err(Errno::TOOBIG);
    }
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    sendmsg(socket, bytes, &mut control, SendFlags::NOSIGNAL)
}

/// Receives some bytes and at most `room` descriptors beside them ([`FRAME_DESCRIPTORS`] whatever is asked for).
///
/// # Errors
///
/// That of recvmsg(2).
pub fn receive(socket: impl AsFd, bytes: &mut [u8], room: usize) -> Result<Received, Errno> {
    let room = room.min(usize::from(FRAME_DESCRIPTORS));
    let mut space = [MaybeUninit::uninit(); SPACE];
    let offered = match room {
        0 => 0,
        room => rustix::cmsg_space!(ScmRights(room)),
    };
    let mut control = RecvAncillaryBuffer::new(&mut space[..offered]);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    // The kernel fills the space up to its alignment, which may be one or two more than was asked for.
    let surplus = message.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > room;
    Ok(Received {
        bytes: message.bytes,
        descriptors,
        surplus,
    })
}
