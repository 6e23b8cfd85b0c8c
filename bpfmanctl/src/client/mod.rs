//! The connection to the service.

mod error;

pub use error::ClientError;

use crate::group;
use crate::limits::{ANSWER_DEADLINE, IMAGE_DEADLINE};
use crate::retry::Retry;
use ipc::blocking::Link as Connection;
use ipc::limits::FRAME_DEADLINE;
use ipc::link::LinkError;
use ipc::messages::Message;
use ipc::messages::attach::{AttachSpec, Link, LinkEntry};
use ipc::messages::chain::{Chain, Dispatcher, HookKey, HookView, Strategy};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::kernel::{ForeignLink, KernelMap, KernelProgram};
use ipc::messages::loader::DoctorReport;
use ipc::messages::program::{LoadOptions, Program, ProgramEntry, TypedGlobal};
use ipc::messages::pull::{CachedImage, Progress, PullPolicy};
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
        types: Vec<TypedGlobal>,
        object: BorrowedFd<'_>,
    ) -> Result<Vec<Program>, ClientError> {
        let request = if types.is_empty() {
            ClientRequest::Load(options)
        } else {
            ClientRequest::LoadTyped { options, types }
        };
        reply!(self, request, &[object], ClientReply::Loaded(programs) => programs)
    }

    /// Loads programs from an image: all, in the order of the request, or none.
    pub fn load_image(
        &mut self,
        options: LoadOptions,
        types: Vec<TypedGlobal>,
        credentials: Option<BorrowedFd<'_>>,
    ) -> Result<Vec<Program>, ClientError> {
        let request = ClientRequest::LoadImage { options, types };
        reply!(self, request, credentials.as_slice(), ClientReply::Loaded(programs) => programs)
    }

    /// Has an image in the cache of the service.
    pub fn pull(
        &mut self,
        url: String,
        policy: PullPolicy,
        credentials: Option<BorrowedFd<'_>>,
    ) -> Result<CachedImage, ClientError> {
        let request = ClientRequest::PullImage { url, policy };
        reply!(self, request, credentials.as_slice(), ClientReply::Pulled(image) => *image)
    }

    /// How far the download of an image is.
    pub fn pull_progress(&mut self, url: String) -> Result<Vec<Progress>, ClientError> {
        let request = ClientRequest::PullProgress { url };
        reply!(self, request, &[], ClientReply::Progress(progress) => progress)
    }

    /// Images in the cache of the service, by reference.
    pub fn images(&mut self) -> Result<Vec<CachedImage>, ClientError> {
        reply!(self, ClientRequest::ListImages, &[], ClientReply::Images(images) => images)
    }

    /// Removes images from the cache but those with these manifests; how many, and how many bytes that gave back.
    pub fn prune_images(&mut self, keep: Vec<[u8; 32]>) -> Result<(u32, u64), ClientError> {
        let request = ClientRequest::PruneImages { keep };
        reply!(self, request, &[], ClientReply::Pruned { images, bytes } => (images, bytes))
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

    /// Attaches a program in the network namespace of an open file; the path is what it is called.
    pub fn attach_in_namespace(
        &mut self,
        program_id: u32,
        spec: AttachSpec,
        metadata: BTreeMap<String, String>,
        netns: String,
        file: BorrowedFd<'_>,
    ) -> Result<Link, ClientError> {
        let request = ClientRequest::AttachInNamespace {
            program_id,
            spec,
            netns,
            metadata,
        };
        reply!(self, request, &[file], ClientReply::Link(link) => *link)
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

    /// All programs in the kernel, whoever loaded them, ascending by id.
    pub fn kernel_programs(&mut self) -> Result<Vec<KernelProgram>, ClientError> {
        reply!(self, ClientRequest::ListKernelPrograms, &[], ClientReply::KernelPrograms(programs) => programs)
    }

    /// All maps in the kernel, whoever made them, ascending by id.
    pub fn kernel_maps(&mut self) -> Result<Vec<KernelMap>, ClientError> {
        reply!(self, ClientRequest::ListKernelMaps, &[], ClientReply::KernelMaps(maps) => maps)
    }

    /// All links in the kernel, whoever made them, ascending by id.
    pub fn kernel_links(&mut self) -> Result<Vec<ForeignLink>, ClientError> {
        reply!(self, ClientRequest::ListKernelLinks, &[], ClientReply::KernelLinks(links) => links)
    }

    /// All hooks on which bpfman orders the programs.
    pub fn dispatchers(&mut self) -> Result<Vec<Dispatcher>, ClientError> {
        let request = ClientRequest::ListDispatchers;
        reply!(self, request, &[], ClientReply::Dispatchers(dispatchers) => dispatchers)
    }

    /// One of them with its members.
    pub fn dispatcher(&mut self, key: HookKey) -> Result<Chain, ClientError> {
        let request = ClientRequest::GetDispatcher { key };
        reply!(self, request, &[], ClientReply::Chain(chain) => *chain)
    }

    /// Has the programs of a hook called in another way; `None` lets the service choose.
    pub fn convert(
        &mut self,
        key: HookKey,
        strategy: Option<Strategy>,
    ) -> Result<Chain, ClientError> {
        let request = ClientRequest::ConvertChain { key, strategy };
        reply!(self, request, &[], ClientReply::Chain(chain) => *chain)
    }

    /// Everything on the hooks of an interface.
    pub fn hooks(&mut self, interface: String) -> Result<Vec<HookView>, ClientError> {
        let request = ClientRequest::ShowHooks {
            interface,
            netns: None,
        };
        reply!(self, request, &[], ClientReply::Hooks(hooks) => hooks)
    }

    /// Those of an interface in the network namespace of an open file; the path is what it is called.
    pub fn hooks_in_namespace(
        &mut self,
        interface: String,
        netns: String,
        file: BorrowedFd<'_>,
    ) -> Result<Vec<HookView>, ClientError> {
        let request = ClientRequest::ShowHooks {
            interface,
            netns: Some(netns),
        };
        reply!(self, request, &[file], ClientReply::Hooks(hooks) => hooks)
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
        match connection.send(self.last_request, request, descriptors) {
            // Who has no room for this client says so before it closes.
            Ok(()) | Err(LinkError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        let deadline = match request {
            ClientRequest::LoadImage { .. } | ClientRequest::PullImage { .. } => IMAGE_DEADLINE,
            _ => ANSWER_DEADLINE,
        };
        let answer = connection.receive(deadline)?.ok_or(ClientError::Closed)?;
        match answer.message {
            ClientReply::Failed(failure) if answer.request_id == 0 => {
                Err(ClientError::Failed(Box::new(failure)))
            }
            reply if answer.request_id != self.last_request => {
                Err(ClientError::Unexpected(name(&reply)))
            }
            reply => {
                // Kept only when it is in order: what comes late to a request given up must not answer the next one.
                self.connection = Some(connection);
                match reply {
                    ClientReply::Failed(failure) => Err(ClientError::Failed(Box::new(failure))),
                    reply => Ok(reply),
                }
            }
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

/// The service's group, where it has one.
const GROUP: &str = "bpfman";

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
            let group = match gid {
                Ok(gid) => Some((gid, group::name(gid).unwrap_or_else(|| gid.to_string()))),
                Err(_) => group::resolve(GROUP)
                    .ok()
                    .map(|gid| (gid, GROUP.to_owned())),
            };
            denied(socket, group)
        }
        _ => ClientError::Connect {
            socket,
            source: error,
        },
    }
}

/// Who may use a socket of this group, by number and name. Where its directory is closed it should be the service's, if
/// there is one.
fn denied(socket: PathBuf, group: Option<(u32, String)>) -> ClientError {
    match group {
        // Membership in root's group would be more than access to one socket.
        None | Some((0, _)) => ClientError::RootOnly { socket },
        Some((_, group)) => ClientError::Denied { socket, group },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_join_the_group_of_root() {
        let told = |gid, name: &str| {
            let group = Some((gid, name.to_owned()));
            denied("/run/bpfman/bpfmanctl.sock".into(), group).to_string()
        };
        let root = told(0, "root");
        assert!(!root.contains("usermod"), "{root}");
        assert!(root.contains("only root may use it"), "{root}");
        assert!(root.contains("create the group bpfman"), "{root}");
        assert!(told(998, "bpfman").contains("`usermod -aG bpfman USER`"));
        // Nor to join one that there is not.
        let nobody = denied("/run/bpfman/bpfmanctl.sock".into(), None).to_string();
        assert_eq!(nobody, root);
    }
}
