//! The worker's one actor: it owns the peers and the listening sockets.
//!
//! Receives what the supervisor says (peers up and down, activation, stop) and the faults that readers of peer links
//! find. Sends `Serving`, `PeerFault` and `Drained` to the supervisor. Supervised by the supervisor process: when this
//! actor ends, the worker ends.

use crate::awaited::Awaited;
use crate::csi;
use crate::grpc;
use crate::grpc::places::Owner;
use crate::limits::{DRAIN, GRPC_REFUSAL_PAUSE};
use crate::peers::{Directory, Peer, Peers};
use crate::requests::Context;
use crate::session;
use ipc::call::Caller;
use ipc::limits::{CLIENT_REFUSALS, CLIENT_SESSIONS, PULLS, WORKER_WINDOW};
use ipc::link::{self, Envelope, LinkError, Receiver, Sender};
use ipc::messages::Message;
use ipc::messages::supervision::{Control, Status};
use ipc::peer;
use ipc::role::Role;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{Mutex, Semaphore, watch};
use tracing::{debug, info, warn};

/// The actor.
pub struct Conductor;

/// What it starts with.
pub struct Arguments {
    /// This incarnation.
    pub generation: u32,
    /// To the supervisor.
    pub sender: Sender<Status>,
    /// From the supervisor.
    pub receiver: Receiver<Control>,
}

/// What it hears.
pub enum Event {
    /// The supervisor speaks.
    Control(Envelope<Control>),
    /// The supervisor is gone.
    Orphaned,
    /// The link to a peer ended.
    PeerLost {
        /// Which.
        role: Role,
        /// Its incarnation.
        generation: u32,
        /// Why, when it broke the protocol.
        fault: Option<String>,
    },
}

/// What it owns.
pub struct State {
    generation: u32,
    supervisor: Caller<Status, Control>,
    peers: Peers,
    clients: Clients,
    /// Once there are gRPC clients.
    grpc: Option<grpc::places::Places>,
}

/// What a new client gets.
#[derive(Clone)]
struct Clients {
    generation: u32,
    directory: Directory,
    supervisor: Caller<Status, Control>,
    sessions: Arc<AtomicU64>,
    tickets: Arc<AtomicU64>,
    pulls: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// Places for clients that are told that there is no room.
    anteroom: Arc<Semaphore>,
    stop: watch::Sender<bool>,
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
        let supervisor = Caller::new(arguments.sender, WORKER_WINDOW);
        tokio::spawn(hear_supervisor(
            arguments.receiver,
            supervisor.clone(),
            myself,
        ));
        let (peers, directory) = Peers::new(supervisor.clone());
        let clients = Clients {
            generation: arguments.generation,
            directory,
            supervisor: supervisor.clone(),
            sessions: Arc::new(AtomicU64::new(1)),
            // A plan that was ordered by an earlier incarnation must not meet a load of this one.
            tickets: Arc::new(AtomicU64::new(u64::from(arguments.generation) << 32)),
            pulls: Arc::new(Semaphore::new(PULLS)),
            room: Arc::new(Semaphore::new(CLIENT_SESSIONS)),
            anteroom: Arc::new(Semaphore::new(CLIENT_REFUSALS)),
            stop: watch::channel(false).0,
        };
        Ok(State {
            generation: arguments.generation,
            supervisor,
            peers,
            clients,
            grpc: None,
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
                role,
                generation,
                fault,
            } => {
                state.peers.down(role, generation);
                if let Some(fault) = fault {
                    warn!(%role, generation, fault, "peer broke the protocol");
                    state
                        .supervisor
                        .tell(&Status::peer_fault(role, generation, &fault))
                        .await?;
                }
            }
        }
        Ok(())
    }
}

impl State {
    async fn obey(
        &mut self,
        myself: &ActorRef<Event>,
        envelope: Envelope<Control>,
    ) -> Result<(), LinkError> {
        match envelope.message {
            Control::Activate => {
                // In the order of the supervisor: that of bpfmanctl, that of gRPC, that of the kubelet if there is one.
                let mut listeners = envelope.descriptors.into_iter();
                if let Some(listener) = listeners.next() {
                    let clients = self.clients.clone();
                    let welcome = move |socket| {
                        clients.welcome(socket);
                        None
                    };
                    tokio::spawn(accept(listen(listener)?, self.clients.stopping(), welcome));
                }
                if let Some(listener) = listeners.next() {
                    let server = grpc::Server::new(self.clients.directory.clone())
                        .map_err(std::io::Error::other)?;
                    self.grpc = Some(server.places.clone());
                    let volumes = csi::server(server.places.clone());
                    self.welcome_grpc(listener, server)?;
                    if let Some(listener) = listeners.next() {
                        self.welcome_grpc(listener, volumes)?;
                    }
                }
                self.supervisor.tell(&Status::Serving).await?;
            }
            Control::PeerUp { peer, generation } => {
                let socket = envelope.descriptors.into_iter().next();
                self.meet(myself, peer, generation, socket).await;
            }
            Control::PeerDown { peer, generation } => self.peers.down(peer, generation),
            Control::Stop => {
                info!("stopping: no new clients");
                self.clients.stop.send_replace(true);
                let all = u32::try_from(CLIENT_SESSIONS).unwrap_or(u32::MAX);
                let emptied = async {
                    // The semaphore is never closed.
                    let _ = self.clients.room.acquire_many(all).await;
                    if let Some(places) = &self.grpc {
                        places.emptied().await;
                    }
                };
                if tokio::time::timeout(DRAIN, emptied).await.is_err() {
                    warn!("some requests were still in flight");
                }
                self.supervisor.tell(&Status::Drained).await?;
                myself.stop(Some("stopped".to_owned()));
            }
            Control::SetLog { specification } => {
                if let Err(error) = sandbox::logging::change(&specification) {
                    warn!("{error}");
                }
            }
            other => warn!(?other, "not for this worker"),
        }
        Ok(())
    }

