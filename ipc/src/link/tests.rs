//! Links over socket pairs, and what a broken peer does to them.

use super::*;
use crate::call::{CallError, Caller};
use crate::limits::{FRAME_DESCRIPTORS, SMALL_FRAME_BYTES};
use crate::messages::client::{ClientReply, ClientRequest};
use crate::messages::loader::{LoaderReply, LoaderRequest};
use crate::messages::program::{LoadOptions, Source};
use crate::messages::supervision::Status;
use std::os::unix::net::UnixStream;
use std::time::Duration;

type ApiSide = (Sender<LoaderRequest>, Receiver<LoaderReply>);
type LoaderSide = (Sender<LoaderReply>, Receiver<LoaderRequest>);

async fn pair() -> (ApiSide, LoaderSide) {
    let (left, right) = UnixStream::pair().unwrap();
    let (api, loader) = tokio::join!(
        establish(left.into(), Role::Api, 1, Role::Loader),
        establish(right.into(), Role::Loader, 7, Role::Api),
    );
    let (api, loader) = (api.unwrap(), loader.unwrap());
    assert_eq!((api.2.generation, loader.2.generation), (7, 1));
    ((api.0, api.1), (loader.0, loader.1))
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn a_descriptor_arrives_beside_its_message_and_only_there() {
    run(async {
        let ((api, _), (_, mut loader)) = pair().await;
        let (carried, other) = UnixStream::pair().unwrap();
        api.send(
            5,
            &LoaderRequest::OpenSession { session: 9 },
            &[carried.as_fd()],
        )
        .await
        .unwrap();
        api.send(6, &LoaderRequest::ListPrograms { session: 9 }, &[])
            .await
            .unwrap();
        let first = loader.receive().await.unwrap().unwrap();
        assert_eq!((first.request_id, first.descriptors.len()), (5, 1));
        let second = loader.receive().await.unwrap().unwrap();
        assert_eq!(
            (second.message, second.descriptors.len()),
            (LoaderRequest::ListPrograms { session: 9 }, 0)
        );
        let mut received = UnixStream::from(first.descriptors.into_iter().next().unwrap());
        io::Write::write_all(&mut received, b"x").unwrap();
        let mut byte = [0];
        io::Read::read_exact(&mut { other }, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
    });
}

#[test]
fn descriptors_beside_a_body_or_past_the_limit_are_a_fault() {
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let frame = frame(
            Role::Api,
            Role::Loader,
            build::PROTOCOL_VERSION,
            1,
            0,
            &LoaderRequest::Hello(Hello::new(Role::Api, 1)),
            0,
        )
        .unwrap();
        descriptors::send(&left, &[IoSlice::new(&frame[..HEADER_BYTES])], &[]).unwrap();
        descriptors::send(
            &left,
            &[IoSlice::new(&frame[HEADER_BYTES..])],
            &[left.as_fd()],
        )
        .unwrap();
        let lost =
            establish::<LoaderRequest, LoaderReply>(right.into(), Role::Loader, 1, Role::Api).await;
        assert!(
            matches!(lost, Err(LinkError::Fault(Fault::SurplusDescriptors))),
            "{lost:?}"
        );

        let (left, right) = UnixStream::pair().unwrap();
        let many = vec![left.as_fd(); usize::from(FRAME_DESCRIPTORS)];
        descriptors::send(&left, &[IoSlice::new(&frame)], &many).unwrap();
        let lost =
            establish::<LoaderRequest, LoaderReply>(right.into(), Role::Loader, 1, Role::Api).await;
        assert!(
            matches!(lost, Err(LinkError::Fault(Fault::SurplusDescriptors))),
            "{lost:?}"
        );
    });
}

/// A client that has greeted, as a bare socket, and the API worker's side.
async fn client() -> (
    UnixStream,
    (Sender<ClientReply>, Receiver<ClientRequest>, Hello),
) {
    let (client, api) = UnixStream::pair().unwrap();
    let hello = ClientRequest::Hello(Hello::new(Role::Client, 0));
    let hello = frame(
        Role::Client,
        Role::Api,
        build::PROTOCOL_VERSION,
        0,
        0,
        &hello,
        0,
    );
    descriptors::send(&client, &[IoSlice::new(&hello.unwrap())], &[]).unwrap();
    let established = establish(api.into(), Role::Api, 1, Role::Client).await;
    (client, established.unwrap())
}

/// Descriptors of this process that name the same file as this one.
fn names_of(file: BorrowedFd<'_>) -> usize {
    let identity = |file: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(file).unwrap();
        (stat.st_dev, stat.st_ino)
    };
    let wanted = identity(file);
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::metadata(entry.unwrap().path()).ok())
        .filter(|metadata| {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino()) == wanted
        })
        .count()
}

