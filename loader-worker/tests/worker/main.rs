//! The loader as its peers see it: a supervisor, an API worker and an image worker that the test plays, over real sockets
//! and on a real kernel.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails, also in what tests share"
)]

#[allow(unreachable_pub, reason = "shared by several test binaries")]
#[path = "../kernel_support/mod.rs"]
mod kernel_support;

mod world;

use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::HelperKind;
use ipc::messages::image::PlanDelivery;
use ipc::messages::loader::{LoaderReply, LoaderRequest};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use loader_worker::helper;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use world::{SESSION, World, deliver, loaded, open, options, plan, with_world};

#[test]
fn a_load_is_joined_with_its_plan_in_either_order() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;

        let load = |ticket| LoaderRequest::Load {
            session: SESSION,
            ticket,
            options: options(|_| {}),
        };
        api.tell(1, load(5), &[]).await;
        deliver(&image, 5).await;
        let first = api.hear().await;
        assert_eq!(first.request_id, 1);
        let first = loaded(first.message).record.program_id;

        deliver(&image, 6).await;
        let second = loaded(api.ask(2, load(6), &[]).await).record.program_id;

        let list = api
            .ask(3, LoaderRequest::ListPrograms { session: SESSION }, &[])
            .await;
        let LoaderReply::Programs(programs) = list else {
            panic!("no list: {list:?}")
        };
        assert_eq!(
            programs
                .iter()
                .map(|entry| entry.record.program_id)
                .collect::<Vec<_>>(),
            [first, second]
        );
        for (id, program_id) in [(4, first), (5, second)] {
            let unload = LoaderRequest::Unload {
                session: SESSION,
                program_id,
            };
            assert_eq!(api.ask(id, unload, &[]).await, LoaderReply::Done);
        }
        world.stop().await;
    });
}

#[test]
fn loads_whose_plan_will_not_come_are_failed() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;
        let load = |ticket| LoaderRequest::Load {
            session: SESSION,
            ticket,
            options: options(|_| {}),
        };

        let reason = Failure::new(
            FailureCode::InvalidArgument,
            Stage::Object,
            "not an ELF file",
        );
        api.tell(1, load(1), &[]).await;
        image
            .tell(
                0,
                PlanDelivery::NoPlan {
                    ticket: 1,
                    failure: reason.clone(),
                },
                &[],
            )
            .await;
        assert_eq!(api.hear().await.message, LoaderReply::Failed(reason));

        api.tell(2, load(2), &[]).await;
        api.tell(0, LoaderRequest::CancelLoad { ticket: 2 }, &[])
            .await;
        let LoaderReply::Failed(failure) = api.hear().await.message else {
            panic!("not failed")
        };
        assert!(failure.is_retryable(), "{failure}");

        api.tell(3, load(3), &[]).await;
        // Answered, hence the load before it was read.
        api.ask(4, LoaderRequest::ListLinks { session: SESSION }, &[])
            .await;
        world
            .supervisor
            .tell(
                0,
                Control::PeerDown {
                    peer: Role::Image,
                    generation: 1,
                },
                &[],
            )
            .await;
        let LoaderReply::Failed(failure) = api.hear().await.message else {
            panic!("not failed")
        };
        assert!(failure.is_retryable(), "{failure}");

        // Its successor serves.
        let image = world.image(2).await;
        deliver(&image, 4).await;
        let program_id = loaded(api.ask(5, load(4), &[]).await).record.program_id;
        assert_eq!(
            api.ask(
                6,
                LoaderRequest::Unload {
                    session: SESSION,
                    program_id
                },
                &[]
            )
            .await,
            LoaderReply::Done
        );
        world.stop().await;
    });
}

#[test]
fn strangers_and_unknown_sessions_are_refused() {
    with_world(async || {
        let mut world = World::start().await;
        let mut api = world.api(1).await;
        let unknown = api
            .refused(1, LoaderRequest::ListPrograms { session: 9 })
            .await;
        assert!(unknown.is_retryable(), "{unknown}");

        open(&mut world, &mut api, 2, 12345).await;
        let requests = [
            LoaderRequest::ListPrograms { session: 2 },
            LoaderRequest::Unload {
                session: 2,
                program_id: 1,
            },
            LoaderRequest::Detach {
                session: 2,
                link_id: 1,
            },
            LoaderRequest::Load {
                session: 2,
                ticket: 1,
                options: options(|_| {}),
            },
        ];
        for request in requests {
            let failure = api.refused(2, request).await;
            assert_eq!(failure.code, FailureCode::PermissionDenied);
            assert!(failure.cause.contains("uid 12345"), "{failure}");
        }

        // Sockets that do not come from a listening socket name nobody.
        let (pair, _other) = UnixStream::pair().unwrap();
        let opened = api
            .ask(3, LoaderRequest::OpenSession { session: 3 }, &[pair.into()])
            .await;
        let LoaderReply::Failed(failure) = opened else {
            panic!("opened")
        };
        assert_eq!(failure.code, FailureCode::PermissionDenied);

        // A new incarnation of the API worker knows nothing of the sessions of the old one.
        open(&mut world, &mut api, SESSION, 0).await;
        let mut api = world.api(2).await;
        let forgotten = api
            .refused(1, LoaderRequest::ListPrograms { session: SESSION })
            .await;
        assert!(forgotten.is_retryable(), "{forgotten}");
        world.stop().await;
    });
}

