//! The actor that does the work.
//!
//! Owns the running kernel's types (once an object needed them). The sending half of the link to the loader is published
//! by the conductor, so that it can be waited for within a request: it comes up independently of the API worker's, which
//! may ask first. Receives the API worker's requests, one at a time: whoever reads that link waits for
//! [`Message::Request`] to be answered before it reads on, so the socket bounds what waits. What [`crate::puller::Puller`] has
//! fetched comes beside them, as many as it lets wait. Sends each plan, or why there
//! is none, to the loader, and an answer to the API worker. Supervised by [`crate::conductor::Conductor`], which ends when
//! this actor ends.

use crate::compile::{self, KernelBtf, RunningKernel};
use crate::ld_cache;
use crate::pull::Pulled;
use crate::symbols::{self, Query};
use crate::usdt;
use crate::{input, limits, seal};
use ipc::link::{Envelope, LinkError, Sender};
use ipc::messages::attach::ProbePlace;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery};
use ipc::messages::loader::Ticket;
use ipc::messages::program::{GlobalValue, ProgramKind, ProgramRequest, TypedGlobal};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info};

/// The actor.
#[derive(Debug)]
pub struct Compiler;

/// The way to one incarnation of the loader.
#[derive(Clone, Debug)]
pub struct Loader {
    /// Which incarnation.
    pub generation: u32,
    /// The sending half of the link.
    pub sender: Sender<PlanDelivery>,
}

/// What it is told.
#[derive(Debug)]
pub enum Message {
    /// The API worker asks; the port hears when the answer is sent.
    Request(Envelope<ImageRequest>, Sender<ImageReply>, RpcReplyPort<()>),
    /// What the administrator configured, before anything is asked.
    Configure {
        /// Whether programs are loaded from files of clients.
        local_files: bool,
    },
    /// An image is there whose object is to be compiled.
    Image(Box<Image>),
    /// Nobody has needed the kernel's types since this many requests: give the memory back.
    Idle(u64),
}

/// What is to be compiled of an image, and who hears of it.
#[derive(Debug)]
pub struct Image {
    /// The image.
    pub pulled: Arc<Pulled>,
    /// Under which the loader will await the plan.
    pub ticket: Ticket,
    /// Programs wanted.
    pub programs: Vec<ProgramRequest>,
    /// Global variables to set.
    pub globals: Vec<GlobalValue>,
    /// What the values of some of them were given as.
    pub types: Vec<TypedGlobal>,
    /// The API worker.
    pub api: Sender<ImageReply>,
    /// Its request.
    pub request_id: u64,
}

/// What it owns.
#[derive(Debug)]
pub struct State {
    kernel: RunningKernel,
    loader: watch::Receiver<Option<Loader>>,
    /// Requests so far.
    requests: u64,
    /// Whether files of clients are compiled: not before that is known.
    local_files: bool,
}

impl Actor for Compiler {
    type Msg = Message;
    type State = State;
    type Arguments = watch::Receiver<Option<Loader>>;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        loader: watch::Receiver<Option<Loader>>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            kernel: RunningKernel::default(),
            loader,
            requests: 0,
            local_files: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Request(envelope, api, done) => {
                let request_id = envelope.request_id;
                let reply = state.answer(envelope).await;
                state.finish(&myself, &api, request_id, &reply).await;
                // Nobody waits any more when the reader has ended.
                let _ = done.send(());
            }
            Message::Image(image) => {
                let reply = state.compile_image(&image).await;
                state
                    .finish(&myself, &image.api, image.request_id, &reply)
                    .await;
            }
            Message::Configure { local_files } => state.local_files = local_files,
            Message::Idle(requests) => {
                if requests == state.requests {
                    state.kernel.forget();
                }
            }
        }
        Ok(())
    }
}

fn places(found: Result<Vec<ProbePlace>, Failure>) -> ImageReply {
    found.map_or_else(ImageReply::Failed, ImageReply::Places)
}

