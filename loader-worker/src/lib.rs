//! `bpfman-loader`: the only process with CAP_BPF, and the reference monitor.
//!
//! Policy decision, journal and kernel effect are in this one place, so that a compromised API or image worker can ask
//! but cannot act around it. A request takes this way:
//!
//! 1. [`gatekeeper`] knows who asks ([`session`]), decides whether they may ([`policy`]), and lets a load wait for its
//!    plan ([`join`]).
//! 2. [`plan_intake`] and [`valid_plan`] turn the image worker's bytes into something that can be relied on.
//! 3. [`engine`], which alone owns the [`store`], has the request planned as plain data ([`steps`]), writes an intent,
//!    has it carried out ([`execute`], [`remove`]) or taken back ([`undo`]), and commits.
//! 4. On start [`reconcile`] finishes or takes back what was under way and compares store, pins and kernel ([`drift`]).
//!
//! What is deliberately absent: any parser of a foreign format. Plans and requests are typed and bounded, and no byte of
//! an object file comes here. No bpf descriptor is kept between requests: pins keep programs alive.

pub mod chains;
pub mod control;
pub mod drift;
pub mod engine;
pub mod execute;
pub mod faults;
pub mod gatekeeper;
pub mod helper;
pub mod helpers;
pub mod hooks;
pub mod iterators;
pub mod join;
pub mod kernel;
pub mod kinds;
pub mod layout;
pub mod limits;
pub mod network_namespace;
pub mod observe;
pub mod peer;
pub mod peer_link;
pub mod plan_file;
pub mod plan_intake;
mod poison;
pub mod policy;
pub mod provenance;
pub mod reconcile;
pub mod remove;
pub mod reply;
pub mod request;
pub mod room;
pub mod session;
pub mod share;
pub mod spawned_helpers;
pub mod steps;
pub mod store;
pub mod undo;
pub mod valid_plan;

use ipc::role::Role;
use sandbox::WorkerArguments;
use std::process::ExitCode;

/// The system calls that the loader needs, each with its reason.
pub const SECCOMP: &str = include_str!("../sandbox/seccomp.json");

/// The whole life of the process: a one-shot helper if it was started as one, else the loader.
pub fn run() -> ExitCode {
    match WorkerArguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) if arguments.role == Role::Helper => helper::run(&arguments),
        // Anything wrong with the arguments is told there.
        _ => sandbox::start::worker(Role::Loader, SECCOMP, control::serve),
    }
}
