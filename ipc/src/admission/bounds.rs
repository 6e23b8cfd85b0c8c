//! Every row of the table at its bounds and one past them, on both sides of a link.

use super::*;
use crate::descriptors;
use crate::limits::{FRAME_DESCRIPTORS, LOAD_FRAME_BYTES, REPORT_FRAME_BYTES};
use crate::link::{LinkError, frame};
use crate::messages::failure::{Failure, FailureCode, Stage};
use crate::messages::helper::HelperJob;
use crate::messages::loader::{LoaderReply, LoaderRequest};
use crate::messages::program::{LoadOptions, Source};
use rustix::io::Errno;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

#[test]
fn every_row_is_admitted_at_its_bounds_and_not_one_past() {
    let mut rows = 0;
    for (from, to) in Role::ALL
        .into_iter()
        .flat_map(|from| Role::ALL.map(|to| (from, to)))
    {
        for row in permissions::rows(from, to).unwrap_or_default() {
            let mut gate = Gate::new(from, to);
            if row.phase == Phase::Open {
                gate.greet(&Hello::new(from, 0)).unwrap();
            }
            let admit = |bytes: u32, descriptors: u8| {
                let mut header = Header::new(row.kind, 1, 0);
                (header.length, header.descriptors) = (bytes, descriptors);
                gate.admit(&header.encode())
            };
            for descriptors in row.least_descriptors..=row.most_descriptors {
                assert!(admit(row.bytes, descriptors).is_ok(), "{row:?}");
            }
            let most = row.most_descriptors;
            assert!(
                matches!(admit(row.bytes + 1, most), Err(Fault::TooLong { .. })),
                "{row:?}"
            );
            for descriptors in [row.least_descriptors.checked_sub(1), most.checked_add(1)] {
                let Some(descriptors) = descriptors else {
                    continue;
                };
                assert!(
                    matches!(
                        admit(row.bytes, descriptors),
                        Err(Fault::Descriptors { .. })
                    ),
                    "{row:?} with {descriptors}"
                );
            }
            assert!(gate.room() >= usize::from(most), "{row:?}");
            rows += 1;
        }
    }
    assert!(rows > 80, "{rows} rows");
}

/// Encodes on the link from `from` to `to`; the length of the body.
fn sent<M: Message>(from: Role, to: Role, message: &M) -> Result<usize, LinkError> {
    frame(from, to, build::PROTOCOL_VERSION, 1, 1, message, 0)
        .map(|frame| frame.len() - HEADER_BYTES)
}

/// The message that `make` gives for a text of such a length that the body has `bytes`.
fn filled<M: Message>(bytes: u32, make: impl Fn(String) -> M) -> M {
    let empty = codec::encode(&make(String::new()), 1 << 20).unwrap();
    make("x".repeat(bytes as usize - empty.len()))
}

#[test]
fn a_load_and_a_report_are_sent_at_their_bound_and_not_one_byte_past() {
    let load = |text| LoaderRequest::Load {
        session: 1,
        ticket: 1,
        options: LoadOptions {
            programs: Vec::new(),
            metadata: Default::default(),
            globals: Vec::new(),
            map_owner: None,
            maps_mode: None,
            maps_group: None,
            source: Source::File(text),
        },
    };
    let report = |text| {
        let failure = Failure::new(FailureCode::Rejected, Stage::Load, "no");
        LoaderReply::Failed(failure.verifier_log(text))
    };
    let (api, loader) = (Role::Api, Role::Loader);
    for (bytes, fits) in [(LOAD_FRAME_BYTES, true), (LOAD_FRAME_BYTES + 1, false)] {
        match sent(api, loader, &filled(bytes, load)) {
            Ok(length) => assert!(fits && length == bytes as usize, "{length}"),
            Err(LinkError::Unsendable(_)) => assert!(!fits),
            Err(other) => panic!("{other:?}"),
        }
    }
    for (bytes, fits) in [(REPORT_FRAME_BYTES, true), (REPORT_FRAME_BYTES + 1, false)] {
        match sent(loader, api, &filled(bytes, report)) {
            Ok(length) => assert!(fits && length == bytes as usize, "{length}"),
            Err(LinkError::Unsendable(_)) => assert!(!fits),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_most_descriptors_of_a_frame_cross_and_one_more_neither_leaves_nor_arrives() {
    let most = usize::from(FRAME_DESCRIPTORS);
    let (left, right) = UnixStream::pair().unwrap();
    let beside = vec![left.as_fd(); most + 1];
    descriptors::send(&left, &[IoSlice::new(b"x")], &beside[..most]).unwrap();
    let received = descriptors::receive(&right, &mut [0], most).unwrap();
    assert_eq!(
        (received.descriptors.len(), received.surplus),
        (most, false)
    );

    // Neither as a message, nor past the table.
    let job = HelperJob::ChangeGroup { gid: 1 };
    let refused = frame(
        Role::Loader,
        Role::Helper,
        build::PROTOCOL_VERSION,
        1,
        1,
        &job,
        most + 1,
    );
    assert!(matches!(refused, Err(LinkError::Forbidden(_))));
    let refused = descriptors::send(&left, &[IoSlice::new(b"x")], &beside);
    assert_eq!(refused, Err(Errno::TOOBIG));

    // From a sender that keeps no bound; whatever room is asked for.
    send_unbounded(&left, &beside);
    let received = descriptors::receive(&right, &mut [0], usize::MAX).unwrap();
    assert!(received.surplus);
}

fn send_unbounded(socket: &UnixStream, beside: &[BorrowedFd<'_>]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = vec![std::mem::MaybeUninit::uninit(); 1024];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(beside)));
    let sent = sendmsg(
        socket,
        &[IoSlice::new(b"x")],
        &mut control,
        SendFlags::empty(),
    );
    assert_eq!(sent, Ok(1));
}
