//! `bpfman-api`: takes clients' requests to the workers that can carry them out, and their answers back.
//!
//! It holds no capability, opens no file and decides nothing about rights: who a client is, the loader learns from the
//! client's own socket, which travels to it when the session is opened.
//!
//! ```text
//! supervisor ── control ──▶ Conductor ── peers (watch) ──▶ session (one per client) ──▶ loader, image
//!                               └── listening socket ──▶ accept ──▶ session
//! ```

pub mod conductor;
pub mod limits;
pub mod peers;
pub mod requests;
pub mod session;
pub mod validate;

/// The system calls that this worker needs, each with its reason.
pub const SECCOMP: &str = include_str!("../sandbox/seccomp.json");
