//! The control link to one process of one worker.
//!
//! Owns the link. Receives from the worker and passes on to the tree, one message at a time, so that a worker that floods
//! waits for itself. Sends what the tree queues; the tree never waits for a worker. Ends with the link, and says so.

use super::Message;
use super::events::Event;
use crate::limits::CONTROL_QUEUE;
use ipc::link::{self, LinkError, Receiver, Sender};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use ractor::ActorRef;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A message to a worker.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) request_id: u64,
    pub(super) message: Control,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Outgoing {
    /// A message that answers nothing.
    pub(super) fn new(message: Control, descriptors: Vec<OwnedFd>) -> Self {
        Self {
            request_id: 0,
            message,
            descriptors,
        }
    }
}

/// The tree's handle.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u32,
    queue: mpsc::Sender<Outgoing>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Opens the link to a process that was just started.
    pub(super) fn open(
        socket: OwnedFd,
        role: Role,
        generation: u32,
        tree: ActorRef<Message>,
    ) -> Self {
        let (queue, outgoing) = mpsc::channel(CONTROL_QUEUE);
        let task = tokio::spawn(async move {
            let reason = match serve(socket, role, generation, outgoing, &tree).await {
                Ok(()) | Err(Loss::Gone) => None,
                Err(Loss::Fault(fault)) => Some(fault),
            };
            // Fails only when the tree has ended.
            let _ = tree.cast(Message::Event(Event::LinkLost {
                role,
                generation,
                reason,
            }));
        });
        Self {
            generation,
            queue,
            task,
        }
    }

    /// Queues a message; false when too many wait already.
    pub(super) fn send(&self, outgoing: Outgoing) -> bool {
        match self.queue.try_send(outgoing) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => false,
            // The link is gone; the tree is about to hear of it.
            Err(mpsc::error::TrySendError::Closed(_)) => true,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a link was lost.
enum Loss {
    Gone,
    Fault(String),
}

impl From<LinkError> for Loss {
    fn from(error: LinkError) -> Self {
        if error.is_fault() {
            Loss::Fault(format!(
                "broke the protocol towards the supervisor: {error}"
            ))
        } else {
            Loss::Gone
        }
    }
}

async fn serve(
    socket: OwnedFd,
    role: Role,
    generation: u32,
    outgoing: mpsc::Receiver<Outgoing>,
    tree: &ActorRef<Message>,
) -> Result<(), Loss> {
    let (sender, receiver, _) = link::establish::<Status, Control>(
        socket,
        Role::Supervisor,
        generation,
        (role, generation),
    )
    .await?;
    tokio::select! {
        outcome = read(receiver, role, generation, tree) => outcome,
        outcome = write(sender, outgoing) => outcome,
    }
}

async fn read(
    mut receiver: Receiver<Status>,
    role: Role,
    generation: u32,
    tree: &ActorRef<Message>,
) -> Result<(), Loss> {
    while let Some(envelope) = receiver.receive().await? {
        if ractor::call!(tree, |done| Message::FromWorker {
            role,
            generation,
            envelope,
            done
        })
        .is_err()
        {
            break;
        }
    }
    Ok(())
}

async fn write(
    sender: Sender<Control>,
    mut outgoing: mpsc::Receiver<Outgoing>,
) -> Result<(), Loss> {
    while let Some(Outgoing {
        request_id,
        message,
        descriptors,
    }) = outgoing.recv().await
    {
        let beside: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        sender.send(request_id, &message, &beside).await?;
    }
    Ok(())
}
