//! What a receiver checks of a frame, as pure functions: the header against the table, then the body against its type.

use crate::build;
use crate::codec::{self, CodecError};
use crate::frame::{HEADER_BYTES, Header, HeaderError};
use crate::limits::BUILD_ID_CHARACTERS;
use crate::messages::Message;
use crate::messages::hello::Hello;
use crate::permissions::{self, Permission, Phase};
use crate::role::Role;
use std::os::fd::OwnedFd;

/// A breach of the protocol. The link is dropped and the supervisor told; nothing of the frame was acted upon.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes are no header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The frame is of another protocol version than its sender greeted with.
    #[error("protocol version {0} is not spoken here")]
    Version(u16),
    /// No row in the table.
    #[error("message {kind} from {from} to {to} does not exist")]
    NotPermitted {
        /// Sender.
        from: Role,
        /// Receiver.
        to: Role,
        /// Index of the variant.
        kind: u16,
    },
    /// Not now.
    #[error("{0} out of phase")]
    OutOfPhase(&'static str),
    /// The header announces more than the row allows.
    #[error("{name} of {length} bytes, {limit} allowed")]
    TooLong {
        /// Message.
        name: &'static str,
        /// Bytes announced.
        length: u32,
        /// Bytes allowed.
        limit: u32,
    },
    /// The header announces a number of descriptors that the row does not allow, or others came than announced.
    #[error("{name} with {got} descriptors")]
    Descriptors {
        /// Message.
        name: &'static str,
        /// Announced or received.
        got: usize,
    },
    /// Descriptors beside the body, or more than fit beside a header.
    #[error("descriptors where none may be")]
    SurplusDescriptors,
    /// The body is not such a message.
    #[error("{name}: {source}")]
    Body {
        /// Message.
        name: &'static str,
        /// What is wrong with it.
        source: CodecError,
    },
    /// The body is another message than the header says.
    #[error("header says {0}, body is another message")]
    Disguised(&'static str),
    /// The peer's greeting names another role.
    #[error("{0} on a link made for {1}")]
    WrongRole(Role, Role),
    /// The peer's greeting names another build, of which this is the beginning.
    #[error("build {0} on a link between processes of build {build}", build = build::BUILD_ID)]
    WrongBuild(String),
    /// The greeting is of another incarnation than the link was made for, or a frame of another than its sender greeted
    /// with.
    #[error("frame of generation {got} on a link with generation {expected}")]
    Generation {
        /// From the supervisor, or from the greeting.
        expected: u32,
        /// From the greeting, or from the frame.
        got: u32,
    },
    /// A frame was begun and not finished in time.
    #[error("frame not finished within {0:?}")]
    Stalled(std::time::Duration),
}

/// Whom a link was made for.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Who must be at the other end.
    pub role: Role,
    /// In which incarnation, where that is known before it greets.
    pub generation: Option<u32>,
}

impl From<Role> for Peer {
    fn from(role: Role) -> Self {
        Self {
            role,
            generation: None,
        }
    }
}

impl From<(Role, u32)> for Peer {
    fn from((role, generation): (Role, u32)) -> Self {
        Self {
            role,
            generation: Some(generation),
        }
    }
}

/// What a receiver knows of its link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate {
    from: Peer,
    to: Role,
    /// Version and generation from the peer's greeting; `None` until it came.
    greeted: Option<(u16, u32)>,
}

impl Gate {
    /// The gate of a fresh link from `from` to `to`.
    pub(crate) fn new(from: impl Into<Peer>, to: Role) -> Self {
        Self {
            from: from.into(),
            to,
            greeted: None,
        }
    }

    /// Most descriptors that may come beside the next frame.
    pub(crate) fn room(&self) -> usize {
        let phase = match self.greeted {
            None => Phase::Handshake,
            Some(_) => Phase::Open,
        };
        let rows = permissions::rows(self.from.role, self.to).unwrap_or_default();
        let now = rows.iter().filter(|row| row.phase == phase);
        now.map(|row| usize::from(row.most_descriptors))
            .max()
            .unwrap_or(0)
    }

    /// Looks a header up in the table.
    pub(crate) fn admit(
        &self,
        bytes: &[u8; HEADER_BYTES],
    ) -> Result<(Header, &'static Permission), Fault> {
        let header = Header::decode(bytes)?;
        let row = permissions::lookup(self.from.role, self.to, header.kind).ok_or(
            Fault::NotPermitted {
                from: self.from.role,
                to: self.to,
                kind: header.kind,
            },
        )?;
        match (self.greeted, row.phase) {
            (None, Phase::Handshake) => {}
            (Some((version, generation)), Phase::Open) => {
                if header.version != version {
                    return Err(Fault::Version(header.version));
                }
                if header.generation != generation {
                    return Err(Fault::Generation {
                        expected: generation,
                        got: header.generation,
                    });
                }
            }
            _ => return Err(Fault::OutOfPhase(row.name)),
        }
        if header.length > row.bytes {
            return Err(Fault::TooLong {
                name: row.name,
                length: header.length,
                limit: row.bytes,
            });
        }
        if !(row.least_descriptors..=row.most_descriptors).contains(&header.descriptors) {
            return Err(Fault::Descriptors {
                name: row.name,
                got: usize::from(header.descriptors),
            });
        }
        Ok((header, row))
    }

