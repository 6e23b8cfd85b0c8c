//! The engine on a real kernel: whole lives of programs, and what is left when something fails or the process is killed
//! at any step.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails, also in what tests share"
)]

#[path = "../kernel_support/mod.rs"]
#[allow(unreachable_pub, reason = "shared by several test binaries")]
mod kernel_support;

mod by_name;
mod chains;
mod crashes;
mod differences;
mod elsewhere;
mod failures;
mod full;
mod guests;
mod host;
mod lives;
mod maps_of_maps;
mod objects;
mod parallel;
mod reasons;
mod sequences;
mod sharing;
mod switch;
mod unloads;
