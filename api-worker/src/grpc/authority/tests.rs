//! What passes through unchanged, and what does not.

use super::*;
use proptest::prelude::*;

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 4, 0, 0, 0, 1], body].concat()
}

/// A literal field with a new name, as the C library writes it.
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut field = vec![0x40, u8::try_from(name.len()).unwrap()];
    field.extend(name);
    match value.len() {
        length @ 0..127 => field.push(length as u8),
        length => field.extend([127, (length - 127) as u8]),
    }
    field.extend(value);
    field
}

fn client(frames: &[Vec<u8>]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frames.concat()].concat()
}

/// What arrives when it comes in pieces of this size.
fn passed(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    let mut tolerant = Tolerant::new(());
    for piece in bytes.chunks_mut(size) {
        tolerant.pass(piece);
    }
    bytes
}

#[test]
fn a_path_becomes_a_name_however_it_arrives() {
    let long = b"a%2F".repeat(40);
    let hyphens = b"a-2F".repeat(40);
    for (sent, arrived) in [
        (
            &b"run%2Fbpfman-sock%2Fbpfman.sock"[..],
            &b"run-2Fbpfman-sock-2Fbpfman.sock"[..],
        ),
        (b"%", b"-"),
        (b"", b""),
        (&long[..126], &hyphens[..126]),
        (&long[..127], &hyphens[..127]),
        (&long, &hyphens),
    ] {
        let of = |value| {
            let fields = [
                field(b":path", b"/%"),
                field(b":authority", value),
                field(b"x", b"%"),
            ];
            client(&[
                frame(4, b""),
                frame(HEADERS, &fields.concat()),
                frame(0, &field(b":authority", b"%")),
                frame(HEADERS, &field(b":authority", value)),
            ])
        };
        for size in [1, 2, 7, 4096] {
            assert_eq!(passed(of(sent), size), of(arrived), "{size}");
        }
    }
}

#[test]
fn a_field_that_goes_on_in_another_frame_is_followed() {
    let of = |value: &[u8]| {
        let field = field(b":authority", value);
        let (begin, rest) = field.split_at(field.len() - 3);
        client(&[frame(HEADERS, begin), frame(CONTINUATION, rest)])
    };
    assert_eq!(passed(of(b"a%b%c"), 3), of(b"a-b-c"));
}

proptest! {
    #[test]
    fn nothing_but_percent_signs_changes(bytes: Vec<u8>, size in 1usize..64) {
        let arrived = passed(bytes.clone(), size);
        prop_assert_eq!(arrived.len(), bytes.len());
        for (sent, arrived) in bytes.iter().zip(&arrived) {
            prop_assert!(sent == arrived || (*sent, *arrived) == (b'%', b'-'));
        }
    }
}