impl State {
    async fn finish(
        &mut self,
        myself: &ActorRef<Message>,
        api: &Sender<ImageReply>,
        request_id: u64,
        reply: &ImageReply,
    ) {
        self.requests += 1;
        // An API worker that is gone needs no answer; its reader finds out and says so.
        if let Err(error) = api.send(request_id, reply, &[]).await {
            debug!(%error, "answer not sent");
        }
        if self.kernel.is_loaded() {
            let requests = self.requests;
            myself.send_after(limits::KERNEL_TYPES_IDLE, move || Message::Idle(requests));
        }
    }

    /// The loader hears of an image only when there is a plan: nobody waits there yet.
    async fn compile_image(&mut self, image: &Image) -> ImageReply {
        let request = compile::Request {
            programs: &image.programs,
            globals: &image.globals,
            types: &image.types,
        };
        let plan = match sealed_plan(&image.pulled.object, &request, &mut self.kernel) {
            Ok(plan) => plan,
            Err(failure) => return ImageReply::Failed(failure),
        };
        info!(
            ticket = image.ticket,
            bytes = plan.length,
            image = image.pulled.listed.reference,
            "compiled"
        );
        let delivery = PlanDelivery::ImagePlan {
            ticket: image.ticket,
            length: plan.length,
            digest: plan.digest,
            origin: Box::new(image.pulled.origin.clone()),
        };
        match self.deliver(&delivery, &[plan.memory.as_fd()]).await {
            Ok(()) => ImageReply::Delivered,
            Err(failure) => ImageReply::Failed(failure),
        }
    }

    async fn answer(&mut self, envelope: Envelope<ImageRequest>) -> ImageReply {
        let Envelope {
            message,
            mut descriptors,
            ..
        } = envelope;
        if let ImageRequest::CompileIterators { ticket } = message {
            return self.compile_iterators(ticket).await;
        }
        // The permission table demands exactly one descriptor of the others.
        let Some(file) = descriptors.pop() else {
            let cause = "the request has no file beside it";
            return ImageReply::Failed(Failure::new(
                FailureCode::InvalidArgument,
                Stage::Request,
                cause,
            ));
        };
        match message {
            ImageRequest::Compile {
                ticket,
                programs,
                globals,
                types,
            } => {
                let request = compile::Request {
                    programs: &programs,
                    globals: &globals,
                    types: &types,
                };
                let object = self.client_file(&file);
                let object = object.as_deref().map_err(Clone::clone);
                self.compile(ticket, &request, object).await
            }
            ImageRequest::ResolveSymbol {
                target,
                function,
                offset,
            } => {
                let query = Query {
                    target: &target,
                    function: &function,
                    offset,
                };
                match symbols::resolve(file.as_fd(), &query) {
                    Ok(file_offset) => ImageReply::Symbol { file_offset },
                    Err(failure) => ImageReply::Failed(failure),
                }
            }
            ImageRequest::ResolveFunctions { target, functions } => {
                places(symbols::resolve_all(file.as_fd(), &target, &functions))
            }
            ImageRequest::ResolveUsdt {
                target,
                provider,
                name,
            } => {
                let query = usdt::Query {
                    target: &target,
                    provider: &provider,
                    name: &name,
                };
                places(usdt::resolve(file.as_fd(), &query))
            }
            ImageRequest::FindLibrary { name } => match ld_cache::look_up(file.as_fd(), &name) {
                Ok(path) => ImageReply::Library { path },
                Err(failure) => ImageReply::Failed(failure),
            },
            other => ImageReply::Failed(Failure::new(
                FailureCode::Internal,
                Stage::Request,
                format!("{other:?} is not for the compiler"),
            )),
        }
    }

