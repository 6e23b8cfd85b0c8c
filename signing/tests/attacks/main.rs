//! Signatures that must count, and a table of those that must not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../../tests/src/authority/mod.rs"]
mod authority;

mod bounds;
mod identities;
mod keys;
mod stamps;
mod world;
