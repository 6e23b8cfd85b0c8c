//! The connection of a client as the worker has it, with a supervisor that the test plays.

use api_worker::awaited::Awaited;
use api_worker::peers::Peers;
use api_worker::requests::Context;
use ipc::call::Caller;
use ipc::limits::WORKER_WINDOW;
use ipc::link::{Receiver, Sender, establish};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Mutex, Semaphore};

/// Both ends, and the supervisor's end of its link.
pub(crate) struct Connected {
    pub(crate) context: Context,
    pub(crate) socket: UnixStream,
    pub(crate) client: UnixStream,
    pub(crate) asked: Receiver<Status>,
    pub(crate) answer: Sender<Control>,
    /// Nobody is there; nobody comes.
    pub(crate) peers: Peers,
}

pub(crate) async fn connected() -> Connected {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (supervisor, worker) = tokio::join!(
        establish::<Status, Control>(ours.into(), Role::Supervisor, 1, Role::Api),
        establish::<Control, Status>(theirs.into(), Role::Api, 1, Role::Supervisor),
    );
    let (answer, asked, _) = supervisor.unwrap();
    let (sender, mut answers, _) = worker.unwrap();
    let caller: Caller<Status, Control> = Caller::new(sender, WORKER_WINDOW);
    let answered = caller.clone();
    tokio::spawn(async move {
        while let Ok(Some(envelope)) = answers.receive().await {
            answered.complete(envelope);
        }
    });

    let (client, socket) = UnixStream::pair().unwrap();
    let (peers, directory) = Peers::new(caller.clone());
    let context = Context {
        session: 1,
        socket: Arc::new(socket.try_clone().unwrap().into()),
        directory,
        supervisor: caller,
        introduced: Arc::new(Mutex::new(0)),
        tickets: Arc::new(AtomicU64::new(1)),
        pulls: Arc::new(Semaphore::new(1)),
        awaited: Awaited::always(),
    };
    Connected {
        context,
        socket,
        client,
        asked,
        answer,
        peers,
    }
}
