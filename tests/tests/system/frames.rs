//! A client that keeps no rule is told so and loses its connection; the service and its other clients notice nothing.

use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::wire::{Raw, frame, raw_frame};
use ipc::frame::{HEADER_BYTES, Header};
use ipc::limits;
use ipc::messages::Message;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::FailureCode;
use ipc::messages::hello::Hello;
use ipc::role::Role;
use std::fs::File;
use std::os::fd::AsFd;

fn hello() -> Vec<u8> {
    frame(0, &ClientRequest::Hello(Hello::new(Role::Client, 0)))
}

/// Another client is served, and no process was restarted.
#[track_caller]
fn assert_unharmed(instance: &Instance, after: &str) {
    for row in instance.status() {
        assert_eq!(
            row.restarts,
            0,
            "{} was restarted after {after}\n{}",
            row.role,
            instance.log()
        );
    }
}

#[test]
fn broken_frames_end_the_connection_and_nothing_else() {
    let instance = Instance::start();
    let list = ClientRequest::ListPrograms.kind();
    let unknown = u16::try_from(ClientRequest::KINDS.len()).expect("a kind");
    let mut oversized = Header::new(list, 1, 0);
    oversized.length = limits::FRAME_BYTES + 1;
    let mut endless = Header::new(list, 1, 0);
    endless.length = u32::MAX;
    let mut small_too_large = Header::new(list, 1, 0);
    small_too_large.length = limits::SMALL_FRAME_BYTES + 1;
    let correct = frame(1, &ClientRequest::ListPrograms);
    let mut trailing = raw_frame(list, 1, 0, &correct[HEADER_BYTES..]);
    trailing.push(0);
    trailing[20] += 1;
    let mut reserved = correct.clone();
    reserved[31] = 1;

    let cases: [(&str, Vec<u8>, &str); 12] = [
        (
            "a body over the frame limit",
            oversized.encode().to_vec(),
            "ListPrograms of 4194305 bytes, 4096 allowed",
        ),
        (
            "a body of 4 GiB",
            endless.encode().to_vec(),
            "4294967295 bytes",
        ),
        (
            "a body over the limit of its kind",
            small_too_large.encode().to_vec(),
            "ListPrograms of 4097 bytes, 4096 allowed",
        ),
        (
            "an unknown kind",
            raw_frame(unknown, 1, 0, &[]),
            "does not exist",
        ),
        (
            "the last kind there can be",
            raw_frame(u16::MAX, 1, 0, &[]),
            "message 65535 from client to api does not exist",
        ),
        ("a second greeting", hello(), "Hello out of phase"),
        ("trailing bytes", trailing, "1 bytes after the end"),
        ("an empty body", raw_frame(list, 1, 0, &[]), "cannot decode"),
        (
            "a body of another kind",
            raw_frame(
                ClientRequest::GetProgram { program_id: 1 }.kind(),
                1,
                0,
                &correct[HEADER_BYTES..],
            ),
            "header says GetProgram, body is another message",
        ),
        ("reserved bytes in use", reserved, "reserved bytes"),
        (
            "a protocol that is another",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            "not a bpfman frame",
        ),
        (
            "announced descriptors that do not come",
            raw_frame(list, 1, 3, &correct[HEADER_BYTES..]),
            "ListPrograms with 3 descriptors",
        ),
    ];
    let before = Traces::of(&instance);
    for (what, bytes, cause) in cases {
        let mut raw = Raw::greeted(&instance.socket());
        raw.send(&bytes);
        raw.assert_refused(what, cause);
        assert_unharmed(&instance, what);
        before.assert_unchanged(&instance, what);
    }
}

#[test]
fn nothing_comes_before_the_greeting() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut newer = Hello::new(Role::Client, 0);
    newer.version += 1;
    for (what, message, cause) in [
        (
            "a request before the greeting",
            ClientRequest::ListPrograms,
            "ListPrograms out of phase",
        ),
        (
            "a greeting in the name of the loader",
            ClientRequest::Hello(Hello::new(Role::Loader, 1)),
            "loader on a link made for client",
        ),
        (
            "a greeting in a version to come",
            ClientRequest::Hello(newer),
            "is not spoken here",
        ),
    ] {
        let mut raw = Raw::connect(&instance.socket());
        raw.send(&frame(0, &message));
        raw.assert_refused(what, cause);
        assert_unharmed(&instance, what);
        before.assert_unchanged(&instance, what);
    }
}

#[test]
fn surplus_descriptors_end_the_connection() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let file = File::open("/dev/null").expect("open");
    let beside = vec![file.as_fd(); usize::from(limits::FRAME_DESCRIPTORS)];
    for (what, announced, count, cause) in [
        ("one that is not announced", 0, 1, "with 1 descriptors"),
        ("one that is not wanted", 1, 1, "with 1 descriptors"),
        ("one more than any request has", 2, 2, "where none may be"),
        ("many", 64, 64, "where none may be"),
    ] {
        let mut raw = Raw::greeted(&instance.socket());
        let correct = frame(1, &ClientRequest::ListPrograms);
        let bytes = raw_frame(
            ClientRequest::ListPrograms.kind(),
            1,
            announced,
            &correct[HEADER_BYTES..],
        );
        assert!(raw.send_with(&bytes, &beside[..count]), "{what}");
        raw.assert_refused(what, cause);
        assert_unharmed(&instance, what);
        before.assert_unchanged(&instance, what);
    }
}