#[test]
fn a_frame_in_pieces_brings_descriptors_beside_its_first_byte_only_and_no_more_than_its_direction_has()
 {
    run(async {
        let file = tempfile::tempfile().unwrap();
        let header = Header::new(ClientRequest::ListPrograms.kind(), 1, 0).encode();
        for (first, second) in [(0, 1), (1, 1), (2, 0), (FRAME_DESCRIPTORS, 0)] {
            let (raw, (_sender, mut receiver, _)) = client().await;
            let send = |at: usize, count: u8| {
                let beside = vec![file.as_fd(); usize::from(count)];
                descriptors::send(&raw, &[IoSlice::new(&header[at..=at])], &beside).unwrap();
            };
            send(0, first);
            let reading = receiver.receive();
            tokio::pin!(reading);
            // The first byte is read alone; what it may not bring ends the link here already.
            let early = timeout(Duration::from_millis(50), &mut reading).await;
            let held = names_of(file.as_fd());
            let lost = match early {
                Ok(lost) => lost,
                Err(_) => {
                    assert_eq!(held, 1 + usize::from(first), "{first}, {second}");
                    send(1, second);
                    reading.await
                }
            };
            assert!(
                matches!(lost, Err(LinkError::Fault(Fault::SurplusDescriptors))),
                "{first}, {second}: {lost:?}"
            );
            assert_eq!(names_of(file.as_fd()), 1, "{first}, {second}");
        }
    });
}

