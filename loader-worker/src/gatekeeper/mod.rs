//! The gatekeeper: everything that comes from another worker passes here.
//!
//! Owns the links to the API and image workers, the sessions, and the loads that wait for their plans. Receives sockets
//! and deaths of peers from the control loop, and what its reader tasks ([`crate::peer_link`]) read. Sends admitted
//! commands to the engine, refusals to the API worker, faults to the supervisor. Supervised by the worker's root.
//!
//! This file knows which peers are there; [`requests`] what they say.

mod paths;
mod refusals;
mod requests;

use crate::engine::actor::Order;
use crate::helpers::Helpers;
use crate::join::Joins;
use crate::peer_link::{self, PeerEvent};
use crate::policy::Policy;
use crate::session::Sessions;
use ipc::link::Sender;
use ipc::messages::supervision::Status;
use ipc::role::Role;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use refusals::{no_image_worker, stopping, too_late};
use requests::{PendingLoad, Plan};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

/// See the module.
pub struct Gatekeeper;

/// What it starts with.
pub struct Arguments {
    /// This incarnation of the loader.
    pub generation: u32,
    /// Who may do what.
    pub policy: Policy,
    /// Where admitted commands go.
    pub engine: ActorRef<Order>,
    /// Who opens paths with the identity of clients.
    pub helpers: Arc<dyn Helpers>,
    /// Where faults are reported.
    pub supervisor: Sender<Status>,
}

/// What it hears.
#[derive(Debug)]
pub enum Event {
    /// The supervisor has connected a peer.
    PeerUp {
        /// Which.
        peer: Role,
        /// Its incarnation.
        generation: u32,
        /// Our end.
        socket: OwnedFd,
    },
    /// The supervisor says that a peer is gone.
    PeerDown {
        /// Which.
        peer: Role,
        /// Its incarnation.
        generation: u32,
    },
    /// A reader has something.
    Peer(Box<PeerEvent>),
    /// A deadline may have passed.
    Tick,
    /// Take nothing new.
    Drain,
}

/// What it owns.
pub struct State {
    arguments: Arguments,
    api: Option<Connection>,
    image: Option<Connection>,
    sessions: Sessions,
    joins: Joins<PendingLoad, Plan>,
    draining: bool,
}

/// A peer's incarnation and the task that reads from it. Dropping it ends the link.
struct Connection {
    generation: u32,
    reader: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Actor for Gatekeeper {
    type Msg = Event;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _: ActorRef<Event>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            arguments,
            api: None,
            image: None,
            sessions: Sessions::default(),
            joins: Joins::default(),
            draining: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Event>,
        event: Event,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            Event::PeerUp {
                peer,
                generation,
                socket,
            } => state.connect(&myself, peer, generation, socket).await,
            Event::PeerDown { peer, generation } => state.disconnect(peer, generation).await,
            Event::Peer(event) => state.hear(&myself, *event).await?,
            Event::Tick => {
                for load in state.joins.expire(Instant::now()) {
                    load.reply.fail(too_late()).await;
                }
            }
            Event::Drain => {
                state.draining = true;
                for load in state.joins.no_plans_will_come() {
                    load.reply.fail(stopping()).await;
                }
            }
        }
        Ok(())
    }
}

impl State {
    async fn connect(
        &mut self,
        myself: &ActorRef<Event>,
        peer: Role,
        generation: u32,
        socket: OwnedFd,
    ) {
        // A new incarnation means that the old one is gone, whether that was told or not.
        if let Some(old) = self
            .connection(peer)
            .and_then(|slot| slot.as_ref().map(|old| old.generation))
        {
            self.disconnect(peer, old).await;
        }
        let own = self.arguments.generation;
        let reader = match peer {
            Role::Api => tokio::spawn(peer_link::serve_api(
                socket,
                own,
                generation,
                myself.clone(),
            )),
            Role::Image => tokio::spawn(peer_link::serve_image(
                socket,
                own,
                generation,
                myself.clone(),
            )),
            _ => return tracing::warn!(%peer, "the loader does not talk to this peer"),
        };
        if let Some(slot) = self.connection(peer) {
            *slot = Some(Connection { generation, reader });
        }
    }

    async fn disconnect(&mut self, peer: Role, generation: u32) {
        let Some(slot) = self.connection(peer) else {
            return;
        };
        if slot
            .as_ref()
            .is_none_or(|connection| connection.generation != generation)
        {
            return;
        }
        *slot = None;
        match peer {
            Role::Api => {
                self.sessions = Sessions::default();
                self.joins.clear();
            }
            _ => {
                for load in self.joins.no_plans_will_come() {
                    load.reply.fail(no_image_worker()).await;
                }
            }
        }
    }

    fn connection(&mut self, peer: Role) -> Option<&mut Option<Connection>> {
        match peer {
            Role::Api => Some(&mut self.api),
            Role::Image => Some(&mut self.image),
            _ => None,
        }
    }

    fn is_current(&mut self, peer: Role, generation: u32) -> bool {
        self.connection(peer)
            .and_then(|slot| slot.as_ref())
            .is_some_and(|connection| connection.generation == generation)
    }

    async fn hear(
        &mut self,
        myself: &ActorRef<Event>,
        event: PeerEvent,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            // What an earlier incarnation said last is of no interest: nobody waits for the answer.
            PeerEvent::Request { generation, .. } if !self.is_current(Role::Api, generation) => {}
            PeerEvent::Delivery { generation, .. } if !self.is_current(Role::Image, generation) => {
            }
            PeerEvent::Request {
                envelope, reply, ..
            } => {
                self.request(myself, envelope, reply).await?;
            }
            PeerEvent::Delivery { envelope, .. } => self.delivery(myself, envelope).await?,
            PeerEvent::Ended {
                peer,
                generation,
                fault,
            } => {
                self.disconnect(peer, generation).await;
                if let Some(fault) = fault {
                    tracing::warn!(%peer, generation, fault, "peer broke the protocol");
                    let status = Status::peer_fault(peer, generation, &fault);
                    self.arguments.supervisor.send(0, &status, &[]).await?;
                }
            }
        }
        Ok(())
    }
}
