//! What one client may take from the others: nothing but its own share.

use api_worker::limits::{
    GRPC_ANSWER_DEADLINE, GRPC_HEADER_BYTES, GRPC_PROCESS_CONNECTIONS, GRPC_REQUEST_BYTES,
    GRPC_STATUS_BYTES, GRPC_STREAMS, GRPC_UNTAKEN_BOUND,
};
use api_worker::proto::{BpfmanProgramType, ListRequest, LoadRequest};
use bpfman_tests::binaries::program;
use bpfman_tests::fixture::Objects;
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::instance::Instance;
use bpfman_tests::wait;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tonic::{Code, Request};

/// What another process is told.
fn other_process(instance: &Instance) -> String {
    let output = Command::new(program("grpc-ask"))
        .arg(instance.grpc_socket())
        .arg("list")
        .output()
        .expect("cannot start grpc-ask");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

fn connect(instance: &Instance) -> UnixStream {
    let stream = UnixStream::connect(instance.grpc_socket()).expect("a connection");
    let bound = Duration::from_secs(5) * wait::slowness();
    stream.set_read_timeout(Some(bound)).expect("a timeout");
    stream
}

/// Whether the service closes the connection instead of speaking first.
fn is_closed(mut stream: &UnixStream) -> bool {
    matches!(stream.read(&mut [0; 64]), Ok(0))
}

#[test]
fn a_process_with_all_its_connections_keeps_no_other_out() {
    let instance = Instance::start();
    let mut held: Vec<UnixStream> = (0..GRPC_PROCESS_CONNECTIONS)
        .map(|_| connect(&instance))
        .collect();
    for _ in 0..100 {
        assert!(is_closed(&connect(&instance)), "one more than its share");
    }
    assert_eq!(other_process(&instance), "ok 0");
    instance.ctl(&["program", "list"]).ok();
    // One that leaves makes room.
    drop(held.pop());
    let answer = wait::until(Duration::from_secs(20), || {
        let grpc = Grpc::connect(&instance.grpc_socket()).ok()?;
        grpc.list(ListRequest::default()).ok()
    });
    assert!(answer.is_some(), "a place that was given back");
}

#[test]
fn headers_and_requests_that_are_too_large_are_refused_and_the_connection_goes_on() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let with_header = |bytes: usize| {
        grpc.call(async |mut client| {
            let mut request = Request::new(ListRequest::default());
            let value = "x".repeat(bytes).parse().expect("a header");
            request.metadata_mut().insert("x-large", value);
            client.list(request).await
        })
    };
    assert!(with_header(GRPC_HEADER_BYTES as usize / 2).is_ok());
    assert!(with_header(GRPC_HEADER_BYTES as usize + 1).is_err());
    assert!(grpc.list(ListRequest::default()).is_ok());

    let objects = Objects::new();
    let object = objects.object("counter");
    let of_bytes = |bytes: usize| {
        let of = |uuid: usize| LoadRequest {
            // Nobody reads it.
            uuid: Some("x".repeat(uuid)),
            ..load_request(&object, &[("xdp_count", BpfmanProgramType::Xdp)])
        };
        let overhead = of(bytes).encoded_len() - bytes;
        let request = of(bytes - overhead);
        assert_eq!(request.encoded_len(), bytes);
        grpc.load(request)
    };
    let past = of_bytes(GRPC_REQUEST_BYTES + 1).expect_err("too large");
    assert_eq!(past.code(), Code::OutOfRange, "{past}");
    assert!(of_bytes(GRPC_REQUEST_BYTES).is_ok(), "the largest");
}

/// The status is among the headers of an answer, of which clients take 8 KiB.
#[test]
fn a_status_with_long_words_of_the_client_is_cut() {
    let instance = Instance::start();
    let objects = Objects::new();
    let mut request = load_request(
        &objects.object("counter"),
        &[("xdp_count", BpfmanProgramType::Xdp)],
    );
    // Each letter is sent as six.
    request.info[0].name = "\u{e9}".repeat(20_000);
    request.info[0].program_type = 77;
    let status = Grpc::to(&instance).load(request).expect_err("no type");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let bytes = status.message().len();
    assert!(
        (GRPC_STATUS_BYTES - 8..=GRPC_STATUS_BYTES).contains(&bytes),
        "{bytes}"
    );
}

/// A client that is told that there is room for no byte of an answer.
async fn does_not_read(socket: PathBuf, requests: usize) -> hyper::Result<()> {
    let stream = TokioIo::new(
        tokio::net::UnixStream::connect(socket)
            .await
            .expect("a connection"),
    );
    let (mut client, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(stream)
        .await?;
    let mut answers = Vec::new();
    for _ in 0..requests {
        let request = hyper::Request::post("http://localhost/bpfman.v1.Bpfman/List")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body("\0\0\0\0\0".to_owned())
            .expect("a request");
        answers.push(tokio::spawn(client.send_request(request)));
    }
    // An answer that is dropped would be given up.
    let ended = connection.await;
    drop(answers);
    ended
}

#[test]
fn a_process_that_does_not_read_is_dropped_and_delays_no_other() {
    let instance = Instance::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // More than are worked on at a time.
    let slow = runtime.spawn(does_not_read(instance.grpc_socket(), GRPC_STREAMS as usize));
    let begin = Instant::now();
    // As soon as all that it may have are answered, its own requests wait for their turn.
    let grpc = Grpc::to(&instance);
    let waits = wait::until(GRPC_ANSWER_DEADLINE / 2, || {
        let answer = grpc.run(async |mut client| {
            let list = client.list(ListRequest::default());
            tokio::time::timeout(Duration::from_secs(1), list).await
        });
        answer.err()
    });
    waits.expect("no place is left");
    for _ in 0..10 {
        assert_eq!(other_process(&instance), "ok 0");
    }
    // However it is told.
    let _ = runtime.block_on(slow).expect("a client");
    assert!(begin.elapsed() < 3 * GRPC_ANSWER_DEADLINE * wait::slowness());
    // The places of the answers that it left rest. One that waits meanwhile may be taken for somebody who is gone.
    let again = wait::until(GRPC_UNTAKEN_BOUND * 2, || {
        Grpc::to(&instance).list(ListRequest::default()).ok()
    });
    assert!(again.is_some(), "room again");
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let answered = grpc.run(async |client| {
        let calls: Vec<_> = (0..GRPC_STREAMS * 20)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move { client.list(ListRequest::default()).await.is_ok() })
            })
            .collect();
        let mut answered = 0;
        for call in calls {
            answered += u32::from(call.await.expect("a call"));
        }
        answered
    });
    assert_eq!(answered, GRPC_STREAMS * 20);
}

#[test]
fn what_is_no_http_is_closed_and_nobody_else_notices() {
    use std::io::Write;
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let fragments: [&[u8]; 4] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[0xff; 4096],
        // The preface, then a frame of another length than it may have.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\0\0\0\0\0",
        // Headers without the settings before them.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x04\x01\x05\0\0\0\x01\xff\xff\xff\xff",
    ];
    for fragment in fragments {
        let mut stream = connect(&instance);
        stream.write_all(fragment).expect("written");
        let mut answer = Vec::new();
        // Whatever it is told first, the end follows.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert!(grpc.list(ListRequest::default()).is_ok());
    }
}

#[test]
fn connections_outlive_the_loader_and_reach_the_next_one() {
    let mut instance = Instance::start();
    let grpc = Grpc::to(&instance);
    assert!(grpc.list(ListRequest::default()).is_ok());
    instance.kill_and_wait("loader");
    assert!(grpc.list(ListRequest::default()).is_ok());
}
