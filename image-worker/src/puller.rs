//! The actor that has images fetched.
//!
//! Owns the cache, and the downloads that are going on, each a task. Receives what the API worker asks about images; none
//! of it waits for another: whoever wants what is being fetched already is told when that has come. A registry that hangs
//! costs its own requests, and nothing else. Sends answers to the API worker, and what is to be compiled to
//! [`crate::compiler::Compiler`], which answers itself. Supervised by [`crate::conductor::Conductor`], which ends when this
//! actor ends.

use crate::cache::Cache;
use crate::compiler::{Image, Message as Work};
use crate::pull::{self, Pulled, Shown, Wanted, failure, unwritable};
use crate::rules::Rules;
use crate::secret;
use ipc::limits::PULLS;
use ipc::link::{Envelope, Sender};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::messages::loader::Ticket;
use ipc::messages::program::{GlobalValue, ProgramRequest, TypedGlobal};
use ipc::messages::pull::PullPolicy;
use oci::Reference;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::{debug, warn};

/// The actor.
#[derive(Debug)]
pub struct Puller;

/// What it starts with.
#[derive(Debug)]
pub struct Arguments {
    /// Where the cache is.
    pub cache_dir: PathBuf,
    /// Who compiles.
    pub compiler: ActorRef<Work>,
}

/// What it is told.
#[derive(Debug)]
pub enum Message {
    /// What holds for images.
    Configure(Box<Rules>),
    /// The API worker asks.
    Request(Envelope<ImageRequest>, Sender<ImageReply>),
    /// A download ended.
    Finished(Key, Result<Arc<Pulled>, Failure>),
}

/// Requests that one download serves: the same image, asked for in the same way by the same user of the registry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    reference: String,
    policy: PullPolicy,
    /// SHA-256 of what is shown to the registry.
    credentials: Option<[u8; 32]>,
}

/// A download that is going on.
#[derive(Debug, Default)]
struct Running {
    waiting: Vec<Waiter>,
    shown: Arc<Shown>,
}

/// Whoever waits for it.
#[derive(Debug)]
struct Waiter {
    api: Sender<ImageReply>,
    request_id: u64,
    purpose: Purpose,
}

/// What for.
#[derive(Debug)]
enum Purpose {
    /// To have it.
    Pull,
    /// To load programs from it.
    Compile(Box<ToCompile>),
}

#[derive(Debug)]
struct ToCompile {
    ticket: Ticket,
    programs: Vec<ProgramRequest>,
    globals: Vec<GlobalValue>,
    types: Vec<TypedGlobal>,
}

/// What it owns.
#[derive(Debug)]
pub struct State {
    arguments: Arguments,
    /// There once it was told what holds; or why there is none.
    ready: Option<Result<Ready, Failure>>,
    running: HashMap<Key, Running>,
}

#[derive(Clone, Debug)]
struct Ready {
    rules: Arc<Rules>,
    cache: Arc<Mutex<Cache>>,
}

