//! The seven methods.

use super::connection::Asker;
use super::status::{self, Method};
use super::{attach, credentials, load, programs};
use crate::awaited;
use crate::proto::bpfman_server::Bpfman;
use crate::proto::bytecode_location::Location;
use crate::proto::{
    AttachRequest, AttachResponse, BytecodeImage, DetachRequest, DetachResponse, GetRequest,
    GetResponse, ListRequest, ListResponse, LoadRequest, LoadResponse, PullBytecodeRequest,
    PullBytecodeResponse, UnloadRequest, UnloadResponse,
};
use crate::requests::{self, protocol};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::program::Source;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tonic::{Code, Request, Response, Status};

/// Answers requests as their connections' [`Asker`]s.
pub(super) struct Service;

impl Asker {
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let asker = request.extensions().get::<Self>().cloned();
        let asker = asker.ok_or_else(|| Status::internal("a request without a connection"))?;
        asker.place.begin();
        Ok(asker)
    }

    /// One request, as any other client makes it. When nobody waits for it any more, it goes to the end of its step: a frame
    /// to another worker that is cut off would cost the link.
    async fn ask(
        &self,
        request: ClientRequest,
        descriptors: Vec<OwnedFd>,
    ) -> Result<ClientReply, Failure> {
        let (_waiting, awaited) = awaited::pair();
        let (mut context, place) = (self.context.clone(), Arc::clone(&self.place));
        context.awaited = awaited;
        let answer = tokio::spawn(async move {
            let _place = place;
            requests::answer(context, request, descriptors).await
        });
        match answer.await {
            Ok(ClientReply::Failed(failure)) => Err(failure),
            Ok(reply) => Ok(reply),
            Err(error) => Err(protocol(error.to_string())),
        }
    }

    /// A path, opened with the client's identity; among the files of a process, if one is named.
    async fn open(&self, path: &str, container_pid: Option<i32>) -> Result<OwnedFd, Failure> {
        let (mut context, path) = (self.context.clone(), path.to_owned());
        self.whole(async move { context.open_path(path, container_pid).await })
            .await
    }

    /// The path of a library, from the cache of the dynamic linker, which is read with the client's identity, too.
    async fn find_library(
        &self,
        name: &str,
        container_pid: Option<i32>,
    ) -> Result<String, Failure> {
        let cache = self.open("/etc/ld.so.cache", container_pid).await?;
        let (mut context, name) = (self.context.clone(), name.to_owned());
        self.whole(async move { context.find_library(name, cache).await })
            .await
    }

    /// Goes to the end of a step, as [`Asker::ask`] does.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.place);
        let done = tokio::spawn(async move {
            let _place = place;
            step.await
        });
        done.await
            .unwrap_or_else(|error| Err(protocol(error.to_string())))
    }

    /// The credentials of a request, if there are any. From then on they are nowhere else.
    fn take_credentials(&self, image: &mut BytecodeImage) -> Result<Vec<OwnedFd>, Status> {
        let credentials = credentials::take(image)?;
        if credentials.is_some() {
            self.has_secret.notify_one();
        }
        Ok(credentials.into_iter().collect())
    }

    /// An object file. What the established service cannot open is as internal as what it cannot read.
    async fn open_object(&self, path: &str) -> Result<OwnedFd, Status> {
        self.open(path, None).await.map_err(|failure| {
            let told = status::of(Method::Load, &failure);
            match told.code() {
                Code::InvalidArgument => Status::internal(told.message()),
                _ => told,
            }
        })
    }

    /// The file that an attachment names, if it names one.
    async fn open_named(&self, attach: &mut attach::Attach) -> Result<Option<OwnedFd>, Failure> {
        let container_pid = attach.container_pid();
        if let Some(name) = attach.library() {
            let path = self.find_library(name, container_pid).await?;
            attach.found(path);
        }
        match attach.path() {
            Some(path) => self.open(path, container_pid).await.map(Some),
            None => Ok(None),
        }
    }

    /// What an attachment needs opened. That the program fits is a matter before that.
    async fn open_for(
        &self,
        program_id: u32,
        attach: &mut attach::Attach,
    ) -> Result<Vec<OwnedFd>, Status> {
        let mut failure = match self.open_named(attach).await {
            Ok(opened) => return Ok(opened.into_iter().collect()),
            Err(failure) => failure,
        };
        match self
            .ask(ClientRequest::GetProgram { program_id }, vec![])
            .await
        {
            Ok(ClientReply::Program(program)) => {
                let fits = attach.spec.check_kind(program_id, program.record.kind);
                fits.map_err(failed(attach.method))?;
            }
            Err(unknown) if status::of(Method::Get, &unknown).code() == Code::NotFound => {
                let unknown = Failure::no_such_program(program_id, Stage::Attach);
                return Err(Status::not_found(unknown.to_string()));
            }
            _ => {}
        }
        if failure.stage == Stage::Object {
            failure.stage = Stage::Resolve;
        }
        let told = status::of(attach.method, &failure);
        // A network namespace that cannot be had is like an interface that is not there.
        if attach.method == Method::AttachToInterface && told.code() == Code::Internal {
            return Err(Status::invalid_argument(told.message()));
        }
        Err(told)
    }
}

