//! Bytes with descriptors beside them (SCM_RIGHTS, unix(7)).
//!
//! Descriptors ride on the first byte of a frame. The receiver offers room for them only while it reads a header; what
//! arrives at any other time is surplus: the kernel closes it and sets MSG_CTRUNC, which is a fault of the sender.

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
#[derive(Debug)]
pub struct Received {
    /// Bytes; 0 at the end of the stream.
    pub bytes: usize,
    /// Whether there were descriptors for which no room was offered.
    pub surplus: bool,
}

/// Sends some of the bytes, with descriptors beside the first of them.
///
/// # Errors
///
/// That of sendmsg(2). Never raises SIGPIPE.
pub fn send(
    socket: impl AsFd,
    bytes: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOBIG);
    }
    sendmsg(socket, bytes, &mut control, SendFlags::NOSIGNAL)
}

/// Receives some bytes and the descriptors beside them, close-on-exec.
///
/// # Errors
///
/// That of recvmsg(2).
pub fn receive_with_descriptors(
    socket: impl AsFd,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    Ok(Received {
        bytes: message.bytes,
        surplus: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// Receives some bytes; descriptors beside them are closed by the kernel and reported as surplus.
///
/// # Errors
///
/// That of recvmsg(2).
pub fn receive(socket: impl AsFd, bytes: &mut [u8]) -> Result<Received, Errno> {
    let mut control = RecvAncillaryBuffer::default();
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    Ok(Received {
        bytes: message.bytes,
        surplus: message.flags.contains(ReturnFlags::CTRUNC),
    })
}
