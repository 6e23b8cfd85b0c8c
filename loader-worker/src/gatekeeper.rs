//! The gatekeeper: everything that comes from another worker passes here.
//!
//! Owns the links to the API and image workers, the sessions, and the loads that wait for their plans. Receives sockets
//! and deaths of peers from the control loop, and what its reader tasks ([`crate::peer_link`]) read. Sends admitted
//! commands to the engine, refusals to the API worker, faults to the supervisor. Supervised by the worker's root.

use crate::engine::AttachCommand;
use crate::engine::actor::{Command, Order};
use crate::join::{Joins, Offer, PlanOffer};
use crate::limits;
use crate::peer_link::{self, PeerEvent};
use crate::plan_intake::Delivery;
use crate::policy::{Action, Identity, Policy};
use crate::reply::Reply;
use crate::session::Sessions;
use ipc::link::{Envelope, Sender};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::PlanDelivery;
use ipc::messages::loader::{LoaderReply, LoaderRequest, Session, Ticket};
use ipc::messages::program::LoadOptions;
use ipc::messages::supervision::Status;
use ipc::role::Role;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
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

/// A load that was admitted and waits for its plan.
#[derive(Debug)]
struct PendingLoad {
    caller: Identity,
    options: Box<LoadOptions>,
    reply: Reply,
}

/// What the image worker says about a ticket.
type Plan = Result<Delivery, Failure>;

impl Actor for Gatekeeper {
    type Msg = Event;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Event>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
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
            Event::PeerUp { peer, generation, socket } => state.connect(&myself, peer, generation, socket).await,
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
    async fn connect(&mut self, myself: &ActorRef<Event>, peer: Role, generation: u32, socket: OwnedFd) {
        // A new incarnation means that the old one is gone, whether that was told or not.
        if let Some(old) = self.connection(peer).and_then(|slot| slot.as_ref().map(|old| old.generation)) {
            self.disconnect(peer, old).await;
        }
        let own = self.arguments.generation;
        let reader = match peer {
            Role::Api => tokio::spawn(peer_link::serve_api(socket, own, generation, myself.clone())),
            Role::Image => tokio::spawn(peer_link::serve_image(socket, own, generation, myself.clone())),
            _ => return tracing::warn!(%peer, "the loader does not talk to this peer"),
        };
        if let Some(slot) = self.connection(peer) {
            *slot = Some(Connection { generation, reader });
        }
    }