#[test]
fn a_peer_of_another_incarnation_than_the_link_was_made_for_is_a_fault() {
    run(async {
        for (made_for, accepted) in [(1, true), (2, false)] {
            let (left, right) = UnixStream::pair().unwrap();
            let (_, loader) = tokio::join!(
                establish::<LoaderReply, LoaderRequest>(left.into(), Role::Api, 1, Role::Loader),
                establish::<LoaderRequest, LoaderReply>(
                    right.into(),
                    Role::Loader,
                    7,
                    (Role::Api, made_for)
                ),
            );
            match loader {
                Ok(_) => assert!(accepted),
                Err(LinkError::Fault(Fault::Generation { expected, got })) => {
                    assert_eq!((accepted, expected, got), (false, 2, 1));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    });
}

/// What a worker that was taken over would choose so that it cannot be accused.
#[test]
fn a_fault_that_quotes_the_peer_at_length_can_still_be_reported() {
    let mut hello = Hello::new(Role::Api, 1);
    hello.build_id = "\u{fffd}".repeat(4070 / 3);
    let said = LoaderRequest::Hello(hello.clone());
    let version = build::PROTOCOL_VERSION;
    assert!(frame(Role::Api, Role::Loader, version, 1, 0, &said, 0).is_ok());
    let fault = Gate::new(Role::Api, Role::Loader)
        .greet(&hello)
        .unwrap_err()
        .to_string();
    assert!(fault.chars().count() < 200, "{fault}");
    // Whatever the fault says, however long.
    for fault in [fault, "\u{fffd}".repeat(1 << 20)] {
        let report = Status::peer_fault(Role::Api, 1, &fault);
        let sent = frame(Role::Loader, Role::Supervisor, version, 1, 0, &report, 0);
        assert!(sent.is_ok(), "{sent:?}");
        let Status::PeerFault { fault: told, .. } = report else {
            panic!("{report:?}")
        };
        assert!(fault.starts_with(&told) && !told.is_empty());
    }
}

#[test]
fn what_may_not_be_sent_is_no_fault_of_the_peer_and_the_link_lives_on() {
    run(async {
        let ((api, _), (_, mut loader)) = pair().await;
        let (beside, _other) = UnixStream::pair().unwrap();
        let list = LoaderRequest::ListPrograms { session: 1 };
        let refused = api.send(1, &list, &[beside.as_fd()]).await.unwrap_err();
        assert!(matches!(refused, LinkError::Forbidden(_)), "{refused:?}");
        assert!(!refused.is_fault());
        api.send(2, &list, &[]).await.unwrap();
        assert_eq!(loader.receive().await.unwrap().unwrap().request_id, 2);
    });
}

#[test]
fn a_half_sent_frame_is_no_message() {
    run(async {
        let (left, right) = UnixStream::pair().unwrap();
        let frame = frame(
            Role::Api,
            Role::Loader,
            build::PROTOCOL_VERSION,
            1,
            0,
            &LoaderRequest::Hello(Hello::new(Role::Api, 1)),
            0,
        )
        .unwrap();
        descriptors::send(&left, &[IoSlice::new(&frame[..HEADER_BYTES + 3])], &[]).unwrap();
        drop(left);
        let lost =
            establish::<LoaderRequest, LoaderReply>(right.into(), Role::Loader, 1, Role::Api).await;
        assert!(matches!(lost, Err(LinkError::Closed)), "{lost:?}");
    });
}

#[test]
fn a_message_too_large_for_its_row_is_not_sent_and_the_link_lives_on() {
    run(async {
        let ((api, _), (_, mut loader)) = pair().await;
        let too_long = "x".repeat(SMALL_FRAME_BYTES as usize);
        let hello = Hello {
            build_id: too_long,
            ..Hello::new(Role::Api, 1)
        };
        let refused = api.send(1, &LoaderRequest::Hello(hello), &[]).await;
        assert!(
            matches!(
                refused,
                Err(LinkError::Unsendable(CodecError::TooLong { .. }))
            ),
            "{refused:?}"
        );
        api.send(2, &LoaderRequest::ListPrograms { session: 1 }, &[])
            .await
            .unwrap();
        assert_eq!(loader.receive().await.unwrap().unwrap().request_id, 2);
    });
}

#[test]
fn a_large_message_crosses_in_pieces() {
    run(async {
        let ((api, _), (_, mut loader)) = pair().await;
        let options = LoadOptions {
            programs: Vec::new(),
            metadata: [("k".to_owned(), "v".repeat(900_000))].into(),
            globals: Vec::new(),
            map_owner: None,
            maps_mode: None,
            maps_group: None,
            source: Source::File("f".to_owned()),
        };
        let load = LoaderRequest::Load {
            session: 1,
            ticket: 2,
            options,
        };
        let (sent, received) = tokio::join!(api.send(3, &load, &[]), loader.receive());
        sent.unwrap();
        assert_eq!(received.unwrap().unwrap().message, load);
    });
}

/// A client of version 1, by hand: what it says and what it would refuse of what it hears.
#[test]
fn an_older_client_is_answered_in_its_version_and_a_newer_one_refused() {
    run(async {
        for (spoken, heard, accepted) in [(1, 1, true), (2, 2, true), (99, 2, false)] {
            let (left, right) = UnixStream::pair().unwrap();
            let hello = Hello {
                version: spoken,
                ..Hello::new(Role::Client, 0)
            };
            let said = ClientRequest::Hello(hello);
            let hello = frame(Role::Client, Role::Api, spoken, 0, 0, &said, 0).unwrap();
            descriptors::send(&left, &[IoSlice::new(&hello)], &[]).unwrap();
            let link =
                establish::<ClientRequest, ClientReply>(right.into(), Role::Api, 1, Role::Client)
                    .await;
            assert_eq!(link.is_ok(), accepted, "version {spoken}");
            if let Ok((sender, ..)) = &link {
                sender.send(1, &ClientReply::Done, &[]).await.unwrap();
            }
            drop(link);
            let mut rest = Vec::new();
            io::Read::read_to_end(&mut { left }, &mut rest).unwrap();
            while let Some((header, behind)) = rest.split_first_chunk() {
                let header = Header::decode(header).unwrap();
                assert_eq!(header.version, heard, "version {spoken}");
                rest = behind[header.length as usize..].to_vec();
            }
        }
    });
}

#[test]
fn answers_find_their_requests_in_any_order() {
    run(async {
        let ((api, mut replies), (loader, mut requests)) = pair().await;
        let caller: Caller<LoaderRequest, LoaderReply> = Caller::new(api, 2);
        let reader = caller.clone();
        tokio::spawn(async move {
            while let Ok(Some(reply)) = replies.receive().await {
                assert!(reader.complete(reply));
            }
            reader.close();
        });
        tokio::spawn(async move {
            let first = requests.receive().await.unwrap().unwrap();
            let second = requests.receive().await.unwrap().unwrap();
            for request in [second, first] {
                let session = match request.message {
                    LoaderRequest::ListPrograms { session } => session,
                    other => panic!("{other:?}"),
                };
                let reply = if session == 1 {
                    LoaderReply::Done
                } else {
                    LoaderReply::Links(Vec::new())
                };
                loader.send(request.request_id, &reply, &[]).await.unwrap();
            }
        });
        let deadline = Duration::from_secs(5);
        let (list_one, list_two) = (
            LoaderRequest::ListPrograms { session: 1 },
            LoaderRequest::ListPrograms { session: 2 },
        );
        let (one, two) = tokio::join!(
            caller.call(&list_one, &[], deadline),
            caller.call(&list_two, &[], deadline)
        );
        assert_eq!(one.unwrap().message, LoaderReply::Done);
        assert_eq!(two.unwrap().message, LoaderReply::Links(Vec::new()));
        // The peer has ended: whoever asks now hears it at once.
        let late = caller
            .call(&LoaderRequest::ListPrograms { session: 1 }, &[], deadline)
            .await;
        assert!(matches!(late, Err(CallError::PeerGone)), "{late:?}");
    });
}
