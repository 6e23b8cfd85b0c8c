//! The answer that a request of the API worker is owed.

use ipc::link::{LinkError, Sender};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::loader::LoaderReply;
use std::os::fd::BorrowedFd;
use tokio::sync::OwnedSemaphorePermit;

/// Owed until it is sent; holds the request's place in the window.
#[derive(Debug)]
pub struct Reply {
    sender: Sender<LoaderReply>,
    request_id: u64,
    _place: OwnedSemaphorePermit,
}

impl Reply {
    /// The answer to this request.
    pub fn new(sender: Sender<LoaderReply>, request_id: u64, place: OwnedSemaphorePermit) -> Self {
        Self {
            sender,
            request_id,
            _place: place,
        }
    }

    /// Sends the answer. If the API worker is gone, nobody is left who waits for it.
    pub async fn send(self, answer: Result<LoaderReply, Failure>) {
        self.send_beside(answer, None).await;
    }

    /// Sends the answer with a descriptor beside it.
    pub async fn send_beside(
        self,
        answer: Result<LoaderReply, Failure>,
        descriptor: Option<BorrowedFd<'_>>,
    ) {
        let answer = answer.unwrap_or_else(LoaderReply::Failed);
        let outcome = self
            .sender
            .send(self.request_id, &answer, descriptor.as_slice())
            .await;
        let Err(LinkError::Unsendable(_)) = outcome else {
            return;
        };
        let failure = Failure::new(
            FailureCode::ResourceExhausted,
            Stage::Query,
            "the answer is too large for one message",
        )
        .remedy("ask for single programs or links; unload what is not used");
        // As above.
        let _ = self
            .sender
            .send(self.request_id, &LoaderReply::Failed(failure), &[])
            .await;
    }

    /// Sends a failure.
    pub async fn fail(self, failure: Failure) {
        self.send(Err(failure)).await;
    }
}
