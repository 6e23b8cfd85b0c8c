//! One rtnetlink message: header, the fixed part of its kind, attributes. Layout: `linux/netlink.h`.

const HEADER: usize = 16;
const REQUEST: u16 = 1;
/// Marks an attribute that holds others.
const NESTED: u16 = 0x8000;

/// A request in the making.
#[derive(Clone, Debug)]
pub(in crate::kernel) struct Message(Vec<u8>);

impl Message {
    pub(in crate::kernel) fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(REQUEST | flags).to_ne_bytes());
        Self(bytes)
    }

    /// The fixed part, which comes first: `struct tcmsg`, `struct ifinfomsg`.
    pub(in crate::kernel) fn head(mut self, words: &[u32]) -> Self {
        for word in words {
            self.0.extend_from_slice(&word.to_ne_bytes());
        }
        self
    }

    pub(in crate::kernel) fn number(self, name: u16, value: u32) -> Self {
        self.attribute(name, &value.to_ne_bytes())
    }

    /// With a NUL at its end.
    pub(in crate::kernel) fn string(self, name: u16, value: &str) -> Self {
        self.attribute(name, &[value.as_bytes(), &[0]].concat())
    }

    pub(in crate::kernel) fn nested(mut self, name: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self = fill(self.attribute(name | NESTED, &[]));
        let length = self.0.len() - start;
        self.0[start..start + 2].copy_from_slice(&short(length).to_ne_bytes());
        self
    }

    /// The same, with the outcome to be told at the end.
    pub(in crate::kernel) fn acknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.0[6], self.0[7]]) | super::ACKNOWLEDGE;
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// The bytes, numbered.
    pub(in crate::kernel) fn into_bytes(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }

    fn attribute(mut self, name: u16, value: &[u8]) -> Self {
        self.0
            .extend_from_slice(&short(4 + value.len()).to_ne_bytes());
        self.0.extend_from_slice(&name.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

/// One message of a reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply<'a> {
    /// Something that was asked for.
    Body(&'a [u8]),
    /// Number of the error, negative; 0 for none.
    Outcome(i32),
    /// The end of a list.
    Done,
}

/// The messages in what was received, each with the number of the request that it answers.
pub(in crate::kernel) fn replies(mut bytes: &[u8]) -> impl Iterator<Item = (u32, Reply<'_>)> {
    std::iter::from_fn(move || {
        let length = word(bytes, 0)? as usize;
        let kind = word(bytes, 4)? as u16;
        let sequence = word(bytes, 8)?;
        let message = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((sequence, reply(kind, message)))
    })
}

fn reply(kind: u16, message: &[u8]) -> Reply<'_> {
    const ERROR: u16 = 2;
    const DONE: u16 = 3;
    match kind {
        ERROR => Reply::Outcome(word(message, 0).unwrap_or_default().cast_signed()),
        DONE => Reply::Done,
        _ => Reply::Body(message),
    }
}

/// The attributes in a row of them: name and value.
pub(in crate::kernel) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = word(bytes, 0)?;
        // Two halves of a word, in the order of the machine.
        let [a, b, c, d] = head.to_ne_bytes();
        let (length, name) = (
            usize::from(u16::from_ne_bytes([a, b])),
            u16::from_ne_bytes([c, d]) & !NESTED,
        );
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((name, value))
    })
}

/// A string attribute.
pub(in crate::kernel) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

pub(in crate::kernel) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn short(length: usize) -> u16 {
    // Requests are a hundred bytes.
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_put_together_is_taken_apart() {
        let bytes = Message::new(44, 4)
            .head(&[0, 3, 1, 0xffff_fff2, 50 << 16])
            .string(1, "bpf")
            .nested(2, |options| options.number(6, 9).string(7, "dispatcher"))
            .into_bytes(77);
        let all: Vec<_> = replies(&bytes).collect();
        let [(77, Reply::Body(body))] = all.as_slice() else {
            panic!("{all:?}");
        };
        let head: Vec<_> = (0..5).map(|at| word(body, 4 * at)).collect();
        assert_eq!(head, [0, 3, 1, 0xffff_fff2, 50 << 16].map(Some));
        let [(1, kind), (2, options)] = attributes(&body[20..]).collect::<Vec<_>>()[..] else {
            panic!("two attributes");
        };
        assert_eq!(text(kind), "bpf");
        let [(6, number), (7, name)] = attributes(options).collect::<Vec<_>>()[..] else {
            panic!("two options");
        };
        assert_eq!(number, 9_u32.to_ne_bytes());
        assert_eq!(text(name), "dispatcher");
    }

    proptest! {
        #[test]
        fn rubbish_ends_and_never_panics(bytes: Vec<u8>) {
            for (_, reply) in replies(&bytes) {
                if let Reply::Body(body) = reply {
                    attributes(body).for_each(drop);
                }
            }
            attributes(&bytes).for_each(drop);
        }
    }
}
