//! Connections over gRPC that say nothing. The clock is stopped, and goes on when there is nothing else to wait for.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod connected;

use api_worker::grpc::places::Owner;
use api_worker::grpc::{Server, connection};
use api_worker::limits::{
    DRAIN, GRPC_FIRST_REQUEST, GRPC_IDLE, GRPC_PING_ANSWER, GRPC_PING_INTERVAL, GRPC_UNUSED_REST,
};
use connected::{Connected, connected};
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, pause};

/// Serves one connection; the client's end of it, and its end.
async fn serve() -> (StdStream, JoinHandle<()>) {
    let Connected {
        context,
        socket,
        client,
        asked,
        answer,
        peers,
    } = connected().await;
    client.set_nonblocking(true).unwrap();
    let server = Server::new(context.directory.clone()).unwrap();
    let seat = server.places.seat(Owner { pid: 1, uid: 0 }).unwrap();
    let served = tokio::spawn(async move {
        let _supervisor = (asked, answer, peers);
        let (_stop, stopping) = watch::channel(false);
        connection::serve(socket.into(), server, seat, context, stopping).await;
    });
    (client, served)
}

/// How long it takes from now until the connection is over, by the clock that was stopped.
async fn end(served: JoinHandle<()>) -> Duration {
    pause();
    let begin = Instant::now();
    served.await.unwrap();
    begin.elapsed()
}

/// What ending takes at most.
const ROOM: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_client_without_a_request_has_its_time() {
    let (_client, served) = serve().await;
    let taken = end(served).await;
    let expected = GRPC_FIRST_REQUEST..GRPC_FIRST_REQUEST + DRAIN + GRPC_UNUSED_REST + ROOM;
    assert!(expected.contains(&taken), "{taken:?}");
}

/// Has one request answered; the connection goes on while this runtime runs.
async fn ask(client: StdStream) -> SendRequest<String> {
    let stream = TokioIo::new(UnixStream::from_std(client).unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::post("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .body(String::from("\0\0\0\0\0"))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert!(answer.status().is_success());
    sender
}

#[tokio::test]
async fn a_client_that_had_a_request_has_more_time() {
    let (client, served) = serve().await;
    let _sender = ask(client).await;
    let taken = end(served).await;
    let latest = GRPC_FIRST_REQUEST + GRPC_IDLE + DRAIN + ROOM;
    assert!((GRPC_IDLE..latest).contains(&taken), "{taken:?}");
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_dropped() {
    let (client, served) = serve().await;
    let asked = tokio::task::spawn_blocking(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(ask(client));
        (runtime, sender)
    });
    // From here on nobody runs it.
    let (runtime, _sender) = asked.await.unwrap();
    let taken = end(served).await;
    runtime.shutdown_background();
    let latest = GRPC_PING_INTERVAL + GRPC_PING_ANSWER + ROOM;
    assert!(taken > GRPC_PING_ANSWER && taken < latest, "{taken:?}");
    assert!(latest < GRPC_IDLE, "it was not for being idle");
}
