//! Arbitrary bytes as what registries send, and as names of images.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz images`. What it does is in `tests/src/every_image.rs`, which belongs to the
//! workspace and is compiled and run with its tests.
#![no_main]

#[path = "../../src/every_image.rs"]
mod every_image;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    every_image::read(bytes);
});
