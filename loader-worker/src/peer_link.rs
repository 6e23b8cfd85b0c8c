//! The tasks that read from the other workers, one per link. Each hands over what it reads with a place in a window, and
//! reads on when a place is free: mailboxes have no bound, so this is where one is kept.

use crate::gatekeeper::Event;
use crate::limits::{DELIVERIES, REQUESTS};
use crate::reply::Reply;
use ipc::link::{self, Envelope, LinkError};
use ipc::messages::image::{PlanDelivery, PlanReceipt};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::role::Role;
use ractor::ActorRef;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What was read from a peer.
#[derive(Debug)]
pub enum PeerEvent {
    /// From the API worker.
    Request {
        /// Its incarnation.
        generation: u32,
        /// The request.
        envelope: Envelope<LoaderRequest>,
        /// Its answer.
        reply: Reply,
    },
    /// From the image worker.
    Delivery {
        /// Its incarnation.
        generation: u32,
        /// What it delivers.
        envelope: Envelope<PlanDelivery>,
        /// Its place in the window, until it was looked at.
        place: OwnedSemaphorePermit,
    },
    /// A link is of no further use.
    Ended {
        /// Which.
        peer: Role,
        /// Its incarnation.
        generation: u32,
        /// What the peer did, if it broke the protocol.
        fault: Option<String>,
    },
}

/// Reads requests of the API worker until its link ends.
pub async fn serve_api(socket: OwnedFd, own: u32, generation: u32, gatekeeper: ActorRef<Event>) {
    let outcome = read_api(socket, own, generation, &gatekeeper).await;
    ended(Role::Api, generation, outcome, &gatekeeper);
}

async fn read_api(
    socket: OwnedFd,
    own: u32,
    generation: u32,
    gatekeeper: &ActorRef<Event>,
) -> Result<(), LinkError> {
    let (sender, mut receiver, _) = link::establish::<LoaderRequest, LoaderReply>(
        socket,
        Role::Loader,
        own,
        (Role::Api, generation),
    )
    .await?;
    let window = Arc::new(Semaphore::new(REQUESTS));
    while let Some(place) = place(&window).await {
        let Some(envelope) = receiver.receive().await? else {
            break;
        };
        let reply = Reply::new(sender.clone(), envelope.request_id, place);
        tell(
            gatekeeper,
            PeerEvent::Request {
                generation,
                envelope,
                reply,
            },
        );
    }
    Ok(())
}

/// Reads deliveries of the image worker until its link ends.
pub async fn serve_image(socket: OwnedFd, own: u32, generation: u32, gatekeeper: ActorRef<Event>) {
    let outcome = read_image(socket, own, generation, &gatekeeper).await;
    ended(Role::Image, generation, outcome, &gatekeeper);
}

async fn read_image(
    socket: OwnedFd,
    own: u32,
    generation: u32,
    gatekeeper: &ActorRef<Event>,
) -> Result<(), LinkError> {
    // The sender is kept: both ends of the link are one socket.
    let (_sender, mut receiver, _) = link::establish::<PlanDelivery, PlanReceipt>(
        socket,
        Role::Loader,
        own,
        (Role::Image, generation),
    )
    .await?;
    let window = Arc::new(Semaphore::new(DELIVERIES));
    while let Some(place) = place(&window).await {
        let Some(envelope) = receiver.receive().await? else {
            break;
        };
        tell(
            gatekeeper,
            PeerEvent::Delivery {
                generation,
                envelope,
                place,
            },
        );
    }
    Ok(())
}

async fn place(window: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // Fails only when the window is closed, which nobody does.
    Arc::clone(window).acquire_owned().await.ok()
}

fn ended(
    peer: Role,
    generation: u32,
    outcome: Result<(), LinkError>,
    gatekeeper: &ActorRef<Event>,
) {
    let fault = outcome
        .err()
        .filter(LinkError::is_fault)
        .map(|error| error.to_string());
    tell(
        gatekeeper,
        PeerEvent::Ended {
            peer,
            generation,
            fault,
        },
    );
}

fn tell(gatekeeper: &ActorRef<Event>, event: PeerEvent) {
    // A gatekeeper that is gone takes the process with it.
    let _ = gatekeeper.cast(Event::Peer(Box::new(event)));
}