/// Descriptors that a process holds.
fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("the process")
        .count()
}

#[test]
fn frames_in_pieces_do_not_pile_up_descriptors() {
    let instance = Instance::start();
    let api = instance.process("api").pid;
    let file = File::open("/dev/null").expect("open");
    let beside = vec![file.as_fd(); usize::from(limits::FRAME_DESCRIPTORS)];
    let before = open_files(api);
    let header = Header::new(ClientRequest::ListPrograms.kind(), 1, 0).encode();
    let mut silent = Vec::new();
    for _ in 0..8 {
        let mut raw = Raw::greeted(&instance.socket());
        for (place, byte) in header.iter().enumerate() {
            // The first byte brings what a request may have, the others what would exhaust the worker.
            let count = if place == 0 { 1 } else { beside.len() };
            if !raw.send_with(&[*byte], &beside[..count]) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        silent.push(raw);
        // Per connection at most the socket, its duplicate, and the one descriptor.
        assert!(open_files(api) <= before + 3 * silent.len());
    }
    for raw in silent {
        raw.assert_refused("descriptors beside every byte", "where none may be");
    }
    assert_unharmed(&instance, "frames in pieces");
    let left = bpfman_tests::wait::until(std::time::Duration::from_secs(5), || {
        (open_files(api) <= before).then_some(())
    });
    assert!(left.is_some(), "{} descriptors left", open_files(api));
}

#[test]
fn a_frame_that_stops_half_way_is_given_up() {
    let instance = Instance::start();
    let whole = frame(1, &ClientRequest::ListPrograms);
    // Half sent and closed.
    for end in [1, HEADER_BYTES - 1, HEADER_BYTES, whole.len() - 1] {
        let mut raw = Raw::greeted(&instance.socket());
        raw.send(&whole[..end.min(whole.len() - 1)]);
        drop(raw);
    }
    assert_unharmed(&instance, "half frames");
    // Half sent and silent: ended after the frame deadline.
    let mut silent = Raw::greeted(&instance.socket());
    silent.send(&whole[..HEADER_BYTES - 1]);
    // Nothing said at all, not even a greeting.
    let mute = Raw::connect(&instance.socket());
    silent.assert_refused("half a header and silence", "frame not finished");
    mute.assert_refused("no greeting", "frame not finished");
    assert_unharmed(&instance, "silence");
}

#[test]
fn a_slow_client_holds_up_nobody() {
    let instance = Instance::start();
    let mut slow = Raw::greeted(&instance.socket());
    let whole = frame(7, &ClientRequest::ListPrograms);
    for byte in &whole {
        slow.send(std::slice::from_ref(byte));
        let started = std::time::Instant::now();
        let answer = instance.request(&ClientRequest::ListPrograms);
        assert!(matches!(answer, ClientReply::Programs(_)), "{answer:?}");
        assert!(started.elapsed() < limits::FRAME_DEADLINE / 2);
    }
    match slow.reply() {
        Some(ClientReply::Programs(programs)) => assert!(programs.is_empty()),
        other => panic!("a frame that came byte by byte was answered with {other:?}"),
    }
}

#[test]
fn values_out_of_bounds_are_refused_without_ending_the_connection() {
    let instance = Instance::start();
    let mut raw = Raw::greeted(&instance.socket());
    let long = "x".repeat(limits::NAME_BYTES + 1);
    let request = ClientRequest::Attach {
        program_id: 1,
        spec: ipc::messages::attach::AttachSpec::Tracepoint {
            group: long,
            name: "n".to_owned(),
        },
        metadata: std::collections::BTreeMap::new(),
    };
    raw.send(&frame(3, &request));
    match raw.reply() {
        Some(ClientReply::Failed(failure)) => {
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
        }
        other => panic!("a name that is too long was answered with {other:?}"),
    }
    raw.send(&frame(4, &ClientRequest::ListPrograms));
    assert!(matches!(raw.reply(), Some(ClientReply::Programs(_))));
}

#[test]
fn connections_are_bounded() {
    let instance = Instance::start();
    let connections: Vec<Raw> = (0..limits::CLIENT_SESSIONS)
        .map(|_| Raw::greeted(&instance.socket()))
        .collect();
    let mut surplus = Raw::connect(&instance.socket());
    surplus.send(&hello());
    let answers = std::iter::from_fn(|| surplus.reply())
        .take(2)
        .collect::<Vec<_>>();
    assert!(
        answers
            .iter()
            .any(|answer| matches!(answer, ClientReply::Failed(failure) if failure.is_retryable())),
        "the connection over the bound was answered with {answers:?}"
    );
    drop(connections);
    let served =
        bpfman_tests::wait::until(std::time::Duration::from_secs(5), || instance.try_client());
    assert!(served.is_some(), "no connection after the others are gone");
    assert_unharmed(&instance, "many connections");
}
