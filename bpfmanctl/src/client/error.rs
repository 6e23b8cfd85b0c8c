//! What can go wrong between a command and the service.

use ipc::link::{Fault, LinkError};
use ipc::messages::failure::Failure;
use std::io;
use std::path::PathBuf;

/// Why the service did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No service listens.
    #[error(
        "connect: the bpfman service is not running: {cause} at {}; start it with `systemctl start bpfman` or \
         `bpfmand`, or name its directory with --runtime-dir",
        socket.display()
    )]
    NotRunning {
        /// What was tried.
        socket: PathBuf,
        /// What is there instead.
        cause: &'static str,
    },
    /// The socket is not for this user.
    #[error(
        "connect: permission denied on {}: only root and members of the group {group} may use it; become a member \
         with `usermod -aG {group} USER` and log in again",
        socket.display()
    )]
    Denied {
        /// What was tried.
        socket: PathBuf,
        /// Who may use it.
        group: String,
    },
    /// The socket is root's alone: there is no group that could be joined without becoming root.
    #[error(
        "connect: permission denied on {}: only root may use it; run the command as root, or create the group \
         bpfman and restart the service, which then serves the group's members too",
        socket.display()
    )]
    RootOnly {
        /// What was tried.
        socket: PathBuf,
    },
    /// The socket cannot be connected to for another reason.
    #[error("connect: {}: {source}", socket.display())]
    Connect {
        /// What was tried.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The answer did not come.
    #[error("connect: no answer from the service within {0:?}; see `bpfmanctl status`")]
    Silent(std::time::Duration),
    /// The service closes connections before it greets.
    #[error(
        "connect: the service takes no connection at the moment; see `bpfmanctl status`, and its log"
    )]
    NotGreeted,
    /// The connection broke before the answer to a question came.
    #[error("connect: the service closed the connection before it answered")]
    Closed,
    /// The connection broke before the answer to a change came.
    #[error(
        "connect: the service closed the connection before it answered: whether the change was made is unknown; \
         look with `program list` or `link list`"
    )]
    Uncertain,
    /// The other end does not speak the protocol.
    #[error("connect: {0}; are bpfmanctl and the service of one version?")]
    Link(LinkError),
    /// The answer is none to what was asked.
    #[error("connect: the service answered {0} out of turn")]
    Unexpected(&'static str),
    /// The service refused, or tried and failed.
    #[error(transparent)]
    Failed(Box<Failure>),
}

impl ClientError {
    /// The service's own report, if it is one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            ClientError::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the same question may be answered if asked again.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            ClientError::Closed => true,
            ClientError::Failed(failure) => failure.is_retryable(),
            _ => false,
        }
    }
}

impl From<LinkError> for ClientError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Closed => ClientError::Closed,
            LinkError::Fault(Fault::Stalled(deadline)) => ClientError::Silent(deadline),
            error => ClientError::Link(error),
        }
    }
}
