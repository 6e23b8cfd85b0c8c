//! The actor itself, with a spawner that the test plays and time that is only pretended to pass.

use super::*;
use crate::limits::{CONTROL_QUEUE, SPAWNER_END_DEADLINE};
use crate::prepare::flags::Flags;
use crate::prepare::registries;
use crate::prepare::users::Users;
use crate::spawner::protocol::Reply;
use crate::tree::reload::Configured;
use clap::Parser;
use configuration::Config;
use connection::Outgoing;
use ipc::messages::pull::ImageSettings;
use ipc::messages::supervision::Control;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io::IoSlice;

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// Stops a tree whose workers cannot be started; the spawner is left to the test.
async fn stopped() -> (JoinHandle<()>, OwnedFd, oneshot::Receiver<()>) {
    let (ours, its) = pair(SocketType::SEQPACKET);
    let (control, grpc) = pair(SocketType::STREAM);
    let users = Users::from_files("", "", false).unwrap();
    let settings = Settings::new(&Flags::parse_from(["bpfmand"]), &users, "info", None);
    let (finished, outcome) = oneshot::channel();
    let arguments = Arguments {
        spawner: spawner::Handle {
            socket: its,
            pid: std::process::id(),
        },
        listeners: Listeners {
            control,
            grpc,
            csi: None,
        },
        image_settings: registries::memory(&ImageSettings::default()).unwrap(),
        notify: Notify::default(),
        settings,
        report: SandboxReport::default(),
        format: Format::Text,
        configured: Configured {
            file: None,
            config: Config::default(),
            log_given: false,
            log: "info".to_owned(),
        },
        at_terminal: false,
        finished,
    };
    let (tree, life) = Actor::spawn(None, Tree, arguments).await.unwrap();
    tree.cast(Message::Event(Event::Stop)).unwrap();
    for entry in [Entry::Loader, Entry::Image, Entry::Api] {
        let failed = Reply::Failed {
            entry,
            generation: 1,
            errno: 12,
        };
        ipc::descriptors::send(&ours, &[IoSlice::new(&failed.encode())], &[]).unwrap();
    }
    (life, ours, outcome)
}

#[tokio::test(start_paused = true)]
async fn a_spawner_that_does_not_end_is_not_waited_for_longer_than_its_deadline() {
    let begun = tokio::time::Instant::now();
    let (life, spawner, mut outcome) = stopped().await;
    life.await.unwrap();
    assert!(begun.elapsed() >= SPAWNER_END_DEADLINE);
    assert!(begun.elapsed() < 2 * SPAWNER_END_DEADLINE);
    assert!(outcome.try_recv().is_err(), "that is no end in order");
    drop(spawner);
}

#[tokio::test(start_paused = true)]
async fn a_spawner_that_ends_just_in_time_is_an_end_in_order() {
    let (life, spawner, outcome) = stopped().await;
    tokio::time::sleep(SPAWNER_END_DEADLINE - std::time::Duration::from_millis(10)).await;
    drop(spawner);
    life.await.unwrap();
    assert_eq!(outcome.await, Ok(()));
}

/// Stands where the tree stands.
struct Deaf;

impl Actor for Deaf {
    type Msg = Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn one_message_past_the_queue_of_a_worker_that_does_not_read_is_noticed() {
    let (tree, _) = Actor::spawn(None, Deaf, ()).await.unwrap();
    let (ours, _silent) = pair(SocketType::STREAM);
    let connection = Connection::open(ours, Role::Image, 1, tree);
    let message = || Outgoing::new(Control::Activate, vec![]);
    for _ in 0..CONTROL_QUEUE {
        assert!(connection.send(message()));
    }
    assert!(!connection.send(message()));
}
