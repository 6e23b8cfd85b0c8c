//! Whether somebody still waits for the answer to a request.
//!
//! A request whose client has left goes no further than the step that it is at: what the loader was asked for is carried out,
//! what it was not asked for yet is forgotten. The step itself is not cut off, because half a frame to another worker would
//! cost the link.

use ipc::messages::failure::{Failure, FailureCode, Stage};
use tokio::sync::watch;

/// Held by whoever waits.
#[derive(Debug)]
pub struct Waiting(#[expect(dead_code, reason = "its end is what it is for")] watch::Sender<()>);

/// Kept by whoever is at work.
#[derive(Clone, Debug)]
pub struct Awaited(Option<watch::Receiver<()>>);

/// Both.
pub fn pair() -> (Waiting, Awaited) {
    let (sender, receiver) = watch::channel(());
    (Waiting(sender), Awaited(Some(receiver)))
}

impl Awaited {
    /// For requests that are carried out whether anybody waits or not.
    pub fn always() -> Self {
        Self(None)
    }

    /// Before the next step.
    ///
    /// # Errors
    ///
    /// Nobody waits any more.
    pub fn check(&self) -> Result<(), Failure> {
        match &self.0 {
            Some(receiver) if receiver.has_changed().is_err() => Err(Failure::new(
                FailureCode::DeadlineExceeded,
                Stage::Request,
                "the client no longer waits; nothing was done",
            )),
            _ => Ok(()),
        }
    }

    /// Returns when nobody waits any more.
    pub async fn given_up(&mut self) {
        match &mut self.0 {
            Some(receiver) => while receiver.changed().await.is_ok() {},
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_whoever_waits_is_seen() {
        let (waiting, mut awaited) = pair();
        assert!(awaited.check().is_ok());
        drop(waiting);
        assert!(awaited.check().is_err());
        awaited.given_up().await;
        assert!(Awaited::always().check().is_ok());
    }
}
