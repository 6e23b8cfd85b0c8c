//! The connection to the service.

use crate::group;
use crate::limits::ANSWER_DEADLINE;
use crate::retry::Retry;
use ipc::blocking::Link as Connection;
use ipc::limits::FRAME_DEADLINE;
use ipc::link::{Fault, LinkError};
use ipc::messages::Message;
use ipc::messages::attach::{AttachSpec, Link, LinkEntry};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::Failure;
use ipc::messages::loader::DoctorReport;
use ipc::messages::program::{LoadOptions, Program, ProgramEntry};
use ipc::messages::supervision::ProcessStatus;
use ipc::permissions;
use ipc::role::Role;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Name of the socket in the runtime directory.
pub const SOCKET_NAME: &str = "bpfmanctl.sock";

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

    fn may_pass(&self) -> bool {
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

/// Connects to the service whose runtime directory this is.
///
/// # Errors
///
/// When no service listens there, when it is not for this user, or when it does not answer.
pub fn connect(runtime_dir: impl AsRef<Path>) -> Result<Client, ClientError> {
    let socket = runtime_dir.as_ref().join(SOCKET_NAME);
    let connection = connection(&socket)?;
    Ok(Client {
        socket,
        connection: Some(connection),
        last_request: 0,
    })
}

/// One connection; requests go over it one at a time.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    /// `None` after it broke, until the next request.
    connection: Option<Connection<ClientReply, ClientRequest>>,
    last_request: u64,
}

/// A typed method per request: `reply!(self, request, descriptors => Variant(value) => result)`.
macro_rules! reply {
    ($client:expr, $request:expr, $descriptors:expr, $pattern:pat => $value:expr) => {
        match $client.request(&$request, $descriptors)? {
            $pattern => Ok($value),
            other => Err(ClientError::Unexpected(name(&other))),
        }
    };
}

#[allow(
    clippy::missing_errors_doc,
    reason = "all fail in the ways that ClientError lists"
)]
impl Client {
    /// Loads programs from an open object file: all, in the order of the request, or none.
    pub fn load(
        &mut self,
        options: LoadOptions,
        object: BorrowedFd<'_>,
    ) -> Result<Vec<Program>, ClientError> {
        reply!(self, ClientRequest::Load(options), &[object], ClientReply::Loaded(programs) => programs)
    }

    /// One program.
    pub fn program(&mut self, program_id: u32) -> Result<Program, ClientError> {
        let request = ClientRequest::GetProgram { program_id };
        reply!(self, request, &[], ClientReply::Program(program) => *program)
    }

    /// All programs, ascending by id.
    pub fn programs(&mut self) -> Result<Vec<ProgramEntry>, ClientError> {
        reply!(self, ClientRequest::ListPrograms, &[], ClientReply::Programs(programs) => programs)
    }

    /// Detaches a program's links and unloads it.
    pub fn unload(&mut self, program_id: u32) -> Result<(), ClientError> {
        reply!(self, ClientRequest::Unload { program_id }, &[], ClientReply::Done => ())
    }

    /// Attaches a program; a uprobe's target is an open file.
    pub fn attach(
        &mut self,
        program_id: u32,
        spec: AttachSpec,
        metadata: BTreeMap<String, String>,
        target: Option<BorrowedFd<'_>>,
    ) -> Result<Link, ClientError> {
        let request = ClientRequest::Attach {
            program_id,
            spec,
            metadata,
        };
        reply!(self, request, target.as_slice(), ClientReply::Link(link) => *link)
    }

    /// Detaches a link.
    pub fn detach(&mut self, link_id: u64) -> Result<(), ClientError> {
        reply!(self, ClientRequest::Detach { link_id }, &[], ClientReply::Done => ())
    }

    /// One link.
    pub fn link(&mut self, link_id: u64) -> Result<Link, ClientError> {
        let request = ClientRequest::GetLink { link_id };
        reply!(self, request, &[], ClientReply::Link(link) => *link)
    }

    /// All links, ascending by id.
    pub fn links(&mut self) -> Result<Vec<LinkEntry>, ClientError> {
        reply!(self, ClientRequest::ListLinks, &[], ClientReply::Links(links) => links)
    }

    /// Every process of the service.
    pub fn status(&mut self) -> Result<Vec<ProcessStatus>, ClientError> {
        reply!(self, ClientRequest::Status, &[], ClientReply::Status(processes) => processes)
    }

    /// Where store, pins and kernel differ.
    pub fn doctor(&mut self) -> Result<DoctorReport, ClientError> {
        reply!(self, ClientRequest::Doctor, &[], ClientReply::Doctor(report) => report)
    }

    /// Any request. One that only reads is asked again while the service restarts a worker.
    pub fn request(
        &mut self,
        request: &ClientRequest,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<ClientReply, ClientError> {
        let repeatable = permissions::lookup(Role::Client, Role::Api, request.kind())
            .is_some_and(|permission| permission.idempotent);
        let mut retry = Retry::new();
        loop {
            match self.ask(request, descriptors) {
                Err(error) if repeatable && error.may_pass() && retry.pause() => {}
                Err(ClientError::Closed) if !repeatable => return Err(ClientError::Uncertain),
                outcome => return outcome,
            }
        }
    }

    fn ask(
        &mut self,
        request: &ClientRequest,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<ClientReply, ClientError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connection(&self.socket)?,
        };
        self.last_request += 1;
        connection.send(self.last_request, request, descriptors)?;
        let answer = connection
            .receive(ANSWER_DEADLINE)?
            .ok_or(ClientError::Closed)?;
        if answer.request_id != self.last_request {
            return Err(ClientError::Unexpected(name(&answer.message)));
        }
        // Kept only when it is in order: what comes late to a request given up must not answer the next one.
        self.connection = Some(connection);
        match answer.message {
            ClientReply::Failed(failure) => Err(ClientError::Failed(Box::new(failure))),
            reply => Ok(reply),
        }
    }
}

fn name(reply: &ClientReply) -> &'static str {
    ClientReply::KINDS
        .get(usize::from(reply.kind()))
        .copied()
        .unwrap_or("an unknown message")
}

/// Connects and exchanges greetings. A worker that dies meanwhile has not seen a request: the next one is tried.
fn connection(socket: &Path) -> Result<Connection<ClientReply, ClientRequest>, ClientError> {
    let mut retry = Retry::new();
    loop {
        let stream = UnixStream::connect(socket).map_err(|error| refused(socket, error))?;
        match Connection::establish(stream, Role::Client, 0, Role::Api, FRAME_DEADLINE) {
            Ok((connection, _)) => return Ok(connection),
            Err(LinkError::Closed) if retry.pause() => {}
            Err(LinkError::Closed) => return Err(ClientError::NotGreeted),
            Err(error) => return Err(error.into()),
        }
    }
}

fn refused(socket: &Path, error: io::Error) -> ClientError {
    let socket = socket.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => ClientError::NotRunning {
            socket,
            cause: "there is no socket",
        },
        io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
            socket,
            cause: "nobody listens on the socket",
        },
        io::ErrorKind::PermissionDenied => {
            let gid = std::fs::metadata(&socket).map(|metadata| metadata.gid());
            let group = gid
                .ok()
                .and_then(group::name)
                .unwrap_or_else(|| "bpfman".to_owned());
            ClientError::Denied { socket, group }
        }
        _ => ClientError::Connect {
            socket,
            source: error,
        },
    }
}
