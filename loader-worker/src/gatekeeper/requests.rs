//! What peers ask and deliver: admitted to the engine, or answered here.

use super::refusals::{duplicate, full, no_descriptor, no_image_worker, stopping};
use super::{Event, State};
use crate::engine::actor::{Command, Order};
use crate::engine::{AttachCommand, NamespaceFile, VolumeCommand};
use crate::join::{Offer, PlanOffer};
use crate::limits::JOIN_DEADLINE;
use crate::plan_intake::Delivery;
use crate::policy::{Action, Identity};
use crate::provenance;
use crate::reply::Reply;
use ipc::link::Envelope;
use ipc::messages::failure::Failure;
use ipc::messages::image::PlanDelivery;
use ipc::messages::loader::{LoaderReply, LoaderRequest, Session, Ticket};
use ipc::messages::program::LoadOptions;
use ipc::messages::pull::ImageOrigin;
use ractor::{ActorProcessingErr, ActorRef};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// What was admitted and waits for its plan.
#[derive(Debug)]
pub(super) struct PendingLoad {
    caller: Identity,
    purpose: Purpose,
    pub(super) reply: Reply,
}

/// What a plan is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To load programs.
    Programs(Box<LoadOptions>),
    /// To list what is in the kernel.
    Iterators,
}

/// What the image worker says about a ticket.
pub(super) type Plan = Result<Delivered, Failure>;

/// A plan, and the image that its object came from.
#[derive(Debug)]
pub(super) struct Delivered {
    delivery: Delivery,
    origin: Option<Box<ImageOrigin>>,
}

impl State {
    /// Requests are admitted or answered here; what is admitted is answered by the engine.
    pub(super) async fn request(
        &mut self,
        myself: &ActorRef<Event>,
        envelope: Envelope<LoaderRequest>,
        reply: Reply,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope {
            message,
            mut descriptors,
            ..
        } = envelope;
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
            LoaderRequest::Load {
                session,
                ticket,
                options,
            } => {
                let purpose = Purpose::Programs(Box::new(options));
                return self.load(myself, session, ticket, purpose, reply).await;
            }
            LoaderRequest::InstallIterators { session, ticket } => {
                let purpose = Purpose::Iterators;
                return self.load(myself, session, ticket, purpose, reply).await;
            }
            LoaderRequest::Unload {
                session,
                program_id,
            } => (session, Action::Unload, Command::Unload(program_id)),
            LoaderRequest::GetProgram {
                session,
                program_id,
            } => (session, Action::Read, Command::GetProgram(program_id)),
            LoaderRequest::ListPrograms { session } => {
                (session, Action::Read, Command::ListPrograms)
            }
            LoaderRequest::Attach {
                session,
                program_id,
                spec,
                places,
                netns,
                metadata,
            } => {
                let opened = descriptors.pop();
                let (target, namespace) = match (netns, opened) {
                    (None, opened) => (opened, None),
                    (Some(path), Some(file)) => (None, Some(NamespaceFile { file, path })),
                    (Some(_), None) => {
                        reply.fail(no_descriptor()).await;
                        return Ok(());
                    }
                };
                let command = AttachCommand {
                    program_id,
                    spec,
                    target,
                    places,
                    namespace,
                    metadata,
                };
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
            LoaderRequest::OpenIterator { session, of } => {
                (session, Action::Read, Command::OpenIterator(of))
            }
            LoaderRequest::ListDispatchers { session } => {
                (session, Action::Read, Command::ListDispatchers)
            }
            LoaderRequest::GetDispatcher { session, key } => {
                (session, Action::Read, Command::GetDispatcher(key))
            }
            LoaderRequest::ConvertChain {
                session,
                key,
                strategy,
            } => (session, Action::Attach, Command::Convert(key, strategy)),
            LoaderRequest::ShowHooks {
                session,
                interface,
                netns,
            } => {
                let file = descriptors.pop();
                let command = match (netns, file) {
                    (None, _) => Command::ShowHooks(interface, None),
                    (Some(path), Some(file)) => {
                        Command::ShowHooks(interface, Some(NamespaceFile { file, path }))
                    }
                    (Some(_), None) => {
                        reply.fail(no_descriptor()).await;
                        return Ok(());
                    }
                };
                (session, Action::Read, command)
            }
            LoaderRequest::PublishVolume {
                session,
                place,
                program,
                maps,
                access,
            } => {
                let command = Command::PublishVolume(Box::new(VolumeCommand {
                    place,
                    program,
                    maps,
                    access,
                }));
                (session, Action::Volumes, command)
            }
            LoaderRequest::UnpublishVolume { session, place } => {
                (session, Action::Volumes, Command::UnpublishVolume(place))
            }
            LoaderRequest::OpenPath {
                session,
                path,
                container_pid,
            } => {
                self.open_path(session, path, container_pid, reply).await;
                return Ok(());
            }
            LoaderRequest::Permit { session, errand } => {
                let admitted = self.admit(session, Action::of(errand));
                reply.send(admitted.map(|_| LoaderReply::Done)).await;
                return Ok(());
            }
        };
        match self.admit(session, action) {
            Ok(caller) => self.arguments.engine.cast(Order {
                caller,
                command,
                reply,
            })?,
            Err(failure) => reply.fail(failure).await,
        }
        Ok(())
    }