    /// The object in a file of a client, where such files are allowed: nobody signs them.
    fn client_file(&self, file: &OwnedFd) -> Result<Vec<u8>, Failure> {
        if self.local_files {
            return input::read_object(file);
        }
        Err(Failure::new(
            FailureCode::PermissionDenied,
            Stage::Policy,
            "programs are not loaded from files here (signing.local_files)",
        )
        .remedy("load them from a signed image, or set signing.local_files = \"allow\""))
    }

    /// bpfman's own object, for whatever kernel runs.
    async fn compile_iterators(&mut self, ticket: Ticket) -> ImageReply {
        let programs = bpf::ITERATOR_TEMPLATES.map(|template| ProgramRequest {
            name: template.name.to_owned(),
            kind: ProgramKind::Iter,
            attach_function: None,
        });
        let request = compile::Request {
            programs: &programs,
            globals: &[],
            types: &[],
        };
        self.compile(ticket, &request, Ok(bpf::ITERATORS)).await
    }

    async fn compile(
        &mut self,
        ticket: Ticket,
        request: &compile::Request<'_>,
        object: Result<&[u8], Failure>,
    ) -> ImageReply {
        let plan = object.and_then(|object| sealed_plan(object, request, &mut self.kernel));
        let (delivery, memory) = match plan {
            Ok(plan) => {
                info!(
                    ticket,
                    bytes = plan.length,
                    programs = request.programs.len(),
                    "compiled"
                );
                let delivery = PlanDelivery::Plan {
                    ticket,
                    length: plan.length,
                    digest: plan.digest,
                };
                (delivery, Some(plan.memory))
            }
            Err(failure) => {
                info!(ticket, %failure, "no plan");
                (PlanDelivery::NoPlan { ticket, failure }, None)
            }
        };
        let memory: Vec<_> = memory.iter().map(|memory| memory.as_fd()).collect();
        match self.deliver(&delivery, &memory).await {
            Ok(()) => ImageReply::Delivered,
            Err(failure) => ImageReply::Failed(failure),
        }
    }

    /// Sends to the loader of now. One that turns out to be dead is not tried again, so that each turn takes a restart,
    /// of which the supervisor allows few.
    async fn deliver(
        &mut self,
        delivery: &PlanDelivery,
        memory: &[BorrowedFd<'_>],
    ) -> Result<(), Failure> {
        let mut dead = None;
        loop {
            let loader = self.loader(dead).await?;
            match loader.sender.send(0, delivery, memory).await {
                Ok(()) => return Ok(()),
                Err(LinkError::Unsendable(error)) => {
                    return Err(Failure::new(
                        FailureCode::ResourceExhausted,
                        Stage::Compile,
                        format!("the result cannot be sent: {error}"),
                    )
                    .remedy("load fewer programs at once, or an object with less in it"));
                }
                Err(error) => {
                    debug!(%error, generation = loader.generation, "loader is gone");
                    dead = Some(loader.generation);
                }
            }
        }
    }

    /// The loader, waiting for one that is being restarted.
    async fn loader(&mut self, dead: Option<u32>) -> Result<Loader, Failure> {
        let alive = |loader: &Option<Loader>| {
            loader
                .as_ref()
                .is_some_and(|loader| Some(loader.generation) != dead)
        };
        match timeout(limits::LOADER_WAIT, self.loader.wait_for(alive)).await {
            Ok(Ok(loader)) => loader.clone().ok_or_else(loader_is_gone),
            _ => Err(loader_is_gone()),
        }
    }
}

fn sealed_plan(
    object: &[u8],
    request: &compile::Request<'_>,
    kernel: &mut dyn KernelBtf,
) -> Result<seal::SealedPlan, Failure> {
    seal::seal(&compile::compile(object, request, kernel)?)
}

fn loader_is_gone() -> Failure {
    Failure::new(
        FailureCode::Unavailable,
        Stage::Compile,
        "the loader worker is being restarted",
    )
    .remedy("retry; if it stays so, `bpfmanctl status` tells why")
}
