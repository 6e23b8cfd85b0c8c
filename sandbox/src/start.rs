//! What every worker does before it is itself: read its settings, set up logging, enter the sandbox, start a runtime.

use crate::profiles::{self, CONTROL_SOCKET};
use crate::seccomp::Policy;
use crate::{WorkerArguments, enter, logging};
use ipc::messages::supervision::SandboxReport;
use ipc::role::Role;
use std::fmt::Display;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;

/// A worker inside its sandbox.
#[derive(Debug)]
pub struct Started {
    /// Its settings.
    pub arguments: WorkerArguments,
    /// What it gave up.
    pub report: SandboxReport,
    /// The socket to whoever started it.
    pub control: OwnedFd,
}

/// The whole life of a worker with a runtime: in, serve, out. Says on descriptor 2 why it could not.
pub fn worker<Life, Error>(
    role: Role,
    policy: &str,
    serve: impl FnOnce(Started) -> Life,
) -> ExitCode
where
    Life: Future<Output = Result<(), Error>>,
    Error: Display,
{
    match started(role, policy).and_then(|started| {
        // The runtime comes last: its descriptors and threads belong to the process that is already inside.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("runtime: {error}"))?;
        Ok((runtime, started))
    }) {
        Ok((runtime, started)) => match runtime.block_on(serve(started)) {
            Ok(()) => ExitCode::SUCCESS,
            // While the runtime is there: waiting for its threads may take longer than the supervisor waits.
            Err(error) => failed(role, &error),
        },
        Err(error) => failed(role, &error),
    }
}

/// One write: what comes in pieces may end after the first, since the supervisor kills a worker whose link is closed.
fn failed(role: Role, error: &dyn Display) -> ExitCode {
    use std::io::Write;
    // Fails only when nobody reads, and then there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("{role}: {error}\n").as_bytes());
    ExitCode::FAILURE
}

/// Enters the sandbox of the role as the arguments of the process say.
///
/// # Errors
///
/// A sentence for the log, when the arguments are not those of the role or the sandbox could not be entered.
pub fn started(role: Role, policy: &str) -> Result<Started, String> {
    let arguments =
        WorkerArguments::parse(std::env::args_os().skip(1)).map_err(|error| error.to_string())?;
    if arguments.role != role {
        return Err(format!("started as {}", arguments.role));
    }
    let policy = Policy::parse(policy).map_err(|error| error.to_string())?;
    logging::init(&arguments.log, role.name()).map_err(|error| error.to_string())?;
    let report = enter(&profiles::profile(&arguments, policy), arguments.mode)
        .map_err(|error| error.to_string())?;
    Ok(Started {
        arguments,
        report,
        control: control_socket(),
    })
}

#[allow(
    unsafe_code,
    reason = "an inherited descriptor has to be adopted by its number once"
)]
fn control_socket() -> OwnedFd {
    // SAFETY: the profile of every worker keeps this descriptor and `enter` has checked that it is open; this function is
    // private to the start of the process and called once, so nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(CONTROL_SOCKET) }
}
