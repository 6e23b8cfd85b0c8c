//! Arbitrary bytes on a socket, as each process would read them from each of its peers.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz frames`. What it does is in `tests/src/every_edge.rs`, which belongs to the
//! workspace and is compiled and run with its tests.
#![no_main]

#[path = "../../src/every_edge.rs"]
mod every_edge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| every_edge::read(bytes));
