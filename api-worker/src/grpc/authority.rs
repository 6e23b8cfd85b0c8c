//! What clients call the host that they ask, made readable.
//!
//! gRPC's C library, which is that of Python, C++, Ruby, PHP and C#, calls it after the socket: `run%2Fbpfman-sock%2Fbpfman.sock`.
//! No host has a percent sign in its name, and the HTTP library drops whoever sends one. Nobody here reads that name: on its way
//! in, every percent sign in it becomes a hyphen. Nothing else changes, no length and no other field, so that what follows in
//! the client's compression of headers (RFC 7541) stays true.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a client says before its first frame (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;
/// The head of a frame (RFC 9113, 4.1).
const HEAD_BYTES: usize = 9;
/// Frames with fields of a header.
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
/// The field, as the C library writes it: the name in plain letters, then a length and the value.
const NAME: &[u8] = b":authority";
/// Bits of a length in its first byte; the bit before says that the value is in Huffman's code.
const LENGTH: u8 = 0x7f;
const IS_HUFFMAN: u8 = 0x80;

/// A client's stream.
#[derive(Debug)]
pub(super) struct Tolerant<S> {
    stream: S,
    position: Position,
    field: Field,
}

/// Where in the frames.
#[derive(Debug)]
enum Position {
    Preface {
        left: usize,
    },
    Head {
        bytes: [u8; HEAD_BYTES],
        filled: usize,
    },
    Body {
        left: usize,
        has_fields: bool,
    },
}

/// Where in the fields of a header.
#[derive(Clone, Copy, Debug)]
enum Field {
    Name {
        matched: usize,
    },
    Length,
    /// A length that continues (RFC 7541, 5.1).
    LongLength {
        length: usize,
        shift: u32,
    },
    Value {
        left: usize,
    },
}

impl Position {
    const HEAD: Self = Self::Head {
        bytes: [0; HEAD_BYTES],
        filled: 0,
    };

    fn body([length @ .., _, _, _, _, _, _]: [u8; HEAD_BYTES], kind: u8) -> Self {
        let left = length
            .into_iter()
            .fold(0, |length, byte| length << 8 | usize::from(byte));
        match left {
            0 => Self::HEAD,
            _ => Self::Body {
                left,
                has_fields: matches!(kind, HEADERS | CONTINUATION),
            },
        }
    }
}

impl Field {
    const NONE: Self = Self::Name { matched: 0 };

    fn of_length(length: usize) -> Self {
        match length {
            0 => Self::NONE,
            left => Self::Value { left },
        }
    }

    fn pass(self, byte: &mut u8) -> Self {
        match self {
            Self::Name { matched } if *byte == NAME[matched] => match matched + 1 {
                all if all == NAME.len() => Self::Length,
                matched => Self::Name { matched },
            },
            // The first letter is nowhere else in the name.
            Self::Name { .. } => Self::Name {
                matched: usize::from(*byte == NAME[0]),
            },
            Self::Length if *byte & IS_HUFFMAN != 0 => Self::NONE,
            Self::Length if *byte == LENGTH => Self::LongLength {
                length: usize::from(LENGTH),
                shift: 0,
            },
            Self::Length => Self::of_length(usize::from(*byte)),
            // No socket has so long a path.
            Self::LongLength { shift, .. } if shift > 7 => Self::NONE,
            Self::LongLength { length, shift } => {
                let length = length + (usize::from(*byte & LENGTH) << shift);
                match *byte & !LENGTH {
                    0 => Self::of_length(length),
                    _ => Self::LongLength {
                        length,
                        shift: shift + 7,
                    },
                }
            }
            Self::Value { left } => {
                if *byte == b'%' {
                    *byte = b'-';
                }
                Self::of_length(left - 1)
            }
        }
    }
}

impl<S> Tolerant<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            position: Position::Preface {
                left: PREFACE_BYTES,
            },
            field: Field::NONE,
        }
    }

    /// What has come, in pieces of any size.
    fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.position {
                Position::Preface { left } | Position::Body { left, .. } => bytes.len().min(*left),
                Position::Head { .. } => 1,
            };
            let (piece, rest) = bytes.split_at_mut(taken);
            bytes = rest;
            match &mut self.position {
                Position::Preface { left } => {
                    *left -= taken;
                    if *left == 0 {
                        self.position = Position::HEAD;
                    }
                }
                Position::Head { bytes, filled } => {
                    bytes[*filled] = piece[0];
                    *filled += 1;
                    if *filled == HEAD_BYTES {
                        self.position = Position::body(*bytes, bytes[3]);
                    }
                }
                Position::Body { left, has_fields } => {
                    if *has_fields {
                        for byte in piece {
                            self.field = self.field.pass(byte);
                        }
                    }
                    *left -= taken;
                    if *left == 0 {
                        self.position = Position::HEAD;
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tolerant<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.pass(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tolerant<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "authority/tests.rs"]
mod tests;
