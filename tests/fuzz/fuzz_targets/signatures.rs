//! Arbitrary bytes as signatures of an image, as keys and as trusted roots.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz signatures`. What it does is in `tests/src/every_signature/`, which belongs to
//! the workspace and is compiled and run with its tests.
#![no_main]

#[path = "../../src/every_signature/mod.rs"]
mod every_signature;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| every_signature::read(bytes));
