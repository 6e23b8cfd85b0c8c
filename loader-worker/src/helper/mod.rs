//! The one-shot helper: `bpfman-loader` started for exactly one operation that needs a capability the loader must not hold.
//!
//! It enters a sandbox that leaves it this capability and the system calls of its job, takes one job from the loader over
//! the socket it was started with, answers, and ends. Whatever else comes is refused by the link's permission table.
//!
//! What is deliberately absent: a runtime, threads, a second job.

mod job;
mod libxdp;
mod namespace;
mod open;
mod socket;
mod volume;
mod xdp_program;

use crate::helpers::Done;
use ipc::blocking::Link;
use ipc::limits::HELPER_DEADLINE;
use ipc::messages::failure::Failure;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::role::Role;
use sandbox::profiles;
use sandbox::seccomp::Policy;
use sandbox::{WorkerArguments, enter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

pub use job::perform;

const PERF_EVENT_POLICY: &str = include_str!("../../sandbox/helper-perf.json");
const CHANGE_GROUP_POLICY: &str = include_str!("../../sandbox/helper-group.json");
const DESCRIBE_XDP_POLICY: &str = include_str!("../../sandbox/helper-xdp.json");
const NETWORK_NAMESPACE_POLICY: &str = include_str!("../../sandbox/helper-netns.json");
const OPEN_PATH_POLICY: &str = include_str!("../../sandbox/helper-open.json");
const MOUNT_VOLUME_POLICY: &str = include_str!("../../sandbox/helper-mount.json");
const LIBXDP_POLICY: &str = include_str!("../../sandbox/helper-libxdp.json");
const OPEN_IN_CONTAINER_POLICY: &str = include_str!("../../sandbox/helper-container.json");

/// Why a helper ended without an answer.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It was started as something else.
    #[error("this process was not started as a helper")]
    NotAHelper,
    /// The sandbox could not be entered.
    #[error(transparent)]
    Sandbox(#[from] sandbox::EnterError),
    /// The policy file of this build does not parse.
    #[error(transparent)]
    Policy(#[from] sandbox::seccomp::PolicyError),
    /// The loader went away or broke the protocol.
    #[error(transparent)]
    Link(#[from] ipc::link::LinkError),
}

/// Does one job and ends. To be called first thing in `main`, by the only thread.
pub fn run(arguments: &WorkerArguments) -> ExitCode {
    match enter_and_serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the log pipe to the supervisor.
            eprintln!("helper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn enter_and_serve(arguments: &WorkerArguments) -> Result<(), HelperError> {
    let kind = arguments.helper.ok_or(HelperError::NotAHelper)?;
    let policy = Policy::parse(match kind {
        HelperKind::PerfEvent => PERF_EVENT_POLICY,
        HelperKind::ChangeGroup => CHANGE_GROUP_POLICY,
        HelperKind::NetworkNamespace => NETWORK_NAMESPACE_POLICY,
        HelperKind::OpenPath => OPEN_PATH_POLICY,
        HelperKind::OpenInContainer => OPEN_IN_CONTAINER_POLICY,
        HelperKind::DescribeXdp => DESCRIBE_XDP_POLICY,
        HelperKind::MountVolume => MOUNT_VOLUME_POLICY,
        HelperKind::Libxdp => LIBXDP_POLICY,
    })?;
    enter(&profiles::profile(arguments, policy), arguments.mode)?;
    match kind {
        HelperKind::MountVolume => {
            let roots = volume::Roots::open(arguments);
            answer(socket::inherited(), arguments.generation, |job, beside| {
                let roots = roots.as_ref().map_err(Clone::clone)?;
                volume::perform(roots, job, beside).unwrap_or_else(|| Err(job::unfit(job)))
            })
        }
        _ => serve(socket::inherited(), arguments.generation, kind),
    }
}

/// Takes one job from the loader, does it, answers.
pub fn serve(socket: UnixStream, generation: u32, kind: HelperKind) -> Result<(), HelperError> {
    answer(socket, generation, |job, beside| perform(kind, job, beside))
}

fn answer(
    socket: UnixStream,
    generation: u32,
    perform: impl FnOnce(&HelperJob, &[OwnedFd]) -> Result<Done, Failure>,
) -> Result<(), HelperError> {
    let (mut link, _) = Link::<HelperJob, HelperResult>::establish(
        socket,
        Role::Helper,
        generation,
        Role::Loader,
        HELPER_DEADLINE,
    )?;
    let Some(envelope) = link.receive(HELPER_DEADLINE)? else {
        return Ok(());
    };
    let (answer, opened) = match perform(&envelope.message, &envelope.descriptors) {
        Ok(done) => (done.result, done.descriptors),
        Err(failure) => (HelperResult::Failed(failure), Vec::new()),
    };
    let beside: Vec<_> = opened.iter().map(AsFd::as_fd).collect();
    link.send(envelope.request_id, &answer, &beside)?;
    Ok(())
}
