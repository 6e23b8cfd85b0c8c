//! The workers behind this one, as they come and go.
//!
//! The conductor owns [`Peers`] and publishes every change; sessions hold [`Directory`], which waits for a peer that is
//! being restarted and never hands out one that is known to be gone.

use crate::limits::PEER_WAIT;
use ipc::call::Caller;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::role::Role;
use tokio::sync::watch;
use tokio::time::timeout;

/// A peer in one incarnation.
#[derive(Clone, Debug)]
pub struct Peer<Out, In> {
    /// Which incarnation.
    pub generation: u32,
    /// How to ask it.
    pub caller: Caller<Out, In>,
}

/// The loader.
pub type Loader = Peer<LoaderRequest, LoaderReply>;
/// The image worker.
pub type Image = Peer<ImageRequest, ImageReply>;

/// The publishing end.
#[derive(Debug)]
pub struct Peers {
    loader: watch::Sender<Option<Loader>>,
    image: watch::Sender<Option<Image>>,
}

/// The reading end.
#[derive(Clone, Debug)]
pub struct Directory {
    loader: watch::Receiver<Option<Loader>>,
    image: watch::Receiver<Option<Image>>,
}

impl Peers {
    /// Nobody is there yet.
    pub fn new() -> (Self, Directory) {
        let (loader, loaders) = watch::channel(None);
        let (image, images) = watch::channel(None);
        (
            Self { loader, image },
            Directory {
                loader: loaders,
                image: images,
            },
        )
    }

    /// A new incarnation of the loader.
    pub fn loader_up(&self, loader: Loader) {
        close(self.loader.send_replace(Some(loader)));
    }

    /// A new incarnation of the image worker.
    pub fn image_up(&self, image: Image) {
        close(self.image.send_replace(Some(image)));
    }

    /// An incarnation ended: whoever waits for its answer hears it now. A later incarnation is left alone.
    pub fn down(&self, role: Role, generation: u32) {
        match role {
            Role::Loader => take(&self.loader, generation),
            Role::Image => take(&self.image, generation),
            _ => {}
        }
    }
}

fn take<Out, In>(peer: &watch::Sender<Option<Peer<Out, In>>>, generation: u32)
where
    Out: ipc::messages::Message,
    In: ipc::messages::Message,
{
    let mut ended = None;
    peer.send_if_modified(|current| {
        if current
            .as_ref()
            .is_some_and(|current| current.generation == generation)
        {
            ended = current.take();
        }
        ended.is_some()
    });
    close(ended);
}

fn close<Out: ipc::messages::Message, In: ipc::messages::Message>(peer: Option<Peer<Out, In>>) {
    if let Some(peer) = peer {
        peer.caller.close();
    }
}

impl Directory {
    /// The loader, waiting for one that is being restarted.
    ///
    /// # Errors
    ///
    /// `Unavailable` when there is none after [`PEER_WAIT`].
    pub async fn loader(&mut self) -> Result<Loader, Failure> {
        find(&mut self.loader, Role::Loader).await
    }

    /// The image worker, waiting for one that is being restarted.
    ///
    /// # Errors
    ///
    /// `Unavailable` when there is none after [`PEER_WAIT`].
    pub async fn image(&mut self) -> Result<Image, Failure> {
        find(&mut self.image, Role::Image).await
    }
}

async fn find<P: Clone>(peer: &mut watch::Receiver<Option<P>>, role: Role) -> Result<P, Failure> {
    let found = timeout(PEER_WAIT, peer.wait_for(Option::is_some)).await;
    match found {
        Ok(Ok(peer)) => peer.clone().ok_or_else(|| unavailable(role)),
        _ => Err(unavailable(role)),
    }
}

/// The failure of a request whose worker is not there.
pub fn unavailable(role: Role) -> Failure {
    Failure::new(
        FailureCode::Unavailable,
        Stage::Connect,
        format!("the {role} worker is being restarted"),
    )
    .remedy("retry; if it stays so, `bpfmanctl status` tells why")
}