    /// Decodes a complete body.
    pub(crate) fn accept<M: Message>(
        &self,
        header: &Header,
        row: &'static Permission,
        body: &[u8],
        descriptors: &[OwnedFd],
    ) -> Result<M, Fault> {
        if descriptors.len() != usize::from(header.descriptors) {
            return Err(Fault::Descriptors {
                name: row.name,
                got: descriptors.len(),
            });
        }
        let message: M = codec::decode(body).map_err(|source| Fault::Body {
            name: row.name,
            source,
        })?;
        if message.kind() != header.kind {
            return Err(Fault::Disguised(row.name));
        }
        Ok(message)
    }

    /// Checks the peer's greeting and opens the gate for everything else.
    pub(crate) fn greet(&mut self, hello: &Hello) -> Result<(), Fault> {
        if hello.role != self.from.role {
            return Err(Fault::WrongRole(hello.role, self.from.role));
        }
        if self.from.role == Role::Client || self.to == Role::Client {
            if !(build::OLDEST_CLIENT_VERSION..=build::PROTOCOL_VERSION).contains(&hello.version) {
                return Err(Fault::Version(hello.version));
            }
        } else {
            if hello.build_id != build::BUILD_ID {
                let beginning = hello.build_id.chars().take(BUILD_ID_CHARACTERS);
                return Err(Fault::WrongBuild(beginning.collect()));
            }
            if hello.version != build::PROTOCOL_VERSION {
                return Err(Fault::Version(hello.version));
            }
        }
        if let Some(expected) = self.from.generation
            && hello.generation != expected
        {
            return Err(Fault::Generation {
                expected,
                got: hello.generation,
            });
        }
        self.greeted = Some((hello.version, hello.generation));
        Ok(())
    }
}

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SMALL_FRAME_BYTES;
    use crate::messages::client::ClientRequest;

    fn open_gate() -> Gate {
        let mut gate = Gate::new(Role::Client, Role::Api);
        gate.greet(&Hello::new(Role::Client, 0)).unwrap();
        gate
    }

    fn header(message: &ClientRequest) -> Header {
        Header::new(message.kind(), 1, 0)
    }

    #[test]
    fn nothing_precedes_hello_and_hello_comes_once() {
        let list = header(&ClientRequest::ListPrograms).encode();
        let hello = header(&ClientRequest::Hello(Hello::new(Role::Client, 0))).encode();
        let gate = Gate::new(Role::Client, Role::Api);
        assert!(matches!(
            gate.admit(&list),
            Err(Fault::OutOfPhase("ListPrograms"))
        ));
        assert!(gate.admit(&hello).is_ok());
        assert!(open_gate().admit(&list).is_ok());
        assert!(matches!(
            open_gate().admit(&hello),
            Err(Fault::OutOfPhase("Hello"))
        ));
    }

    #[test]
    fn one_byte_past_the_bound_is_refused_by_the_header() {
        let mut frame = header(&ClientRequest::ListPrograms);
        frame.length = SMALL_FRAME_BYTES;
        assert!(open_gate().admit(&frame.encode()).is_ok());
        frame.length += 1;
        assert!(matches!(
            open_gate().admit(&frame.encode()),
            Err(Fault::TooLong { .. })
        ));
    }

    #[test]
    fn unknown_messages_and_surplus_descriptors_are_refused_by_the_header() {
        let mut frame = header(&ClientRequest::ListPrograms);
        frame.descriptors = 1;
        assert!(matches!(
            open_gate().admit(&frame.encode()),
            Err(Fault::Descriptors { got: 1, .. })
        ));
        frame.descriptors = 0;
        frame.kind = 999;
        assert!(matches!(
            open_gate().admit(&frame.encode()),
            Err(Fault::NotPermitted { kind: 999, .. })
        ));
    }

    #[test]
    fn a_body_that_is_another_message_is_a_fault() {
        let gate = open_gate();
        let frame = header(&ClientRequest::ListPrograms);
        let (frame, row) = gate.admit(&frame.encode()).unwrap();
        let body = codec::encode(&ClientRequest::ListLinks, 16).unwrap();
        assert!(matches!(
            gate.accept::<ClientRequest>(&frame, row, &body, &[]),
            Err(Fault::Disguised("ListPrograms"))
        ));
    }

    #[test]
    fn a_frame_of_another_incarnation_is_a_fault() {
        let mut gate = Gate::new(Role::Api, Role::Loader);
        gate.greet(&Hello::new(Role::Api, 3)).unwrap();
        let frame = Header::new(5, 1, 2).encode();
        assert!(matches!(
            gate.admit(&frame),
            Err(Fault::Generation {
                expected: 3,
                got: 2
            })
        ));
    }

    #[test]
    fn workers_of_another_build_and_impostors_are_refused() {
        let mut hello = Hello::new(Role::Api, 1);
        hello.build_id = "0.0.0-x".to_owned();
        assert!(matches!(
            Gate::new(Role::Api, Role::Loader).greet(&hello),
            Err(Fault::WrongBuild(_))
        ));
        let hello = Hello::new(Role::Image, 1);
        assert!(matches!(
            Gate::new(Role::Api, Role::Loader).greet(&hello),
            Err(Fault::WrongRole(..))
        ));
        let mut hello = Hello::new(Role::Client, 0);
        hello.version = 99;
        assert!(matches!(
            Gate::new(Role::Client, Role::Api).greet(&hello),
            Err(Fault::Version(99))
        ));
    }
}
