//! The engine's mailbox.
//!
//! Owns the [`Engine`], hence the store and everything in the kernel. Receives commands that the gatekeeper has
//! admitted, and has each carried out on a thread of its own: most of it are system calls, some of which wait for the
//! verifier or for every processor to leave a program. Which commands wait for which is decided by their claims. There
//! are never more threads than requests of the API worker may be under way ([`crate::limits::REQUESTS`]). They are made
//! after the sandbox was entered, and inherit all of it. Sends each answer to the API worker itself. Supervised by the
//! worker's root: an engine that ends takes the process with it, and the next one reconciles.

use super::{AttachCommand, Engine, NamespaceFile, VolumeCommand};
use crate::iterators;
use crate::plan_intake::{self, Delivery};
use crate::policy::Identity;
use crate::reply::Reply;
use crate::valid_plan::ValidPlan;
use ipc::messages::chain::{HookKey, Strategy};
use ipc::messages::failure::Failure;
use ipc::messages::kernel::Inventory;
use ipc::messages::loader::LoaderReply;
use ipc::messages::program::LoadOptions;
use ipc::messages::volume::VolumePlace;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// See the module.
pub struct EngineActor;

/// An admitted command.
#[derive(Debug)]
pub enum Command {
    /// Load what a plan says.
    Load {
        /// The plan.
        delivery: Delivery,
        /// What was asked for.
        options: Box<LoadOptions>,
    },
    /// Unload a program.
    Unload(u32),
    /// One program.
    GetProgram(u32),
    /// All programs.
    ListPrograms,
    /// Attach a program.
    Attach(Box<AttachCommand>),
    /// Detach a link.
    Detach(u64),
    /// One link.
    GetLink(u64),
    /// All links.
    ListLinks,
    /// Compare store, pins and kernel.
    Doctor,
    /// Open the list of all objects of a kind.
    OpenIterator(Inventory),
    /// Install the iterators of a plan.
    InstallIterators(Delivery),
    /// All hooks that bpfman orders.
    ListDispatchers,
    /// One of them.
    GetDispatcher(HookKey),
    /// Call a chain in another way.
    Convert(HookKey, Option<Strategy>),
    /// Everything on the hooks of an interface.
    ShowHooks(String, Option<NamespaceFile>),
    /// Make a volume of a pod.
    PublishVolume(Box<VolumeCommand>),
    /// Take a volume of a pod away.
    UnpublishVolume(VolumePlace),
}

/// A command with its author and its answer.
#[derive(Debug)]
pub struct Order {
    /// Who asked.
    pub caller: Identity,
    /// For what.
    pub command: Command,
    /// Whom to tell.
    pub reply: Reply,
}

/// The engine, and the commands that are being carried out.
pub struct State {
    engine: Arc<Engine>,
    running: JoinSet<()>,
}

impl Actor for EngineActor {
    type Msg = Order;
    type State = State;
    type Arguments = Arc<Engine>;

    async fn pre_start(
        &self,
        _: ActorRef<Order>,
        engine: Arc<Engine>,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            engine,
            running: JoinSet::new(),
        })
    }

    async fn handle(
        &self,
        _: ActorRef<Order>,
        order: Order,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while let Some(ended) = state.running.try_join_next() {
            ended?;
        }
        let (engine, runtime) = (Arc::clone(&state.engine), Handle::current());
        let work = move || runtime.block_on(answer(&engine, order));
        state.running.spawn_blocking(work);
        Ok(())
    }

    async fn post_stop(
        &self,
        _: ActorRef<Order>,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        while let Some(ended) = state.running.join_next().await {
            ended?;
        }
        Ok(())
    }
}

async fn answer(engine: &Engine, order: Order) {
    let answer = engine.carry_out(&order.caller, order.command).await;
    if let Err(failure) = &answer {
        tracing::info!(uid = order.caller.uid, client_pid = order.caller.pid, %failure, "not carried out");
    }
    let (answer, beside) = match answer {
        Ok((answer, beside)) => (Ok(answer), beside),
        Err(failure) => (Err(failure), None),
    };
    let beside = beside.as_ref().map(AsFd::as_fd);
    order.reply.send_beside(answer, beside).await;
}

impl Engine {
    /// Carries out one command; the answer may have a descriptor beside it.
    pub async fn carry_out(
        &self,
        caller: &Identity,
        command: Command,
    ) -> Result<(LoaderReply, Option<OwnedFd>), Failure> {
        let answer = match command {
            Command::Load { delivery, options } => {
                let valid = ValidPlan::try_from(plan_intake::read(delivery)?)?;
                LoaderReply::Loaded(self.load(caller.uid, &valid, &options).await?)
            }
            Command::Unload(id) => {
                self.unload(id).await?;
                LoaderReply::Done
            }
            Command::Attach(command) => {
                LoaderReply::Link(Box::new(self.attach(caller, &command).await?))
            }
            Command::Detach(id) => {
                self.detach(id).await?;
                LoaderReply::Done
            }
            Command::Convert(key, strategy) => {
                self.convert(key, strategy).await?;
                LoaderReply::Chain(Box::new(self.steady(|| self.chain(key))?))
            }
            Command::Doctor => {
                self.look_at_guests().await;
                // What is half done would be found different.
                let _alone = self.claim_everything().await;
                LoaderReply::Doctor(self.doctor().await?)
            }
            Command::InstallIterators(delivery) => {
                let _alone = self.claim_everything().await;
                iterators::install(&self.layout.iterators(), &plan_intake::read(delivery)?.plan)?;
                LoaderReply::Done
            }
            Command::OpenIterator(of) => {
                return Ok(match iterators::open(&self.layout.iterators(), of)? {
                    Some(list) => (LoaderReply::Iterator, Some(list)),
                    None => (LoaderReply::NoIterator, None),
                });
            }
            Command::GetProgram(id) => {
                self.look_at_guests().await;
                LoaderReply::Program(Box::new(self.steady(|| self.program(id))?))
            }
            Command::ListPrograms => {
                self.look_at_guests().await;
                LoaderReply::Programs(self.steady(|| self.programs())?)
            }
            Command::GetLink(id) => {
                self.look_at_guests().await;
                LoaderReply::Link(Box::new(self.steady(|| self.link(id))?))
            }
            Command::ListLinks => {
                self.look_at_guests().await;
                LoaderReply::Links(self.steady(|| self.links())?)
            }
            Command::ListDispatchers => {
                LoaderReply::Dispatchers(self.steady(|| self.dispatchers())?)
            }
            Command::GetDispatcher(key) => {
                LoaderReply::Chain(Box::new(self.steady(|| self.chain(key))?))
            }
            Command::ShowHooks(interface, namespace) => {
                self.look_at_guests().await;
                LoaderReply::Hooks(self.show_hooks(&interface, namespace.as_ref()).await?)
            }
            Command::PublishVolume(command) => {
                self.publish_volume(*command).await?;
                LoaderReply::Done
            }
            Command::UnpublishVolume(place) => {
                self.unpublish_volume(place).await?;
                LoaderReply::Done
            }
        };
        Ok((answer, None))
    }

    /// Looks things up in records that do not change meanwhile. What they tell is in the kernel until the change that
    /// replaces it is on record.
    pub(super) fn steady<T>(
        &self,
        look: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let _steady = self.store.steady();
        look()
    }
}
