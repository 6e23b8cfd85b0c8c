//! One client connection.
//!
//! Owns the link to the client. Receives its requests, at most a window of them at once; each is carried out by a task
//! ([`requests::answer`]) that sends the answer itself. Ends with the connection or with the service; a client that
//! breaks the protocol is told so and dropped ([`refusals`]), nobody else notices.

use crate::older_clients;
use crate::refusals;
use crate::requests::{self, Context};
use ipc::limits::CLIENT_WINDOW;
use ipc::link::{self, LinkError, Receiver, Sender};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::role::Role;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tracing::{debug, warn};

/// Serves a client until it leaves or the service stops; returns when nothing of it is in flight any more.
pub async fn serve(
    socket: OwnedFd,
    generation: u32,
    context: Context,
    mut stop: watch::Receiver<bool>,
) {
    let session = context.session;
    let adopted =
        link::adopt::<ClientRequest, ClientReply>(socket, Role::Api, generation, Role::Client);
    let (sender, mut receiver) = match adopted {
        Ok(halves) => halves,
        Err(error) => return warn!(session, %error, "a client's socket cannot be used"),
    };
    let hello = match link::exchange_greetings(&sender, &mut receiver).await {
        Ok(hello) => hello,
        Err(error) => return refusals::part(session, &sender, error).await,
    };
    let window = Arc::new(Semaphore::new(CLIENT_WINDOW));
    tokio::select! {
        () = read(receiver, &sender, hello.version, &context, &window) => {}
        // Only the wait for the next request is cut; the connection is not used for reading again.
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
    // Whatever is in flight holds permits: all of them back means all of it is answered.
    let _ = window
        .acquire_many(u32::try_from(CLIENT_WINDOW).unwrap_or(u32::MAX))
        .await;
    let mut context = context;
    context.close().await;
}

async fn read(
    mut receiver: Receiver<ClientRequest>,
    sender: &Sender<ClientReply>,
    version: u16,
    context: &Context,
    window: &Arc<Semaphore>,
) {
    loop {
        // Without a free permit the next request waits in the socket: that is the client's back-pressure.
        let Ok(permit) = Arc::clone(window).acquire_owned().await else {
            return;
        };
        match receiver.receive().await {
            Ok(Some(request)) => {
                let (sender, context) = (sender.clone(), context.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    let answer =
                        requests::answer(context, request.message, request.descriptors).await;
                    let answer = older_clients::fit(answer, version);
                    send(&sender, request.request_id, answer).await;
                });
            }
            Ok(None) => return,
            Err(error) => return refusals::part(context.session, sender, error).await,
        }
    }
}

/// Sends an answer; one that is too large becomes the failure that says so.
async fn send(sender: &Sender<ClientReply>, request_id: u64, answer: ClientReply) {
    match sender.send(request_id, &answer, &[]).await {
        Err(LinkError::Unsendable(error)) => {
            let failure = Failure::new(
                FailureCode::ResourceExhausted,
                Stage::Query,
                format!("the answer is too large: {error}"),
            );
            // A client that is gone does not miss its answer.
            let _ = sender
                .send(request_id, &ClientReply::Failed(failure), &[])
                .await;
        }
        Err(error) => debug!(%error, "answer not delivered"),
        Ok(()) => {}
    }
}

/// Tells a client that there is no room for it.
pub async fn refuse(socket: OwnedFd, generation: u32) {
    let established =
        link::establish::<ClientRequest, ClientReply>(socket, Role::Api, generation, Role::Client)
            .await;
    if let Ok((sender, _, _)) = established {
        refusals::refuse(&sender, refusals::no_room()).await;
    }
}
