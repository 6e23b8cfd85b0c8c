//! What each client request becomes: which worker is asked, what is awaited, what is told to the client.
//!
//! Owns nothing. A [`Context`] belongs to one client connection; its requests run concurrently, each a future.

use crate::awaited::Awaited;
use crate::limits::ATTEMPTS;
use crate::peers::{Directory, Image, Loader, unavailable};
use crate::validate;
use ipc::call::{CallError, Caller};
use ipc::limits::REQUEST_DEADLINE;
use ipc::link::{Envelope, LinkError};
use ipc::messages::Message;
use ipc::messages::attach::AttachSpec;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::messages::kernel::Inventory;
use ipc::messages::loader::{Errand, LoaderReply, LoaderRequest, Session, Ticket};
use ipc::messages::program::{LoadOptions, TypedGlobal};
use ipc::messages::supervision::{Control, Status};
use ipc::permissions;
use ipc::role::Role;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, Semaphore};

/// One client connection, as its requests see it.
#[derive(Clone, Debug)]
pub struct Context {
    /// Number of the connection; the loader knows the client's identity under it.
    pub session: Session,
    /// The client's own socket, shown to each incarnation of the loader.
    pub socket: Arc<OwnedFd>,
    /// The workers.
    pub directory: Directory,
    /// The supervisor.
    pub supervisor: Caller<Status, Control>,
    /// Incarnation of the loader that knows the session.
    pub introduced: Arc<Mutex<u32>>,
    /// Numbers for load requests, unique over all incarnations of the worker.
    pub tickets: Arc<AtomicU64>,
    /// Places of those that wait for registries.
    pub pulls: Arc<Semaphore>,
    /// Whether anybody waits for the answer.
    pub awaited: Awaited,
}

/// Carries out one request.
pub async fn answer(
    context: Context,
    request: ClientRequest,
    descriptors: Vec<OwnedFd>,
) -> ClientReply {
    carry_out(context, request, descriptors)
        .await
        .unwrap_or_else(ClientReply::Failed)
}

async fn carry_out(
    mut context: Context,
    request: ClientRequest,
    descriptors: Vec<OwnedFd>,
) -> Result<ClientReply, Failure> {
    let session = context.session;
    let plain = match request {
        ClientRequest::Load(options) => return context.load(options, vec![], descriptors).await,
        ClientRequest::LoadTyped { options, types } => {
            return context.load(options, types, descriptors).await;
        }
        ClientRequest::LoadImage { options, types } => {
            return context.load_image(options, types, descriptors).await;
        }
        ClientRequest::PullImage { url, policy } => {
            return context.pull(url, policy, descriptors).await;
        }
        ClientRequest::PullProgress { url } => return context.pull_progress(url).await,
        ClientRequest::ListImages => return context.list_images().await,
        ClientRequest::PruneImages { keep } => return context.prune_images(keep).await,
        ClientRequest::Attach {
            program_id,
            spec,
            metadata,
        } => {
            validate::attach(&spec, descriptors.len())?;
            return context
                .attach(program_id, spec, None, metadata, descriptors)
                .await;
        }
        ClientRequest::AttachInNamespace {
            program_id,
            spec,
            netns,
            metadata,
        } => {
            validate::attach_in_namespace(&spec, &netns)?;
            return context
                .attach(program_id, spec, Some(netns), metadata, descriptors)
                .await;
        }
        ClientRequest::Status => return context.status().await,
        // The table refuses a second greeting; this arm only completes the match.
        ClientRequest::Hello(_) => return Err(protocol("a second greeting")),
        ClientRequest::ListKernelPrograms => return context.inventory(Inventory::Programs).await,
        ClientRequest::ListKernelMaps => return context.inventory(Inventory::Maps).await,
        ClientRequest::ListKernelLinks => return context.inventory(Inventory::Links).await,
        ClientRequest::GetProgram { program_id } => {
            let get = LoaderRequest::GetProgram {
                session,
                program_id,
            };
            return context.ask_about(program_id, &get).await;
        }
        ClientRequest::ListPrograms => LoaderRequest::ListPrograms { session },
        ClientRequest::Unload { program_id } => {
            let unload = LoaderRequest::Unload {
                session,
                program_id,
            };
            return context.ask_about(program_id, &unload).await;
        }
        ClientRequest::Detach { link_id } => LoaderRequest::Detach { session, link_id },
        ClientRequest::GetLink { link_id } => LoaderRequest::GetLink { session, link_id },
        ClientRequest::ListLinks => LoaderRequest::ListLinks { session },
        ClientRequest::Doctor => return context.doctor().await,
        ClientRequest::ListDispatchers => LoaderRequest::ListDispatchers { session },
        ClientRequest::GetDispatcher { key } => LoaderRequest::GetDispatcher { session, key },
        ClientRequest::ConvertChain { key, strategy } => LoaderRequest::ConvertChain {
            session,
            key,
            strategy,
        },
        ClientRequest::ShowHooks { interface, netns } => {
            validate::hooks(&interface, netns.as_deref(), descriptors.len())?;
            let show = LoaderRequest::ShowHooks {
                session,
                interface,
                netns,
            };
            let namespace: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            return context.ask_loader(&show, &namespace).await;
        }
    };
    context.ask_loader(&plain, &[]).await
}

