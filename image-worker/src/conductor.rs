//! The actor that keeps the worker's links.
//!
//! Owns the link to the supervisor and the readers of the links to API worker and loader. Receives the supervisor's
//! words and what becomes of each link. Sends `Serving`, `PeerFault` and `Drained` to the supervisor; publishes the
//! loader's comings and goings for its children: [`Compiler`], which is asked one thing at a time, and [`Puller`], which
//! waits for registries. Supervised by the supervisor process: when this actor ends, the
//! process ends.

use crate::compiler::{Compiler, Loader, Message as Work};
use crate::limits::DRAIN;
use crate::puller::{self, Puller};
use crate::rules::Rules;
use ipc::link::{self, Envelope, LinkError, Receiver, Sender};
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery, PlanReceipt};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{debug, warn};

/// The actor.
#[derive(Debug)]
pub struct Conductor;

/// What it starts with.
#[derive(Debug)]
pub struct Arguments {
    /// This incarnation.
    pub generation: u32,
    /// To the supervisor.
    pub sender: Sender<Status>,
    /// From the supervisor.
    pub receiver: Receiver<Control>,
    /// Where images are kept.
    pub cache_dir: PathBuf,
}

/// What it hears.
#[derive(Debug)]
pub enum Event {
    /// The supervisor speaks.
    Control(Envelope<Control>),
    /// The supervisor is gone, and with it the reason to live.
    Orphaned,
    /// The link to a peer ended.
    PeerLost {
        /// Which.
        peer: Role,
        /// Its incarnation.
        generation: u32,
        /// What it did, when it broke the protocol.
        fault: Option<String>,
    },
}