impl Actor for Puller {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            arguments,
            ready: None,
            running: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Configure(rules) => {
                if let Err(failure) = &rules.policy {
                    warn!(%failure, "no image is accepted");
                }
                let cache = Cache::open(&state.arguments.cache_dir, rules.cache_bytes);
                if let Err(error) = &cache {
                    warn!(%error, "no image cache");
                }
                state.ready = Some(
                    cache
                        .map_err(|error| unwritable(&error))
                        .map(|cache| Ready {
                            rules: Arc::from(rules),
                            cache: Arc::new(Mutex::new(cache)),
                        }),
                );
            }
            Message::Request(envelope, api) => {
                let request_id = envelope.request_id;
                if let Some(reply) = state.take(&myself, envelope, &api) {
                    answer(&api, request_id, &reply).await;
                }
            }
            Message::Finished(key, result) => {
                if let Some(running) = state.running.remove(&key) {
                    for waiter in running.waiting {
                        state.finish(waiter, &result).await;
                    }
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// Answers at once, or sees to it that an answer comes.
    fn take(
        &mut self,
        myself: &ActorRef<Message>,
        envelope: Envelope<ImageRequest>,
        api: &Sender<ImageReply>,
    ) -> Option<ImageReply> {
        let ready = match &self.ready {
            Some(Ok(ready)) => ready.clone(),
            Some(Err(failure)) => return Some(ImageReply::Failed(failure.clone())),
            None => {
                return Some(ImageReply::Failed(refused(
                    "the image worker is not active yet",
                )));
            }
        };
        let waiter = |purpose| Waiter {
            api: api.clone(),
            request_id: envelope.request_id,
            purpose,
        };
        let (url, policy, waiter) = match envelope.message {
            ImageRequest::Pull { url, policy } => (url, policy, waiter(Purpose::Pull)),
            ImageRequest::CompileImage {
                ticket,
                url,
                policy,
                programs,
                globals,
                types,
            } => {
                let to_compile = ToCompile {
                    ticket,
                    programs,
                    globals,
                    types,
                };
                (url, policy, waiter(Purpose::Compile(Box::new(to_compile))))
            }
            ImageRequest::PullProgress { url } => return Some(self.progress(&url)),
            ImageRequest::ListImages => {
                return Some(ImageReply::Images(pull::list(&ready.cache, &ready.rules)));
            }
            ImageRequest::PruneImages { keep } => {
                let mut cache = ready.cache.lock().unwrap_or_else(PoisonError::into_inner);
                return Some(match cache.prune(&keep) {
                    Ok((images, bytes)) => ImageReply::Pruned { images, bytes },
                    Err(error) => ImageReply::Failed(unwritable(&error)),
                });
            }
            other => {
                return Some(ImageReply::Failed(refused(&format!(
                    "{other:?} is not about an image"
                ))));
            }
        };
        let wanted = match wanted(url, policy, envelope.descriptors) {
            Ok(wanted) => wanted,
            Err(failure) => return Some(ImageReply::Failed(failure)),
        };
        self.want(myself, ready, wanted, waiter)
    }

    fn want(
        &mut self,
        myself: &ActorRef<Message>,
        ready: Ready,
        wanted: Wanted,
        waiter: Waiter,
    ) -> Option<ImageReply> {
        let waiting: usize = self
            .running
            .values()
            .map(|running| running.waiting.len())
            .sum();
        if waiting >= PULLS {
            let cause = format!("{PULLS} images are being waited for");
            let failure = Failure::new(FailureCode::ResourceExhausted, Stage::Pull, cause);
            return Some(ImageReply::Failed(
                failure.remedy("retry when some have come"),
            ));
        }
        let key = Key {
            reference: wanted.reference.to_string(),
            policy: wanted.policy,
            credentials: wanted
                .credentials
                .as_ref()
                .map(|credentials| Sha256::digest(&*credentials.encode()).into()),
        };
        if let Some(running) = self.running.get_mut(&key) {
            running.waiting.push(waiter);
            return None;
        }
        let running = Running {
            waiting: vec![waiter],
            ..Running::default()
        };
        let (shown, puller) = (Arc::clone(&running.shown), myself.clone());
        self.running.insert(key.clone(), running);
        tokio::spawn(async move {
            let result = pull::pull(&ready.cache, &ready.rules, &wanted, &shown).await;
            // The puller is gone only when the process ends.
            let _ = puller.cast(Message::Finished(key, result.map(Arc::new)));
        });
        None
    }

    fn progress(&self, url: &str) -> ImageReply {
        let reference = url
            .parse::<Reference>()
            .map(|reference| reference.to_string());
        let shown = self
            .running
            .iter()
            .find(|(key, _)| Ok(&key.reference) == reference.as_ref())
            .map(|(_, running)| {
                running
                    .shown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone()
            });
        ImageReply::Progress(shown.unwrap_or_default())
    }

    async fn finish(&self, waiter: Waiter, result: &Result<Arc<Pulled>, Failure>) {
        let reply = match (result, waiter.purpose) {
            (Err(failure), _) => ImageReply::Failed(failure.clone()),
            (Ok(pulled), Purpose::Pull) => ImageReply::Pulled(Box::new(pulled.listed.clone())),
            (Ok(pulled), Purpose::Compile(to_compile)) => {
                match contradiction(pulled, &to_compile.programs) {
                    Some(failure) => ImageReply::Failed(failure),
                    None => {
                        let work = Work::Image(Box::new(Image {
                            pulled: Arc::clone(pulled),
                            ticket: to_compile.ticket,
                            programs: to_compile.programs,
                            globals: to_compile.globals,
                            types: to_compile.types,
                            api: waiter.api,
                            request_id: waiter.request_id,
                        }));
                        // The compiler is gone only when the process ends.
                        let _ = self.arguments.compiler.cast(work);
                        return;
                    }
                }
            }
        };
        answer(&waiter.api, waiter.request_id, &reply).await;
    }
}

/// An API worker that is gone needs no answer; its reader finds out and says so.
async fn answer(api: &Sender<ImageReply>, request_id: u64, reply: &ImageReply) {
    if let Err(error) = api.send(request_id, reply, &[]).await {
        debug!(%error, "answer not sent");
    }
}

fn wanted(url: String, policy: PullPolicy, descriptors: Vec<OwnedFd>) -> Result<Wanted, Failure> {
    let reference = url.parse().map_err(|error| failure(&url, &error))?;
    let credentials = descriptors
        .into_iter()
        .next()
        .map(secret::read)
        .transpose()?;
    Ok(Wanted {
        url,
        reference,
        policy,
        credentials,
    })
}

fn refused(cause: &str) -> Failure {
    Failure::new(FailureCode::Unavailable, Stage::Pull, cause)
}

/// What the image's labels say against a request.
fn contradiction(pulled: &Pulled, programs: &[ProgramRequest]) -> Option<Failure> {
    programs.iter().find_map(|program| {
        let labelled = pulled
            .labels
            .contradicts(&program.name, program.kind.name())?;
        let cause = format!(
            "image {}: its label says that \"{}\" is a program of type {labelled}, not {}",
            pulled.listed.reference, program.name, program.kind
        );
        Some(
            Failure::new(FailureCode::InvalidArgument, Stage::Pull, cause)
                .remedy("ask for it as what it is"),
        )
    })
}