impl Context {
    async fn load(
        &mut self,
        options: LoadOptions,
        types: Vec<TypedGlobal>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<ClientReply, Failure> {
        validate::load(&options)?;
        validate::types(&options, &types)?;
        let [object] = descriptors.as_slice() else {
            return Err(protocol("a load without an object file"));
        };
        let ticket = self.new_ticket();
        let compile = ImageRequest::Compile {
            ticket,
            programs: options.programs.clone(),
            globals: options.globals.clone(),
            types,
        };
        let image = self.directory.image().await?;
        let loader = self.introduced_loader().await?;
        self.awaited.check()?;
        let load = LoaderRequest::Load {
            session: self.session,
            ticket,
            options,
        };
        let object = [object.as_fd()];
        self.join(&loader, &image, ticket, &load, (&compile, &object))
            .await
    }

    /// A ticket that nobody else has.
    pub(crate) fn new_ticket(&self) -> Ticket {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks the loader for something that takes a plan, and the image worker for the plan.
    pub(crate) async fn join(
        &self,
        loader: &Loader,
        image: &Image,
        ticket: Ticket,
        load: &LoaderRequest,
        (compile, object): (&ImageRequest, &[BorrowedFd<'_>]),
    ) -> Result<ClientReply, Failure> {
        let loaded = loader.caller.call(load, &[], REQUEST_DEADLINE);
        let compiled = image.caller.call(compile, object, REQUEST_DEADLINE);
        tokio::pin!(loaded, compiled);
        let mut awaited = self.awaited.clone();
        let (mut is_delivered, mut is_cancelled) = (false, false);
        loop {
            tokio::select! {
                answer = &mut loaded => {
                    return translate(answer.map_err(|error| uncertain(error, Role::Loader))?.message);
                }
                compiled = &mut compiled, if !is_delivered => match compiled.map(|answer| answer.message) {
                    Ok(ImageReply::Delivered) => is_delivered = true,
                    undelivered => {
                        cancel(loader, ticket).await;
                        return Err(match undelivered {
                            Ok(ImageReply::Failed(failure)) => failure,
                            Ok(other) => protocol(format!("{other:?} from the image worker")),
                            Err(error) => uncertain(error, Role::Image),
                        });
                    }
                },
                // A loader that has no plan yet gives it up; one that has begun goes on. It answers in either case.
                () = awaited.given_up(), if !is_cancelled => {
                    is_cancelled = true;
                    cancel(loader, ticket).await;
                }
            }
        }
    }

    /// Has the loader open a path with the client's identity, for clients that cannot pass a descriptor.
    pub(crate) async fn open_path(
        &mut self,
        path: String,
        container_pid: Option<i32>,
    ) -> Result<OwnedFd, Failure> {
        let open = LoaderRequest::OpenPath {
            session: self.session,
            path,
            container_pid,
        };
        let answer = self.call_loader(&open, &[]).await?;
        match answer.message {
            LoaderReply::PathOpened => answer
                .descriptors
                .into_iter()
                .next()
                .ok_or_else(|| protocol("a file that is not there")),
            LoaderReply::Failed(failure) => Err(failure),
            other => Err(protocol(format!("{other:?} from the loader"))),
        }
    }

    async fn attach(
        &mut self,
        program_id: u32,
        spec: AttachSpec,
        netns: Option<String>,
        metadata: BTreeMap<String, String>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<ClientReply, Failure> {
        validate::metadata(&metadata)?;
        let target: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let places = match self.places(&spec, &target).await {
            Ok(places) => places,
            Err(failure) => return Err(self.fit_first(program_id, &spec, failure).await),
        };
        let attach = LoaderRequest::Attach {
            session: self.session,
            program_id,
            spec,
            places,
            netns,
            metadata,
        };
        self.ask_loader(&attach, &target).await
    }

    /// Has the loader decide about what the image worker does alone.
    pub(crate) async fn permit(&mut self, errand: Errand) -> Result<(), Failure> {
        let session = self.session;
        let permit = LoaderRequest::Permit { session, errand };
        match self.ask_loader(&permit, &[]).await? {
            ClientReply::Done => Ok(()),
            other => Err(protocol(format!("{other:?} from the loader"))),
        }
    }

    /// The one request that the loader does not decide about: what it is asked for most is why the loader is down. It says
    /// about processes what /proc says to every user of the machine, and how often and why they ended; nothing of programs.
    async fn status(&self) -> Result<ClientReply, Failure> {
        let answer = self
            .supervisor
            .call(&Status::QueryStatus, &[], REQUEST_DEADLINE)
            .await;
        match answer
            .map_err(|error| uncertain(error, Role::Supervisor))?
            .message
        {
            Control::StatusReport(processes) => Ok(ClientReply::Status(processes)),
            other => Err(protocol(format!("{other:?} from the supervisor"))),
        }
    }

    /// Asks the loader about one program, which may be there without being managed.
    pub(crate) async fn ask_about(
        &mut self,
        program_id: u32,
        request: &LoaderRequest,
    ) -> Result<ClientReply, Failure> {
        match self.ask_loader(request, &[]).await {
            Err(failure) if failure.code == FailureCode::NotFound => {
                Err(self.missing(program_id, failure).await)
            }
            answer => answer,
        }
    }

    /// Asks the loader; what may be repeated is sent again to a new incarnation when one dies under it.
    pub(crate) async fn ask_loader(
        &mut self,
        request: &LoaderRequest,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<ClientReply, Failure> {
        translate(self.call_loader(request, descriptors).await?.message)
    }

    /// As [`Context::ask_loader`], for answers that are not for the client.
    pub(crate) async fn call_loader(
        &mut self,
        request: &LoaderRequest,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Envelope<LoaderReply>, Failure> {
        let repeatable = permissions::lookup(Role::Api, Role::Loader, request.kind())
            .is_some_and(|row| row.idempotent);
        let mut attempt = 1;
        loop {
            let loader = self.introduced_loader().await?;
            self.awaited.check()?;
            match loader
                .caller
                .call(request, descriptors, REQUEST_DEADLINE)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(CallError::PeerGone) if repeatable && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(uncertain(error, Role::Loader)),
            }
        }
    }

    /// The loader, after it was shown the client's socket.
    pub(crate) async fn introduced_loader(&mut self) -> Result<Loader, Failure> {
        let mut introduced = self.introduced.lock().await;
        let mut attempt = 1;
        loop {
            let loader = self.directory.loader().await?;
            if *introduced == loader.generation {
                return Ok(loader);
            }
            let open = LoaderRequest::OpenSession {
                session: self.session,
            };
            match loader
                .caller
                .call(&open, &[self.socket.as_fd()], REQUEST_DEADLINE)
                .await
            {
                Ok(answer) => {
                    translate(answer.message)?;
                    *introduced = loader.generation;
                    return Ok(loader);
                }
                Err(CallError::PeerGone) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(uncertain(error, Role::Loader)),
            }
        }
    }

    /// The client is gone: the loader may forget it.
    pub async fn close(&mut self) {
        let introduced = *self.introduced.lock().await;
        if let Ok(loader) = self.directory.loader().await
            && loader.generation == introduced
        {
            // A loader that cannot be told has ended, and its sessions with it.
            let _ = loader
                .caller
                .tell(&LoaderRequest::CloseSession {
                    session: self.session,
                })
                .await;
        }
    }
}

pub(crate) async fn cancel(loader: &Loader, ticket: Ticket) {
    // A loader that cannot be told has ended, and its tickets with it.
    let _ = loader
        .caller
        .tell(&LoaderRequest::CancelLoad { ticket })
        .await;
}

pub(crate) fn translate(reply: LoaderReply) -> Result<ClientReply, Failure> {
    Ok(match reply {
        LoaderReply::Failed(failure) => return Err(failure),
        LoaderReply::Hello(_) => return Err(protocol("a second greeting of the loader")),
        LoaderReply::Done => ClientReply::Done,
        LoaderReply::Loaded(programs) => ClientReply::Loaded(programs),
        LoaderReply::Program(program) => ClientReply::Program(program),
        LoaderReply::Programs(programs) => ClientReply::Programs(programs),
        LoaderReply::Link(link) => ClientReply::Link(link),
        LoaderReply::Links(links) => ClientReply::Links(links),
        LoaderReply::Doctor(report) => ClientReply::Doctor(report),
        LoaderReply::Iterator | LoaderReply::NoIterator | LoaderReply::PathOpened => {
            return Err(protocol("a descriptor that was not asked for"));
        }
        LoaderReply::Dispatchers(dispatchers) => ClientReply::Dispatchers(dispatchers),
        LoaderReply::Chain(chain) => ClientReply::Chain(chain),
        LoaderReply::Hooks(hooks) => ClientReply::Hooks(hooks),
    })
}

pub(crate) fn protocol(cause: impl Into<String>) -> Failure {
    Failure::new(FailureCode::Internal, Stage::Connect, cause)
}

/// A call without an answer, as the client hears of it.
pub(crate) fn uncertain(error: CallError, role: Role) -> Failure {
    match error {
        CallError::PeerGone => unavailable(role),
        CallError::DeadlineExceeded(deadline) => Failure::new(
            FailureCode::DeadlineExceeded,
            Stage::Connect,
            format!(
                "no answer from the {role} worker within {} s",
                deadline.as_secs()
            ),
        )
        .remedy("look with `bpfmanctl program list` and `bpfmanctl link list` whether it happened"),
        CallError::Link(LinkError::Unsendable(error)) => Failure::new(
            FailureCode::ResourceExhausted,
            Stage::Request,
            format!("the request is too large: {error}"),
        ),
        CallError::Link(error) => protocol(error.to_string()),
    }
}