    async fn disconnect(&mut self, peer: Role, generation: u32) {
        let Some(slot) = self.connection(peer) else { return };
        if slot.as_ref().is_none_or(|connection| connection.generation != generation) {
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

    async fn hear(&mut self, myself: &ActorRef<Event>, event: PeerEvent) -> Result<(), ActorProcessingErr> {
        match event {
            // What an earlier incarnation said last is of no interest: nobody waits for the answer.
            PeerEvent::Request { generation, .. } if !self.is_current(Role::Api, generation) => {}
            PeerEvent::Delivery { generation, .. } if !self.is_current(Role::Image, generation) => {}
            PeerEvent::Request { envelope, reply, .. } => {
                self.request(myself, envelope, reply).await?;
            }
            PeerEvent::Delivery { envelope, .. } => self.delivery(myself, envelope).await?,
            PeerEvent::Ended { peer, generation, fault } => {
                self.disconnect(peer, generation).await;
                if let Some(fault) = fault {
                    tracing::warn!(%peer, generation, fault, "peer broke the protocol");
                    let status = Status::PeerFault { peer, generation, fault };
                    self.arguments.supervisor.send(0, &status, &[]).await?;
                }
            }
        }
        Ok(())
    }

    /// Requests are admitted or answered here; what is admitted is answered by the engine.
    async fn request(
        &mut self,
        myself: &ActorRef<Event>,
        envelope: Envelope<LoaderRequest>,
        reply: Reply,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope { message, mut descriptors, .. } = envelope;
        if self.draining {
            reply.fail(stopping()).await;
            return Ok(());
        }
        let (session, action, command) = match message {
            // The link takes no second greeting.
            LoaderRequest::Hello(_) => return Ok(()),
            LoaderRequest::OpenSession { session } => {
                let socket = descriptors.pop().ok_or_else(no_descriptor);
                let opened = socket.and_then(|socket| self.sessions.open(session, socket));
                reply.send(opened.map(|()| LoaderReply::Done)).await;
                return Ok(());
            }
            LoaderRequest::CloseSession { session } => {
                self.sessions.close(session);
                return Ok(());
            }
            LoaderRequest::CancelLoad { ticket } => {
                if let Some(load) = self.joins.cancel(ticket) {
                    load.reply.fail(no_image_worker()).await;
                }
                return Ok(());
            }
            LoaderRequest::Load { session, ticket, options } => {
                return self.load(myself, session, ticket, options, reply).await;
            }
            LoaderRequest::Unload { session, program_id } => {
                (session, Action::Unload, Command::Unload(program_id))
            }
            LoaderRequest::GetProgram { session, program_id } => {
                (session, Action::Read, Command::GetProgram(program_id))
            }
            LoaderRequest::ListPrograms { session } => (session, Action::Read, Command::ListPrograms),
            LoaderRequest::Attach { session, program_id, spec, file_offset, metadata } => {
                let target = descriptors.pop();
                let command = AttachCommand { program_id, spec, target, file_offset, metadata };
                (session, Action::Attach, Command::Attach(Box::new(command)))
            }
            LoaderRequest::Detach { session, link_id } => {
                (session, Action::Detach, Command::Detach(link_id))
            }
            LoaderRequest::GetLink { session, link_id } => {
                (session, Action::Read, Command::GetLink(link_id))
            }
            LoaderRequest::ListLinks { session } => (session, Action::Read, Command::ListLinks),
            LoaderRequest::Doctor { session } => (session, Action::Read, Command::Doctor),
        };
        match self.admit(session, action) {
            Ok(caller) => self.arguments.engine.cast(Order { caller, command, reply })?,
            Err(failure) => reply.fail(failure).await,
        }
        Ok(())
    }

    fn admit(&self, session: Session, action: Action) -> Result<Identity, Failure> {
        let caller = self.sessions.identity(session)?;
        self.arguments.policy.decide(caller, action)?;
        Ok(caller.clone())
    }

    async fn load(
        &mut self,
        myself: &ActorRef<Event>,
        session: Session,
        ticket: Ticket,
        options: LoadOptions,
        reply: Reply,
    ) -> Result<(), ActorProcessingErr> {
        let caller = match self.admit(session, Action::Load) {
            Ok(caller) => caller,
            Err(failure) => {
                // Its plan, if it is there or comes, is of no use to anybody.
                self.joins.cancel(ticket);
                reply.fail(failure).await;
                return Ok(());
            }
        };
        let load = PendingLoad { caller, options: Box::new(options), reply };
        match self.joins.load(ticket, load, Instant::now()) {
            Offer::Joined(load, plan) => self.start(load, plan).await?,
            Offer::Waiting => tick_after_deadline(myself),
            Offer::Duplicate(load) => load.reply.fail(duplicate(ticket)).await,
            Offer::Full(load) => load.reply.fail(full()).await,
        }
        Ok(())
    }

    async fn delivery(
        &mut self,
        myself: &ActorRef<Event>,
        envelope: Envelope<PlanDelivery>,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope { message, mut descriptors, .. } = envelope;
        let (ticket, plan) = match message {
            PlanDelivery::Hello(_) => return Ok(()),
            PlanDelivery::NoPlan { ticket, failure } => (ticket, Err(failure)),
            PlanDelivery::Plan { ticket, length, digest } => {
                let memfd = descriptors.pop().ok_or_else(no_descriptor);
                (ticket, memfd.map(|memfd| Delivery { memfd, length, digest }))
            }
        };
        match self.joins.plan(ticket, plan, Instant::now()) {
            PlanOffer::Joined(load, plan) => self.start(load, plan).await?,
            PlanOffer::Waiting => tick_after_deadline(myself),
            PlanOffer::Dropped => tracing::warn!(ticket, "a plan that nobody can await was dropped"),
        }
        Ok(())
    }

    async fn start(&mut self, load: PendingLoad, plan: Plan) -> Result<(), ActorProcessingErr> {
        let PendingLoad { caller, options, reply } = load;
        match plan {
            Ok(delivery) => {
                let command = Command::Load { delivery, options };
                self.arguments.engine.cast(Order { caller, command, reply })?;
            }
            Err(failure) => reply.fail(failure).await,
        }
        Ok(())
    }
}

fn tick_after_deadline(myself: &ActorRef<Event>) {
    let _timer = myself.send_after(limits::JOIN_DEADLINE + Duration::from_millis(1), || Event::Tick);
}

fn too_late() -> Failure {
    let cause = format!("the image worker did not compile the object within {:?}", limits::JOIN_DEADLINE);
    Failure::new(FailureCode::DeadlineExceeded, Stage::Compile, cause).remedy("retry; see the service's log")
}

fn no_image_worker() -> Failure {
    Failure::new(FailureCode::Unavailable, Stage::Compile, "the image worker ended before it had compiled the object")
        .remedy("retry")
}

fn stopping() -> Failure {
    Failure::new(FailureCode::Unavailable, Stage::Connect, "bpfman is stopping").remedy("retry when it is back")
}

fn duplicate(ticket: Ticket) -> Failure {
    Failure::new(FailureCode::Internal, Stage::Request, format!("ticket {ticket} is in use"))
        .remedy("this is a fault of bpfman's API worker, please report it")
}

fn full() -> Failure {
    let cause = format!("{} loads are being compiled", limits::JOINS);
    Failure::new(FailureCode::ResourceExhausted, Stage::Request, cause).remedy("try again later")
}

fn no_descriptor() -> Failure {
    // The link counts descriptors before it lets a message in.
    Failure::new(FailureCode::Internal, Stage::Request, "a descriptor is missing beside the message")
}
