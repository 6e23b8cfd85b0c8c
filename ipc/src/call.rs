//! Requests with answers over a link: a window, a deadline, and the death of the peer.

use crate::link::{Envelope, LinkError, Sender};
use crate::messages::Message;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Asks over the sending half of a link; whoever reads the receiving half feeds the answers to [`Caller::complete`].
pub struct Caller<Out, In> {
    sender: Sender<Out>,
    shared: Arc<Shared<In>>,
}

struct Shared<In> {
    window: Semaphore,
    next: AtomicU64,
    /// `None` once the peer is gone.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Envelope<In>>>>>,
}

impl<Out, In> Clone for Caller<Out, In> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<Out, In> std::fmt::Debug for Caller<Out, In> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Caller({:?})", self.sender)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The peer ended before it answered; whether it acted is not known.
    #[error("peer is gone")]
    PeerGone,
    /// No answer in time; whether the peer acted is not known.
    #[error("no answer within {0:?}")]
    DeadlineExceeded(Duration),
    /// The request could not be sent.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Forgets a request whose caller no longer waits.
struct Waiting<'a, In> {
    shared: &'a Shared<In>,
    id: u64,
}

impl<In> Drop for Waiting<'_, In> {
    fn drop(&mut self) {
        if let Some(waiting) = self.shared.waiting().as_mut() {
            waiting.remove(&self.id);
        }
    }
}

impl<In> Shared<In> {
    fn waiting(&self) -> MutexGuard<'_, Option<HashMap<u64, oneshot::Sender<Envelope<In>>>>> {
        // Nothing panics while the lock is held; a poisoned map would still be whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Out: Message, In: Message> Caller<Out, In> {
    /// A caller that has at most `window` requests in flight; more of them wait.
    pub fn new(sender: Sender<Out>, window: usize) -> Self {
        let shared = Shared {
            window: Semaphore::new(window),
            next: AtomicU64::new(1),
            waiting: Mutex::new(Some(HashMap::new())),
        };
        Self {
            sender,
            shared: Arc::new(shared),
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`CallError`]; only [`LinkError::Unsendable`] and [`LinkError::Forbidden`] say that the peer did not act.
    pub async fn call(
        &self,
        message: &Out,
        descriptors: &[BorrowedFd<'_>],
        deadline: Duration,
    ) -> Result<Envelope<In>, CallError> {
        timeout(deadline, self.ask(message, descriptors))
            .await
            .map_err(|_| CallError::DeadlineExceeded(deadline))?
    }

    async fn ask(
        &self,
        message: &Out,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Envelope<In>, CallError> {
        let _permit = self
            .shared
            .window
            .acquire()
            .await
            .map_err(|_| CallError::PeerGone)?;
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.shared
            .waiting()
            .as_mut()
            .ok_or(CallError::PeerGone)?
            .insert(id, sender);
        let _waiting = Waiting {
            shared: &self.shared,
            id,
        };
        match self.sender.send(id, message, descriptors).await {
            Ok(()) => answer.await.map_err(|_| CallError::PeerGone),
            Err(LinkError::Closed | LinkError::Socket(_)) => Err(CallError::PeerGone),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the peer something that has no answer.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    pub async fn tell(&self, message: &Out) -> Result<(), LinkError> {
        self.sender.send(0, message, &[]).await
    }

    /// Gives an answer to whoever waits for it; `false` when nobody does.
    pub fn complete(&self, answer: Envelope<In>) -> bool {
        let waiter = self
            .shared
            .waiting()
            .as_mut()
            .and_then(|waiting| waiting.remove(&answer.request_id));
        waiter.is_some_and(|waiter| waiter.send(answer).is_ok())
    }

    /// The peer is gone: whoever waits hears it now, whoever asks later hears it at once.
    pub fn close(&self) {
        self.shared.waiting().take();
        self.shared.window.close();
    }
}

#[cfg(test)]
mod tests;
