//! What supervisor and spawner say to one another, one datagram each (SOCK_SEQPACKET).
//!
//! A command is one byte: the number of a row starts it (its control socket and its log pipe are beside the byte), with
//! the top bit set it ends it. There is nothing in it that could be parsed wrongly. A reply has a fixed size.

use super::table::Entry;
use std::fmt;

/// Bytes of a reply.
pub const REPLY_BYTES: usize = 16;

const END: u8 = 0x80;

/// Supervisor to spawner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Start the row; beside it the process's descriptors 3 and 2.
    Start(Entry),
    /// SIGKILL the row's process, if there is one.
    End(Entry),
}

impl Command {
    /// The byte.
    pub fn encode(self) -> u8 {
        match self {
            Command::Start(entry) => entry.byte(),
            Command::End(entry) => entry.byte() | END,
        }
    }

    /// The command of a datagram; `None` when it is none.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let [byte] = datagram else { return None };
        let entry = Entry::from_byte(byte & !END)?;
        Some(if byte & END == 0 {
            Command::Start(entry)
        } else {
            Command::End(entry)
        })
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(formatter, "exited with status {code}"),
            // SIGSYS is what a seccomp filter sends; saying so saves a search.
            Exit::Signal(31) => {
                formatter.write_str("killed by signal 31 (system call refused by its sandbox)")
            }
            Exit::Signal(signal) => write!(formatter, "killed by signal {signal}"),
        }
    }
}

/// Spawner to supervisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    /// To `Start`: the program is running.
    Started {
        /// Which.
        entry: Entry,
        /// Counts the starts of the row, from 1.
        generation: u32,
        /// Process id.
        pid: u32,
    },
    /// To `Start`: it is not.
    Failed {
        /// Which.
        entry: Entry,
        /// The generation that would have been.
        generation: u32,
        /// Error number of the step that failed.
        errno: i32,
    },
    /// The process ended and was reaped.
    Exited {
        /// Which.
        entry: Entry,
        /// Of the process.
        generation: u32,
        /// Of the process.
        pid: u32,
        /// How.
        exit: Exit,
    },
}

impl Reply {
    /// kind, row, 2 zero bytes, generation, pid, detail; little endian.
    pub fn encode(self) -> [u8; REPLY_BYTES] {
        let (kind, entry, generation, pid, detail) = match self {
            Reply::Started {
                entry,
                generation,
                pid,
            } => (0, entry, generation, pid, 0),
            Reply::Failed {
                entry,
                generation,
                errno,
            } => (1, entry, generation, 0, errno),
            Reply::Exited {
                entry,
                generation,
                pid,
                exit: Exit::Code(code),
            } => (2, entry, generation, pid, code),
            Reply::Exited {
                entry,
                generation,
                pid,
                exit: Exit::Signal(signal),
            } => (3, entry, generation, pid, signal),
        };
        let mut bytes = [0; REPLY_BYTES];
        bytes[0] = kind;
        bytes[1] = entry.byte();
        bytes[4..8].copy_from_slice(&generation.to_le_bytes());
        bytes[8..12].copy_from_slice(&pid.to_le_bytes());
        bytes[12..16].copy_from_slice(&detail.to_le_bytes());
        bytes
    }

    /// The reply of a datagram; `None` when it is none.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let bytes: [u8; REPLY_BYTES] = datagram.try_into().ok()?;
        let [
            kind,
            entry,
            0,
            0,
            g0,
            g1,
            g2,
            g3,
            p0,
            p1,
            p2,
            p3,
            d0,
            d1,
            d2,
            d3,
        ] = bytes
        else {
            return None;
        };
        let entry = Entry::from_byte(entry)?;
        let generation = u32::from_le_bytes([g0, g1, g2, g3]);
        let pid = u32::from_le_bytes([p0, p1, p2, p3]);
        let detail = i32::from_le_bytes([d0, d1, d2, d3]);
        match kind {
            0 if detail == 0 => Some(Reply::Started {
                entry,
                generation,
                pid,
            }),
            1 if pid == 0 => Some(Reply::Failed {
                entry,
                generation,
                errno: detail,
            }),
            2 => Some(Reply::Exited {
                entry,
                generation,
                pid,
                exit: Exit::Code(detail),
            }),
            3 => Some(Reply::Exited {
                entry,
                generation,
                pid,
                exit: Exit::Signal(detail),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_is_one_command_or_none() {
        for byte in 0..=u8::MAX {
            match Command::decode(&[byte]) {
                Some(command) => assert_eq!(command.encode(), byte),
                None => assert!(usize::from(byte & !END) >= Entry::ALL.len()),
            }
        }
    }

    #[test]
    fn a_datagram_that_is_not_one_byte_is_no_command() {
        assert_eq!(Command::decode(&[]), None);
        assert_eq!(Command::decode(&[0, 0]), None);
    }

    proptest! {
        #[test]
        fn replies_survive_the_journey(row in 0..Entry::ALL.len() as u8, generation: u32, pid: u32, detail: i32) {
            let entry = Entry::from_byte(row).unwrap();
            for reply in [
                Reply::Started { entry, generation, pid },
                Reply::Failed { entry, generation, errno: detail },
                Reply::Exited { entry, generation, pid, exit: Exit::Code(detail) },
                Reply::Exited { entry, generation, pid, exit: Exit::Signal(detail) },
            ] {
                prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
            }
        }

        #[test]
        fn bytes_that_decode_are_the_bytes_of_that_reply(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(reply) = Reply::decode(&bytes) {
                prop_assert_eq!(&reply.encode()[..], &bytes[..]);
            }
        }
    }
}
