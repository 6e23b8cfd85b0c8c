//! The engine's mailbox.
//!
//! Owns the [`Engine`], hence the store and everything in the kernel. Receives commands that the gatekeeper has
//! admitted, one at a time. Sends each answer to the API worker itself. Supervised by the worker's root: an engine that
//! ends takes the process with it, and the next one reconciles.

use super::{AttachCommand, Engine};
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
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::os::fd::{AsFd, OwnedFd};

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
    ShowHooks(String),
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

impl Actor for EngineActor {
    type Msg = Order;
    type State = Engine;
    type Arguments = Engine;

    async fn pre_start(
        &self,
        _: ActorRef<Order>,
        engine: Engine,
    ) -> Result<Engine, ActorProcessingErr> {
        Ok(engine)
    }

    async fn handle(
        &self,
        _: ActorRef<Order>,
        order: Order,
        engine: &mut Engine,
    ) -> Result<(), ActorProcessingErr> {
        let answer = engine.carry_out(&order.caller, order.command).await;
        if let Err(failure) = &answer {
            tracing::info!(uid = order.caller.uid, pid = order.caller.pid, %failure, "not carried out");
        }
        let (answer, beside) = match answer {
            Ok((answer, beside)) => (Ok(answer), beside),
            Err(failure) => (Err(failure), None),
        };
        let beside = beside.as_ref().map(AsFd::as_fd);
        order.reply.send_beside(answer, beside).await;
        Ok(())
    }
}

impl Engine {
    /// Carries out one command; the answer may have a descriptor beside it.
    pub async fn carry_out(
        &mut self,
        caller: &Identity,
        command: Command,
    ) -> Result<(LoaderReply, Option<OwnedFd>), Failure> {
        let mut beside = None;
        let answer = match command {
            Command::Load { delivery, options } => {
                let valid = ValidPlan::try_from(plan_intake::read(delivery)?)?;
                LoaderReply::Loaded(self.load(caller.uid, &valid, &options).await?)
            }
            Command::Unload(id) => {
                self.unload(id).await?;
                LoaderReply::Done
            }
            Command::GetProgram(id) => LoaderReply::Program(Box::new(self.program(id)?)),
            Command::ListPrograms => LoaderReply::Programs(self.programs()?),
            Command::Attach(command) => LoaderReply::Link(Box::new(self.attach(&command).await?)),
            Command::Detach(id) => {
                self.detach(id).await?;
                LoaderReply::Done
            }
            Command::GetLink(id) => LoaderReply::Link(Box::new(self.link(id)?)),
            Command::ListLinks => LoaderReply::Links(self.links()?),
            Command::Doctor => LoaderReply::Doctor(self.doctor()?),
            Command::OpenIterator(of) => {
                beside = iterators::open(&self.layout.iterators(), of)?;
                match beside {
                    Some(_) => LoaderReply::Iterator,
                    None => LoaderReply::NoIterator,
                }
            }
            Command::InstallIterators(delivery) => {
                iterators::install(&self.layout.iterators(), &plan_intake::read(delivery)?.plan)?;
                LoaderReply::Done
            }
            Command::ListDispatchers => LoaderReply::Dispatchers(self.dispatchers()?),
            Command::GetDispatcher(key) => LoaderReply::Chain(Box::new(self.chain(key)?)),
            Command::Convert(key, strategy) => {
                self.convert(key, strategy).await?;
                LoaderReply::Chain(Box::new(self.chain(key)?))
            }
            Command::ShowHooks(interface) => LoaderReply::Hooks(self.show_hooks(&interface)?),
        };
        Ok((answer, beside))
    }
}