#[test]
fn the_group_of_map_pins_is_changed_by_a_helper() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;
        let load = |ticket| LoaderRequest::Load {
            session: SESSION,
            ticket,
            options: options(|options| options.maps_group = Some(4242)),
        };

        deliver(&image, 1).await;
        api.tell(1, load(1), &[]).await;
        let asked = world.supervisor.hear().await;
        assert_eq!(
            asked.message,
            Status::StartHelper {
                kind: HelperKind::ChangeGroup
            }
        );
        let (theirs, ours) = UnixStream::pair().unwrap();
        let helper = std::thread::spawn(|| helper::serve(theirs, 9, HelperKind::ChangeGroup));
        world
            .supervisor
            .tell(asked.request_id, Control::HelperStarted, &[ours.into()])
            .await;
        let program = loaded(api.hear().await.message).record;
        helper.join().unwrap().unwrap();
        let pin = fs::read_dir(&program.maps_dir)
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(pin.metadata().unwrap().gid(), 4242);
        let unload = LoaderRequest::Unload {
            session: SESSION,
            program_id: program.program_id,
        };
        assert_eq!(api.ask(2, unload, &[]).await, LoaderReply::Done);

        deliver(&image, 2).await;
        api.tell(3, load(2), &[]).await;
        let asked = world.supervisor.hear().await;
        let refusal = Control::HelperRefused {
            reason: "no more of them".into(),
        };
        world.supervisor.tell(asked.request_id, refusal, &[]).await;
        let LoaderReply::Failed(failure) = api.hear().await.message else {
            panic!("loaded")
        };
        assert!(failure.cause.contains("no more of them"), "{failure}");
        let left = fs::read_dir(world.bpffs().join("maps")).unwrap().count();
        assert_eq!(left, 0, "nothing of the failed load is left");
        world.stop().await;
    });
}

#[test]
fn a_peer_that_breaks_the_protocol_is_reported_and_dropped() {
    with_world(async || {
        let mut world = World::start().await;
        let mut image = world.image(3).await;
        let mut socket = world.connect(Role::Api, 7).await;
        socket.write_all(&[0xa5; 256]).unwrap();
        let Status::PeerFault {
            peer, generation, ..
        } = world.supervisor.hear().await.message
        else {
            panic!("no fault was reported");
        };
        assert_eq!((peer, generation), (Role::Api, 7));

        // The other peer is unharmed, and so is a successor.
        let mut api = world.api(8).await;
        open(&mut world, &mut api, SESSION, 0).await;
        deliver(&image, 1).await;
        let load = LoaderRequest::Load {
            session: SESSION,
            ticket: 1,
            options: options(|_| {}),
        };
        let program_id = loaded(api.ask(1, load, &[]).await).record.program_id;
        assert_eq!(
            api.ask(
                2,
                LoaderRequest::Unload {
                    session: SESSION,
                    program_id
                },
                &[]
            )
            .await,
            LoaderReply::Done
        );
        world.stop().await;
        assert!(
            image.receiver.receive().await.unwrap().is_none(),
            "its link is closed at the end"
        );
    });
}

#[test]
fn a_plan_that_was_changed_on_the_way_is_refused() {
    with_world(async || {
        let mut world = World::start().await;
        let (mut api, image) = (world.api(1).await, world.image(1).await);
        open(&mut world, &mut api, SESSION, 0).await;
        let (message, memfd) = plan(1);
        let PlanDelivery::Plan {
            ticket,
            length,
            mut digest,
        } = message
        else {
            panic!("not a plan")
        };
        digest[5] ^= 1;
        image
            .tell(
                0,
                PlanDelivery::Plan {
                    ticket,
                    length,
                    digest,
                },
                &[memfd],
            )
            .await;
        let load = LoaderRequest::Load {
            session: SESSION,
            ticket,
            options: options(|_| {}),
        };
        let failure = api.refused(1, load).await;
        assert!(failure.cause.contains("digest"), "{failure}");

        // A plan for another program than the one that was asked for.
        deliver(&image, 2).await;
        let options = options(|options| options.programs[0].name = "xdp_count".into());
        let failure = api
            .refused(
                2,
                LoaderRequest::Load {
                    session: SESSION,
                    ticket: 2,
                    options,
                },
            )
            .await;
        assert!(failure.cause.contains("not for the programs"), "{failure}");
        world.stop().await;
    });
}
