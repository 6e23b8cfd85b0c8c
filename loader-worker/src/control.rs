//! The loader's end of the link to the supervisor, and the root of its actors.
//!
//! Owns the receiving half of the link. Receives activation, peers, helpers, stop. Sends the sandbox report, `Serving`
//! and `Drained`; starts the engine and the gatekeeper, and ends the process when one of them ends or the supervisor is
//! gone. Supervised by the supervisor process.

use crate::engine::actor::EngineActor;
use crate::engine::{Engine, Settings};
use crate::faults::Faults;
use crate::gatekeeper::{self, Event, Gatekeeper};
use crate::layout::Layout;
use crate::policy::Policy;
use crate::spawned_helpers::SpawnedHelpers;
use ipc::call::Caller;
use ipc::limits::WORKER_WINDOW;
use ipc::link::{self, Envelope, LinkError, Receiver, Sender};
use ipc::messages::failure::Failure;
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use ractor::{Actor, ActorRef};
use sandbox::WorkerArguments;
use sandbox::start::Started;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

/// Why the loader ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The link to the supervisor broke.
    #[error("supervisor: {0}")]
    Supervisor(#[from] LinkError),
    /// The store or bpffs cannot be used.
    #[error("{0}")]
    Engine(#[from] Failure),
    /// An actor could not start.
    #[error(transparent)]
    Start(#[from] ractor::SpawnErr),
    /// An actor is gone.
    #[error("an actor ended: {0}")]
    Actor(String),
    /// A task panicked.
    #[error(transparent)]
    Task(#[from] JoinError),
}

/// From the sandbox to the end.
pub async fn serve(started: Started) -> Result<(), Error> {
    let Started {
        arguments,
        report,
        control,
    } = started;
    let (sender, mut receiver, _) = link::establish::<Control, Status>(
        control,
        Role::Loader,
        arguments.generation,
        (Role::Supervisor, arguments.generation),
    )
    .await?;
    sender.send(0, &Status::Ready(report), &[]).await?;
    let Some(early) = activated(&mut receiver).await? else {
        return Ok(());
    };
    let mut root = Root::start(&arguments, sender.clone()).await?;
    sender.send(0, &Status::Serving, &[]).await?;
    root.finish_leftovers();
    for envelope in early {
        root.obey(envelope);
    }
    root.run(&mut receiver).await?;
    Ok(())
}

/// Waits until the supervisor has accepted the sandbox report; returns what it said before, peers for example. `None`:
/// it wants the loader no more.
async fn activated(
    receiver: &mut Receiver<Control>,
) -> Result<Option<Vec<Envelope<Control>>>, LinkError> {
    let mut early = Vec::new();
    while let Some(envelope) = receiver.receive().await? {
        match envelope.message {
            Control::Activate => return Ok(Some(early)),
            Control::Stop => return Ok(None),
            // Two peers, up and down a few times; more is not a supervisor of ours.
            _ if early.len() >= WORKER_WINDOW => return Ok(None),
            _ => early.push(envelope),
        }
    }
    Ok(None)
}

struct Root {
    sender: Sender<Status>,
    supervisor: Caller<Status, Control>,
    gatekeeper: ActorRef<Event>,
    gatekeeper_life: JoinHandle<()>,
    engine: ActorRef<crate::engine::actor::Order>,
    engine_life: JoinHandle<()>,
    /// For what the engine could not finish without helpers.
    leftovers: Arc<Engine>,
    draining: Option<JoinHandle<()>>,
}

impl Root {
    async fn start(arguments: &WorkerArguments, sender: Sender<Status>) -> Result<Self, Error> {
        let supervisor = Caller::new(sender.clone(), WORKER_WINDOW);
        let helpers = Arc::new(SpawnedHelpers::new(
            supervisor.clone(),
            arguments.generation,
        ));
        let (engine, drift) = Engine::open(Settings {
            layout: Layout::new(&arguments.runtime_dir, &arguments.state_dir),
            helpers: helpers.clone(),
            faults: Faults::default(),
        })
        .await?;
        for difference in drift {
            tracing::warn!("{difference}");
        }
        let engine = Arc::new(engine);
        let leftovers = Arc::clone(&engine);
        let (engine, engine_life) = Actor::spawn(None, EngineActor, engine).await?;
        let (gatekeeper, gatekeeper_life) = Actor::spawn(
            None,
            Gatekeeper,
            gatekeeper::Arguments {
                generation: arguments.generation,
                policy: Policy {
                    client_gid: arguments.client_gid,
                },
                engine: engine.clone(),
                helpers,
                supervisor: sender.clone(),
            },
        )
        .await?;
        Ok(Self {
            sender,
            supervisor,
            gatekeeper,
            gatekeeper_life,
            engine,
            engine_life,
            leftovers,
            draining: None,
        })
    }

    /// Until the supervisor closes, the work is drained, or an actor ends.
    async fn run(&mut self, receiver: &mut Receiver<Control>) -> Result<(), Error> {
        loop {
            tokio::select! {
                // Not cancel safe, but whenever another branch wins, nothing is read any more.
                envelope = receiver.receive() => match envelope? {
                    Some(envelope) => self.obey(envelope),
                    // Without a supervisor there are no peers and no new ones.
                    None => return Ok(()),
                },
                Some(drained) = ended(&mut self.draining) => {
                    drained?;
                    self.sender.send(0, &Status::Drained, &[]).await?;
                    return Ok(());
                }
                ended = &mut self.engine_life, if self.draining.is_none() => {
                    ended?;
                    return Err(Error::Actor("engine".into()));
                }
                ended = &mut self.gatekeeper_life, if self.draining.is_none() => {
                    ended?;
                    return Err(Error::Actor("gatekeeper".into()));
                }
            }
        }
    }

    /// From now on the supervisor starts helpers.
    fn finish_leftovers(&self) {
        let (engine, runtime) = (Arc::clone(&self.leftovers), Handle::current());
        tokio::task::spawn_blocking(move || {
            if let Err(failure) = runtime.block_on(engine.finish_leftovers()) {
                tracing::error!(%failure, "unfinished changes stay");
            }
            runtime.block_on(engine.look_at_guests());
        });
    }

    fn obey(&mut self, envelope: Envelope<Control>) {
        let Envelope {
            request_id,
            message,
            mut descriptors,
        } = envelope;
        let event = match message {
            Control::PeerUp { peer, generation } => match descriptors.pop() {
                Some(socket) => Event::PeerUp {
                    peer,
                    generation,
                    socket,
                },
                None => return,
            },
            Control::PeerDown { peer, generation } => Event::PeerDown { peer, generation },
            Control::HelperStarted | Control::HelperRefused { .. } => {
                // An answer that comes too late is dropped with its socket, at which the helper ends.
                self.supervisor.complete(Envelope {
                    request_id,
                    message,
                    descriptors,
                });
                return;
            }
            Control::Stop => return self.drain(),
            Control::SetLog { specification } => {
                if let Err(error) = sandbox::logging::change(&specification) {
                    tracing::warn!("{error}");
                }
                return;
            }
            Control::Hello(_) | Control::Activate | Control::StatusReport(_) => return,
        };
        // A gatekeeper that is gone ends the loop.
        let _ = self.gatekeeper.cast(event);
    }

    fn drain(&mut self) {
        if self.draining.is_some() {
            return;
        }
        let (gatekeeper, engine) = (self.gatekeeper.clone(), self.engine.clone());
        self.draining = Some(tokio::spawn(async move {
            // The gatekeeper first: what it has admitted is in the engine's queue then. An actor that is gone already
            // has nothing left to drain.
            let _ = gatekeeper.cast(Event::Drain);
            let _ = gatekeeper.drain_and_wait(None).await;
            let _ = engine.drain_and_wait(None).await;
        }));
    }
}

async fn ended(task: &mut Option<JoinHandle<()>>) -> Option<Result<(), JoinError>> {
    match task {
        Some(task) => Some(task.await),
        None => std::future::pending().await,
    }
}