/// A link that is read.
#[derive(Debug)]
struct Reader {
    generation: u32,
    task: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What it owns.
#[derive(Debug)]
pub struct State {
    generation: u32,
    supervisor: Sender<Status>,
    compiler: ActorRef<Work>,
    puller: ActorRef<puller::Message>,
    /// The loader that can be sent plans.
    loaders: watch::Sender<Option<Loader>>,
    api: Option<Reader>,
    loader: Option<Reader>,
}

impl Actor for Conductor {
    type Msg = Event;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Event>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let (loaders, loader) = watch::channel(None);
        let (compiler, _) = Actor::spawn_linked(None, Compiler, loader, myself.get_cell()).await?;
        let fetching = puller::Arguments {
            cache_dir: arguments.cache_dir,
            compiler: compiler.clone(),
        };
        let (puller, _) = Actor::spawn_linked(None, Puller, fetching, myself.get_cell()).await?;
        tokio::spawn(hear_supervisor(arguments.receiver, myself));
        Ok(State {
            generation: arguments.generation,
            supervisor: arguments.sender,
            compiler,
            puller,
            loaders,
            api: None,
            loader: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Event>,
        event: Event,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            Event::Control(envelope) => state.obey(&myself, envelope).await?,
            Event::Orphaned => myself.stop(Some("the supervisor is gone".to_owned())),
            Event::PeerLost {
                peer,
                generation,
                fault,
            } => {
                state.forget(peer, generation);
                if let Some(fault) = fault {
                    warn!(%peer, generation, fault, "peer broke the protocol");
                    let status = Status::peer_fault(peer, generation, &fault);
                    state.supervisor.send(0, &status, &[]).await?;
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Event>,
        event: SupervisionEvent,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            warn!(%error, "an actor failed");
            myself.stop(Some("an actor failed".to_owned()));
        }
        Ok(())
    }
}

impl State {
    async fn obey(
        &mut self,
        myself: &ActorRef<Event>,
        envelope: Envelope<Control>,
    ) -> Result<(), ActorProcessingErr> {
        match envelope.message {
            Control::Activate => {
                let rules = Rules::read(envelope.descriptors.first())?;
                self.compiler.cast(Work::Configure {
                    local_files: rules.local_files,
                })?;
                self.puller
                    .cast(puller::Message::Configure(Box::new(rules)))?;
                self.supervisor.send(0, &Status::Serving, &[]).await?;
            }
            Control::PeerUp { peer, generation } => {
                // The permission table demands exactly one descriptor.
                if let Some(socket) = envelope.descriptors.into_iter().next() {
                    self.connect(myself, peer, generation, socket);
                }
            }
            Control::PeerDown { peer, generation } => self.forget(peer, generation),
            Control::Stop => {
                // No new request is read, the one in work is finished. Images that are being fetched are given up: whoever
                // waits for one is told that the worker is gone, and nothing is half done.
                self.api = None;
                if let Err(error) = self.compiler.drain_and_wait(Some(DRAIN)).await {
                    warn!(%error, "stopped in the middle of a request");
                }
                self.supervisor.send(0, &Status::Drained, &[]).await?;
                myself.stop(None);
            }
            Control::SetLog { specification } => {
                if let Err(error) = sandbox::logging::change(&specification) {
                    warn!("{error}");
                }
            }
            other => debug!(?other, "not for the image worker"),
        }
        Ok(())
    }

    fn connect(&mut self, myself: &ActorRef<Event>, peer: Role, generation: u32, socket: OwnedFd) {
        let (own, conductor) = (self.generation, myself.clone());
        let (compiler, loaders) = (self.compiler.clone(), self.loaders.clone());
        let puller = self.puller.clone();
        let slot = match peer {
            Role::Api => &mut self.api,
            Role::Loader => &mut self.loader,
            other => return debug!(%other, "no peer of the image worker"),
        };
        // A peer may be slow to greet: the supervisor must be heard meanwhile.
        let task = tokio::spawn(async move {
            let ended = if peer == Role::Api {
                hear_api(socket, own, generation, (compiler, puller)).await
            } else {
                hear_loader(socket, own, generation, loaders).await
            };
            let fault = ended
                .err()
                .filter(LinkError::is_fault)
                .map(|error| error.to_string());
            // The conductor is gone only when the process ends.
            let _ = conductor.cast(Event::PeerLost {
                peer,
                generation,
                fault,
            });
        });
        *slot = Some(Reader { generation, task });
    }

    fn forget(&mut self, peer: Role, generation: u32) {
        let slot = match peer {
            Role::Api => &mut self.api,
            Role::Loader => &mut self.loader,
            _ => return,
        };
        if slot
            .as_ref()
            .is_some_and(|reader| reader.generation == generation)
        {
            *slot = None;
            if peer == Role::Loader {
                self.loaders.send_if_modified(|loader| {
                    loader
                        .take_if(|loader| loader.generation == generation)
                        .is_some()
                });
            }
        }
    }
}

async fn hear_supervisor(mut receiver: Receiver<Control>, conductor: ActorRef<Event>) {
    loop {
        let event = match receiver.receive().await {
            Ok(Some(envelope)) => Event::Control(envelope),
            Ok(None) | Err(_) => Event::Orphaned,
        };
        let last = matches!(event, Event::Orphaned);
        if conductor.cast(event).is_err() || last {
            return;
        }
    }
}

/// Reads requests. Those that wait for nobody are answered one after the other; those about images go their own way.
async fn hear_api(
    socket: OwnedFd,
    own: u32,
    generation: u32,
    (compiler, puller): (ActorRef<Work>, ActorRef<puller::Message>),
) -> Result<(), LinkError> {
    let (sender, mut receiver, _): (Sender<ImageReply>, Receiver<ImageRequest>, _) =
        link::establish(socket, Role::Image, own, (Role::Api, generation)).await?;
    while let Some(envelope) = receiver.receive().await? {
        if is_about_images(&envelope.message) {
            if puller
                .cast(puller::Message::Request(envelope, sender.clone()))
                .is_err()
            {
                break;
            }
            continue;
        }
        let answered = compiler
            .call(|done| Work::Request(envelope, sender.clone(), done), None)
            .await;
        if answered.is_err() {
            break;
        }
    }
    Ok(())
}

fn is_about_images(request: &ImageRequest) -> bool {
    match request {
        ImageRequest::Pull { .. }
        | ImageRequest::CompileImage { .. }
        | ImageRequest::PullProgress { .. }
        | ImageRequest::ListImages
        | ImageRequest::PruneImages { .. } => true,
        ImageRequest::Hello(_)
        | ImageRequest::Compile { .. }
        | ImageRequest::ResolveSymbol { .. }
        | ImageRequest::CompileIterators { .. }
        | ImageRequest::ResolveFunctions { .. }
        | ImageRequest::ResolveUsdt { .. }
        | ImageRequest::FindLibrary { .. } => false,
    }
}

/// Greets the loader, lets the compiler have it, and waits for its end: it has nothing else to say.
async fn hear_loader(
    socket: OwnedFd,
    own: u32,
    generation: u32,
    loaders: watch::Sender<Option<Loader>>,
) -> Result<(), LinkError> {
    let (sender, mut receiver, _): (Sender<PlanDelivery>, Receiver<PlanReceipt>, _) =
        link::establish(socket, Role::Image, own, (Role::Loader, generation)).await?;
    loaders.send_replace(Some(Loader { generation, sender }));
    while receiver.receive().await?.is_some() {}
    Ok(())
}
