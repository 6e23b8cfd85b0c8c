//! The workers behind this one, as they come and go.
//!
//! The conductor owns [`Peers`] and publishes every change; sessions hold [`Directory`], which waits for a peer that is
//! being restarted, never hands out one that is known to be gone, and finds out when none is coming.

use crate::limits::{PEER_PATIENCE, PEER_WAIT};
use ipc::call::Caller;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::image::{ImageReply, ImageRequest};
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::messages::supervision::{Control, ProcessState, ProcessStatus, Status};
use ipc::role::Role;
use std::time::Duration;
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
    supervisor: Caller<Status, Control>,
}

impl Peers {
    /// Nobody is there yet.
    pub fn new(supervisor: Caller<Status, Control>) -> (Self, Directory) {
        let (loader, loaders) = watch::channel(None);
        let (image, images) = watch::channel(None);
        (
            Self { loader, image },
            Directory {
                loader: loaders,
                image: images,
                supervisor,
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
    /// Whether there is a loader now.
    pub fn has_loader(&self) -> bool {
        self.loader.borrow().is_some()
    }

    /// Returns when that may have changed; `false` when it will not any more.
    pub async fn loader_changed(&mut self) -> bool {
        self.loader.changed().await.is_ok()
    }

    /// The loader, waiting for one that is being restarted.
    ///
    /// # Errors
    ///
    /// `Unavailable` when there is none after [`PEER_WAIT`]; `FailedPrecondition` when the supervisor has given it up.
    pub async fn loader(&mut self) -> Result<Loader, Failure> {
        find(&mut self.loader, Role::Loader, &self.supervisor).await
    }

    /// The image worker, waiting for one that is being restarted.
    ///
    /// # Errors
    ///
    /// As for the loader.
    pub async fn image(&mut self) -> Result<Image, Failure> {
        find(&mut self.image, Role::Image, &self.supervisor).await
    }
}

async fn find<P: Clone>(
    peer: &mut watch::Receiver<Option<P>>,
    role: Role,
    supervisor: &Caller<Status, Control>,
) -> Result<P, Failure> {
    if let Some(found) = within(PEER_PATIENCE, peer).await {
        return Ok(found);
    }
    let rows = supervisor.call(&Status::QueryStatus, &[], PEER_WAIT).await;
    if let Ok(Control::StatusReport(rows)) = rows.map(|answer| answer.message)
        && let Some(failure) = held(role, &rows)
    {
        return Err(failure);
    }
    within(PEER_WAIT - PEER_PATIENCE, peer)
        .await
        .ok_or_else(|| unavailable(role))
}

async fn within<P: Clone>(patience: Duration, peer: &mut watch::Receiver<Option<P>>) -> Option<P> {
    timeout(patience, peer.wait_for(Option::is_some))
        .await
        .ok()?
        .ok()?
        .clone()
}

/// The failure of a request whose worker will not be started again.
fn held(role: Role, rows: &[ProcessStatus]) -> Option<Failure> {
    let row = rows
        .iter()
        .find(|row| row.role == role.name() && row.state == ProcessState::Held)?;
    let failure = Failure::new(
        FailureCode::FailedPrecondition,
        Stage::Connect,
        format!(
            "the {role} worker failed again and again and is held: {}",
            row.note
        ),
    );
    Some(failure.remedy("repair that, then restart bpfmand; loaded programs run on"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(role: Role, state: ProcessState, note: &str) -> ProcessStatus {
        ProcessStatus {
            role: role.name().to_owned(),
            state,
            pid: 0,
            uid: 0,
            cap_effective: 0,
            cap_permitted: 0,
            seccomp_mode: 0,
            no_new_privs: false,
            landlock: 0,
            generation: 0,
            restarts: 8,
            memory: 0,
            note: note.to_owned(),
        }
    }

    #[test]
    fn only_a_worker_that_is_held_is_not_worth_a_retry() {
        let rows = [
            row(Role::Loader, ProcessState::Held, "exited with status 1"),
            row(Role::Image, ProcessState::Backoff, "killed by signal 9"),
        ];
        let failure = held(Role::Loader, &rows).expect("the loader is held");
        assert!(!failure.is_retryable());
        assert!(failure.cause.contains("exited with status 1"), "{failure}");
        assert!(held(Role::Image, &rows).is_none());
        assert!(held(Role::Loader, &[]).is_none());
    }
}
