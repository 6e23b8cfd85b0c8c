//! The process tree: what the supervisor does for the rest of its life.
//!
//! Owns: the decisions ([`machine`], [`helpers`]), the socket to the spawner, the control link of every worker, the
//! listening socket, the service manager's socket.
//! Receives: replies of the spawner, messages of workers, signals, the passing of time.
//! Sends: commands to the spawner, control messages to workers.
//! Supervised by nobody: when it fails the supervisor ends, the spawner notices and ends the workers, and the service
//! manager starts anew. Programs keep running in the kernel.

mod activation;
mod connection;
mod effects;
pub mod events;
pub mod helpers;
pub mod machine;
mod relay;
pub mod reload;
mod replies;
pub mod restart;
mod signals;
mod status;
mod stop;
pub mod worker;

use crate::prepare::notify::Notify;
use crate::prepare::socket::Listeners;
use crate::prepare::workers::Settings;
use crate::spawner;
use crate::spawner::client::Client;
use crate::spawner::protocol::Reply;
use crate::spawner::table::Entry;
use configuration::Format;
use connection::Connection;
use events::Event;
use helpers::Helpers;
use ipc::link::Envelope;
use ipc::messages::supervision::{SandboxReport, Status};
use ipc::role::Role;
use machine::Machine;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use relay::LastWords;
use reload::Configured;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What the tree begins with.
pub struct Arguments {
    /// The spawner.
    pub spawner: spawner::Handle,
    /// The sockets of clients.
    pub listeners: Listeners,
    /// The service manager.
    pub notify: Notify,
    /// Settings of the image worker, in sealed memory.
    pub image_settings: OwnedFd,
    /// What the workers are started with, and must report.
    pub settings: Settings,
    /// What the supervisor itself gave up.
    pub report: SandboxReport,
    /// Form of the log.
    pub format: Format,
    /// What is configured.
    pub configured: Configured,
    /// Whether it was started from a terminal.
    pub at_terminal: bool,
    /// Told when everything has ended in order.
    pub finished: oneshot::Sender<()>,
}

/// What wakes the tree.
#[derive(Debug)]
pub enum Message {
    /// Something happened.
    Event(Event),
    /// The spawner replied; `None` when it is gone.
    Spawner(Option<Reply>),
    /// A worker sent a message.
    FromWorker {
        /// Who.
        role: Role,
        /// Its incarnation.
        generation: u32,
        /// What.
        envelope: Envelope<Status>,
        /// Answered when the next message may come.
        done: RpcReplyPort<()>,
    },
    /// The spawner did not end in time.
    SpawnerOverdue,
    /// The configuration file may have changed.
    Reload,
}

/// The actor.
pub struct Tree;

/// What it owns.
pub struct State {
    machine: Machine,
    helpers: Helpers,
    spawner: Client,
    spawner_pid: u32,
    /// By row: our ends of the control socket and the log pipe of a start that is not answered yet.
    pending: BTreeMap<Entry, (OwnedFd, OwnedFd)>,
    connections: BTreeMap<Role, Connection>,
    /// What the latest process of each worker says about its end.
    words: BTreeMap<Role, LastWords>,
    listeners: Listeners,
    image_settings: OwnedFd,
    notify: Notify,
    report: SandboxReport,
    format: Format,
    configured: Configured,
    /// Whether what is logged is not what the command lines of workers say.
    log_changed: bool,
    timer: Option<(Instant, JoinHandle<()>)>,
    finishing: bool,
    finished: Option<oneshot::Sender<()>>,
}

impl Actor for Tree {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let spawner = Client::new(arguments.spawner.socket)?;
        let settings = arguments.settings;
        let demand = move |role: Role, report: &SandboxReport| {
            let entry = Entry::of_worker(role).ok_or_else(|| format!("{role} is no worker"))?;
            let expected = sandbox::Expectation::of_worker(&settings.of(entry, 0), report.pid);
            sandbox::demand(report, &expected).map_err(|faults| faults.join("; "))
        };
        signals::watch(myself.clone(), arguments.at_terminal)?;
        listen(spawner.clone(), myself.clone());
        myself.cast(Message::Event(Event::Begin))?;
        Ok(State {
            machine: Machine::new(Instant::now(), Box::new(demand)),
            helpers: Helpers::default(),
            spawner,
            spawner_pid: arguments.spawner.pid,
            pending: BTreeMap::new(),
            connections: BTreeMap::new(),
            words: BTreeMap::new(),
            listeners: arguments.listeners,
            image_settings: arguments.image_settings,
            notify: arguments.notify,
            report: arguments.report,
            format: arguments.format,
            configured: arguments.configured,
            log_changed: false,
            timer: None,
            finishing: false,
            finished: Some(arguments.finished),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Event(event) => state.process(event, &myself),
            Message::Spawner(Some(reply)) => state.spawner_replied(reply, &myself),
            Message::FromWorker {
                role,
                generation,
                envelope,
                done,
            } => {
                state.worker_sent(role, generation, envelope, &myself);
                // Fails only when the link was dropped meanwhile.
                let _ = done.send(());
            }
            Message::Spawner(None) if state.finishing => {
                if let Some(finished) = state.finished.take() {
                    let _ = finished.send(());
                }
                myself.stop(None);
            }
            Message::Spawner(None) => {
                tracing::error!(
                    "the spawner is gone; ending, so that the service manager starts anew"
                );
                myself.stop(None);
            }
            Message::Reload => state.reload(&myself),
            Message::SpawnerOverdue => {
                tracing::error!("the spawner does not end");
                myself.stop(None);
            }
        }
        state.arm(&myself);
        Ok(())
    }
}

/// Passes the spawner's replies on.
fn listen(spawner: Client, tree: ActorRef<Message>) {
    tokio::spawn(async move {
        loop {
            let reply = spawner.reply().await.unwrap_or_else(|error| {
                tracing::error!("spawner: {error}");
                None
            });
            if tree.cast(Message::Spawner(reply)).is_err() || reply.is_none() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod actor_tests;