/// The failure of a method.
fn failed(method: Method) -> impl FnOnce(Failure) -> Status {
    move |failure| status::of(method, &failure)
}

/// An answer that does not belong to the request.
fn strange(reply: &ClientReply) -> Status {
    Status::internal(format!("another answer than was asked for: {reply:?}"))
}

#[tonic::async_trait]
impl Bpfman for Service {
    async fn load(&self, request: Request<LoadRequest>) -> Result<Response<LoadResponse>, Status> {
        let asker = Asker::of(&request)?;
        let mut request = request.into_inner();
        let credentials = match request
            .bytecode
            .as_mut()
            .and_then(|it| it.location.as_mut())
        {
            Some(Location::Image(image)) => asker.take_credentials(image)?,
            _ => vec![],
        };
        let (options, bytecode) = load::translate(request)?;
        let reply = match &options.source {
            Source::Image(_) => {
                let load = ClientRequest::LoadImage {
                    options,
                    types: vec![],
                };
                asker.ask(load, credentials).await
            }
            Source::File(path) => {
                let file = asker.open_object(path).await?;
                asker.ask(ClientRequest::Load(options), vec![file]).await
            }
        };
        match reply.map_err(failed(Method::Load))? {
            ClientReply::Loaded(loaded) => Ok(Response::new(LoadResponse {
                programs: programs::loaded(loaded, &bytecode),
            })),
            other => Err(strange(&other)),
        }
    }

    async fn unload(
        &self,
        request: Request<UnloadRequest>,
    ) -> Result<Response<UnloadResponse>, Status> {
        let asker = Asker::of(&request)?;
        let program_id = request.into_inner().id;
        let reply = asker
            .ask(ClientRequest::Unload { program_id }, vec![])
            .await;
        match reply.map_err(failed(Method::Unload))? {
            ClientReply::Done => Ok(Response::new(UnloadResponse {})),
            other => Err(strange(&other)),
        }
    }

    async fn attach(
        &self,
        request: Request<AttachRequest>,
    ) -> Result<Response<AttachResponse>, Status> {
        let asker = Asker::of(&request)?;
        let AttachRequest {
            id: program_id,
            attach,
        } = request.into_inner();
        let mut attach = attach::translate(attach)?;
        if program_id == 0 {
            return Err(Status::invalid_argument("the program id is 0"));
        }
        let opened = asker.open_for(program_id, &mut attach).await?;
        let (spec, metadata) = (attach.spec, attach.metadata);
        let request = match attach.netns {
            Some(netns) => ClientRequest::AttachInNamespace {
                program_id,
                spec,
                netns,
                metadata,
            },
            None => ClientRequest::Attach {
                program_id,
                spec,
                metadata,
            },
        };
        let reply = asker.ask(request, opened).await;
        match reply.map_err(failed(attach.method))? {
            ClientReply::Link(link) => Ok(Response::new(AttachResponse {
                link_id: programs::link_id(link.record.id),
            })),
            other => Err(strange(&other)),
        }
    }

    async fn detach(
        &self,
        request: Request<DetachRequest>,
    ) -> Result<Response<DetachResponse>, Status> {
        let asker = Asker::of(&request)?;
        let link_id = request.into_inner().link_id.into();
        let reply = asker.ask(ClientRequest::Detach { link_id }, vec![]).await;
        match reply.map_err(failed(Method::Detach))? {
            ClientReply::Done => Ok(Response::new(DetachResponse {})),
            other => Err(strange(&other)),
        }
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let asker = Asker::of(&request)?;
        let request = request.into_inner();
        // Before the loader is asked for all of them.
        programs::wanted_kind(&request)?;
        let reply = asker.ask(ClientRequest::ListPrograms, vec![]).await;
        match reply.map_err(failed(Method::List))? {
            ClientReply::Programs(entries) => Ok(Response::new(ListResponse {
                results: programs::listed(&request, entries)?,
            })),
            other => Err(strange(&other)),
        }
    }

    async fn pull_bytecode(
        &self,
        request: Request<PullBytecodeRequest>,
    ) -> Result<Response<PullBytecodeResponse>, Status> {
        let asker = Asker::of(&request)?;
        let image = request.into_inner().image;
        let mut image = image.ok_or_else(|| Status::invalid_argument("image is missing"))?;
        let credentials = asker.take_credentials(&mut image)?;
        let pull = ClientRequest::PullImage {
            policy: load::policy(&image)?,
            url: image.url,
        };
        let reply = asker.ask(pull, credentials).await;
        match reply.map_err(failed(Method::Pull))? {
            ClientReply::Pulled(_) => Ok(Response::new(PullBytecodeResponse {})),
            other => Err(strange(&other)),
        }
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let asker = Asker::of(&request)?;
        let program_id = request.into_inner().id;
        let reply = asker
            .ask(ClientRequest::GetProgram { program_id }, vec![])
            .await;
        match reply.map_err(failed(Method::Get))? {
            ClientReply::Program(program) => Ok(Response::new(programs::got(*program)?)),
            other => Err(strange(&other)),
        }
    }
}