    fn welcome_grpc(&self, listener: OwnedFd, server: grpc::Server) -> std::io::Result<()> {
        let clients = self.clients.clone();
        let welcome = move |socket| clients.welcome_grpc(socket, server.clone());
        tokio::spawn(accept(listen(listener)?, self.clients.stopping(), welcome));
        Ok(())
    }

    async fn meet(
        &self,
        myself: &ActorRef<Event>,
        peer: Role,
        generation: u32,
        socket: Option<OwnedFd>,
    ) {
        let Some(socket) = socket else { return };
        let met = match peer {
            Role::Loader => connect(socket, self.generation, peer, generation, myself)
                .await
                .map(|loader| self.peers.loader_up(loader)),
            Role::Image => connect(socket, self.generation, peer, generation, myself)
                .await
                .map(|image| self.peers.image_up(image)),
            other => return warn!(%other, "no peer of this worker"),
        };
        if let Err(error) = met {
            let fault = error.is_fault().then(|| error.to_string());
            // The actor that this is sent to is the one that runs here: it cannot be gone.
            let _ = myself.cast(Event::PeerLost {
                role: peer,
                generation,
                fault,
            });
        }
    }
}

/// Greets a peer and reads its answers from then on.
async fn connect<Out: Message, In: Message>(
    socket: OwnedFd,
    local_generation: u32,
    role: Role,
    generation: u32,
    myself: &ActorRef<Event>,
) -> Result<Peer<Out, In>, LinkError> {
    let (sender, mut receiver, _) =
        link::establish::<In, Out>(socket, Role::Api, local_generation, (role, generation)).await?;
    let caller = Caller::new(sender, WORKER_WINDOW);
    let (answers, myself) = (caller.clone(), myself.clone());
    tokio::spawn(async move {
        let fault = loop {
            match receiver.receive().await {
                // An answer that nobody waits for any more (deadline, client gone) is no fault.
                Ok(Some(answer)) => drop(answers.complete(answer)),
                Ok(None) => break None,
                Err(error) => break error.is_fault().then(|| error.to_string()),
            }
        };
        answers.close();
        let _ = myself.cast(Event::PeerLost {
            role,
            generation,
            fault,
        });
    });
    Ok(Peer { generation, caller })
}

async fn hear_supervisor(
    mut receiver: Receiver<Control>,
    supervisor: Caller<Status, Control>,
    myself: ActorRef<Event>,
) {
    while let Ok(Some(envelope)) = receiver.receive().await {
        let answered = matches!(envelope.message, Control::StatusReport(_));
        if answered {
            supervisor.complete(envelope);
        } else if myself.cast(Event::Control(envelope)).is_err() {
            return;
        }
    }
    let _ = myself.cast(Event::Orphaned);
}

fn listen(socket: OwnedFd) -> std::io::Result<UnixListener> {
    let listener = StdListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Takes clients until the service stops; `welcome` says whether the next one has to wait.
async fn accept(
    listener: UnixListener,
    mut stop: watch::Receiver<bool>,
    welcome: impl Fn(OwnedFd) -> Option<Duration>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopping| *stopping) => return,
        };
        let pause = match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => welcome(stream.into()),
            Err(error) => {
                // Out of descriptors, most likely: serve those who are here before taking more.
                warn!(%error, "a client could not be accepted");
                Some(Duration::from_millis(50))
            }
        };
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

impl Clients {
    fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn welcome(&self, socket: OwnedFd) {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            // Without a place even for that, the connection is closed at once.
            if let Ok(place) = Arc::clone(&self.anteroom).try_acquire_owned() {
                let generation = self.generation;
                tokio::spawn(async move {
                    session::refuse(socket, generation).await;
                    drop(place);
                });
            }
            return;
        };
        let Some(context) = self.context(&socket) else {
            return;
        };
        let (generation, stop) = (self.generation, self.stopping());
        tokio::spawn(async move {
            session::serve(socket, generation, context, stop).await;
            drop(room);
        });
    }

    /// Without a place, the connection is closed at once: clients' libraries try again.
    fn welcome_grpc(&self, socket: OwnedFd, server: grpc::Server) -> Option<Duration> {
        let peer = match peer::credentials(&socket) {
            Ok(peer) => peer,
            Err(error) => {
                warn!(%error, "a gRPC client that nobody knows");
                return Some(GRPC_REFUSAL_PAUSE);
            }
        };
        let owner = Owner {
            pid: peer.pid,
            uid: peer.uid,
        };
        let Some(seat) = server.places.seat(owner) else {
            debug!(?owner, "no place for a gRPC client");
            return Some(GRPC_REFUSAL_PAUSE);
        };
        let context = self.context(&socket)?;
        let stop = self.stopping();
        tokio::spawn(grpc::connection::serve(socket, server, seat, context, stop));
        None
    }

    fn context(&self, socket: &OwnedFd) -> Option<Context> {
        // The duplicate is what the loader is shown; it names the same socket, hence the same peer.
        let Ok(shown) = rustix::io::fcntl_dupfd_cloexec(socket.as_fd(), 3) else {
            warn!("no descriptor left for a client");
            return None;
        };
        Some(Context {
            session: self
                .sessions
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            socket: Arc::new(shown),
            directory: self.directory.clone(),
            supervisor: self.supervisor.clone(),
            introduced: Arc::new(Mutex::new(0)),
            tickets: Arc::clone(&self.tickets),
            pulls: Arc::clone(&self.pulls),
            awaited: Awaited::always(),
        })
    }
}
