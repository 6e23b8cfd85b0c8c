//! `bpfman-api`: takes clients' requests to the workers that can carry them out, and their answers back.
//!
//! It holds no capability, opens no file and decides nothing about rights: who a client is, the loader learns from the
//! client's own socket, which travels to it when the session is opened.
//!
//! ```text
//! supervisor ── control ──▶ Conductor ── peers (watch) ──▶ session (one per client) ──▶ loader, image
//!                               └── listening sockets ──▶ accept ──▶ session, gRPC connection (of the service, of the kubelet)
//! ```

pub mod awaited;
mod binaries;
pub mod conductor;
pub mod csi;
pub mod grpc;
mod images;
pub mod inventory;
pub mod limits;
pub mod older_clients;
pub mod peers;
pub mod proto;
pub mod refusals;
pub mod requests;
mod running_images;
pub mod session;
pub mod validate;

use ipc::link::{self, LinkError};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use ractor::Actor;
use sandbox::start::{self, Started};
use std::process::ExitCode;

/// The system calls that this worker needs, each with its reason.
pub const SECCOMP: &str = include_str!("../sandbox/seccomp.json");

/// Enters the sandbox, then serves until the supervisor says stop or goes away.
pub fn run() -> ExitCode {
    start::worker(Role::Api, SECCOMP, serve)
}

async fn serve(started: Started) -> Result<(), Error> {
    let generation = started.arguments.generation;
    let (sender, receiver, _) = link::establish::<Control, Status>(
        started.control,
        Role::Api,
        generation,
        (Role::Supervisor, generation),
    )
    .await?;
    sender.send(0, &Status::Ready(started.report), &[]).await?;
    let arguments = conductor::Arguments {
        generation,
        sender,
        receiver,
    };
    let (_, life) = Actor::spawn(None, conductor::Conductor, arguments).await?;
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