    pub(super) fn admit(&self, session: Session, action: Action) -> Result<Identity, Failure> {
        let caller = self.sessions.identity(session)?;
        self.arguments.policy.decide(caller, action)?;
        Ok(caller.clone())
    }

    async fn load(
        &mut self,
        myself: &ActorRef<Event>,
        session: Session,
        ticket: Ticket,
        purpose: Purpose,
        reply: Reply,
    ) -> Result<(), ActorProcessingErr> {
        let action = match purpose {
            Purpose::Programs(_) => Action::Load,
            // They are bpfman's own, and only looked at.
            Purpose::Iterators => Action::Read,
        };
        let caller = match self.admit(session, action) {
            Ok(caller) => caller,
            Err(failure) => {
                // Its plan, if it is there or comes, is of no use to anybody.
                self.joins.cancel(ticket);
                reply.fail(failure).await;
                return Ok(());
            }
        };
        let load = PendingLoad {
            caller,
            purpose,
            reply,
        };
        match self.joins.load(ticket, load, Instant::now()) {
            Offer::Joined(load, plan) => self.start(load, plan).await?,
            Offer::Waiting => tick_after_deadline(myself),
            Offer::Duplicate(load) => load.reply.fail(duplicate(ticket)).await,
            Offer::Full(load) => load.reply.fail(full()).await,
        }
        Ok(())
    }

    pub(super) async fn delivery(
        &mut self,
        myself: &ActorRef<Event>,
        envelope: Envelope<PlanDelivery>,
    ) -> Result<(), ActorProcessingErr> {
        let Envelope {
            message,
            mut descriptors,
            ..
        } = envelope;
        let (ticket, plan) = match message {
            PlanDelivery::Hello(_) => return Ok(()),
            PlanDelivery::NoPlan { ticket, failure } => (ticket, Err(failure)),
            PlanDelivery::Plan {
                ticket,
                length,
                digest,
            } => (ticket, delivered(descriptors.pop(), length, digest, None)),
            PlanDelivery::ImagePlan {
                ticket,
                length,
                digest,
                origin,
            } => (
                ticket,
                delivered(descriptors.pop(), length, digest, Some(origin)),
            ),
        };
        match self.joins.plan(ticket, plan, Instant::now()) {
            PlanOffer::Joined(load, plan) => self.start(load, plan).await?,
            PlanOffer::Waiting => tick_after_deadline(myself),
            PlanOffer::Dropped => {
                tracing::warn!(ticket, "a plan that nobody can await was dropped")
            }
        }
        Ok(())
    }

    async fn start(&mut self, load: PendingLoad, plan: Plan) -> Result<(), ActorProcessingErr> {
        let PendingLoad {
            caller,
            purpose,
            reply,
        } = load;
        match plan {
            Ok(Delivered { delivery, origin }) => {
                let command = match purpose {
                    Purpose::Programs(mut options) => {
                        if let Err(failure) = provenance::fill_in(&mut options.source, origin) {
                            reply.fail(failure).await;
                            return Ok(());
                        }
                        Command::Load { delivery, options }
                    }
                    Purpose::Iterators => Command::InstallIterators(delivery),
                };
                self.arguments.engine.cast(Order {
                    caller,
                    command,
                    reply,
                })?;
            }
            Err(failure) => reply.fail(failure).await,
        }
        Ok(())
    }
}

fn delivered(
    memfd: Option<OwnedFd>,
    length: u64,
    digest: [u8; 32],
    origin: Option<Box<ImageOrigin>>,
) -> Plan {
    let delivery = Delivery {
        memfd: memfd.ok_or_else(no_descriptor)?,
        length,
        digest,
    };
    Ok(Delivered { delivery, origin })
}

fn tick_after_deadline(myself: &ActorRef<Event>) {
    let _timer = myself.send_after(JOIN_DEADLINE + Duration::from_millis(1), || Event::Tick);
}
