//! `bpfman-image`: fetches images, turns object files into load plans, and finds functions in binaries, without any
//! capability.
//!
//! Object files and registries may be anybody's. Here is where they are parsed and spoken to, so that the one process with
//! CAP_BPF need not:
//!
//! ```text
//! API worker ── file descriptor ──▶ compiler: input ▶ compile ▶ seal ── sealed memfd ──▶ loader
//!      └────── image reference ──▶ puller: registry or cache ▶ verdict ▶ unpack ──▶ compiler
//! ```
//!
//! What is deliberately absent: bpf(2), the store, listening.

mod binary;
pub mod cache;
pub mod compile;
pub mod compiler;
pub mod conductor;
pub mod evidence;
mod go_functions;
pub mod input;
pub mod ld_cache;
pub mod limits;
pub mod pull;
pub mod puller;
pub mod rules;
pub mod seal;
pub mod secret;
pub mod symbols;
pub mod usdt;

use ipc::link::{self, LinkError};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use ractor::Actor as _;
use sandbox::start::{self, Started};
use std::process::ExitCode;

/// The system calls that this worker needs, each with its reason.
pub const SECCOMP: &str = include_str!("../sandbox/seccomp.json");

/// Enters the sandbox, then serves until the supervisor says stop or goes away.
pub fn run() -> ExitCode {
    start::worker(Role::Image, SECCOMP, serve)
}

async fn serve(started: Started) -> Result<(), Error> {
    let generation = started.arguments.generation;
    let (sender, receiver, _) = link::establish::<Control, Status>(
        started.control,
        Role::Image,
        generation,
        (Role::Supervisor, generation),
    )
    .await?;
    sender.send(0, &Status::Ready(started.report), &[]).await?;
    let arguments = conductor::Arguments {
        generation,
        sender,
        receiver,
        cache_dir: started.arguments.cache_dir,
    };
    let (_, life) = conductor::Conductor::spawn(None, conductor::Conductor, arguments).await?;
    life.await?;
    Ok(())
}

/// Why the worker ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The supervisor could not be greeted.
    #[error("supervisor: {0}")]
    Supervisor(#[from] LinkError),
    /// The conductor could not start.
    #[error(transparent)]
    Start(#[from] ractor::SpawnErr),
    /// The conductor panicked.
    #[error(transparent)]
    Conductor(#[from] tokio::task::JoinError),
}
