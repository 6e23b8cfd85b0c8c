//! One gRPC connection.
//!
//! Owns the client's socket. Each request gets a place, is answered, and gives the place back when its answer is taken. A
//! client that asks nothing for long is asked to come again, and so is one that sent a secret, since the connection's buffers
//! keep it; one that does not take its answers is dropped. Ends with the client or with the service.

use super::Server;
use super::authority::Tolerant;
use super::bodies::{Answer, Timely};
use super::deadline;
use super::places::{Place, Seat};
use super::status;
use crate::limits::{
    DRAIN, GRPC_FIRST_REQUEST, GRPC_HEADER_BYTES, GRPC_IDLE, GRPC_PING_ANSWER, GRPC_PING_INTERVAL,
    GRPC_RESETS, GRPC_SEND_BYTES, GRPC_STREAMS, GRPC_UNUSED_REST, GRPC_WINDOW_BYTES,
};
use crate::requests::Context;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::UnixStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tracing::{debug, warn};

/// What the requests of a connection share.
#[derive(Clone)]
struct Caller {
    routes: Routes,
    counted: &'static str,
    seat: Arc<Seat>,
    context: Context,
    begun: Arc<AtomicU64>,
    untaken: Arc<Notify>,
    has_secret: Arc<Notify>,
}

/// Who asks, as handlers find it.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) context: Context,
    /// Kept by whatever is still at work for the request.
    pub(super) place: Arc<Place>,
    /// Told when a secret came over the connection.
    pub(super) has_secret: Arc<Notify>,
}

/// Serves a client until it leaves or the service stops; returns when nothing of it is in flight any more.
pub async fn serve(
    socket: OwnedFd,
    server: Server,
    seat: Seat,
    context: Context,
    stop: watch::Receiver<bool>,
) {
    let session = context.session;
    let stream = match adopt(socket) {
        Ok(stream) => stream,
        Err(error) => return warn!(session, %error, "a client's socket cannot be used"),
    };
    let caller = Caller {
        routes: server.routes,
        counted: server.counted,
        seat: Arc::new(seat),
        context,
        begun: Arc::new(AtomicU64::new(0)),
        untaken: Arc::new(Notify::new()),
        has_secret: Arc::new(Notify::new()),
    };
    let mut stopping = stop.clone();
    converse(stream, &caller, stop).await;
    // What the loader was asked for is carried out, and needs the session until then.
    caller.seat.idle().await;
    let mut context = caller.context;
    context.close().await;
    if !caller.seat.has_served() {
        let _ = timeout(GRPC_UNUSED_REST, stopping.wait_for(|stopping| *stopping)).await;
    }
}

fn adopt(socket: OwnedFd) -> io::Result<UnixStream> {
    let stream = StdStream::from(socket);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Until the client is gone, or has to go.
async fn converse(stream: UnixStream, caller: &Caller, mut stop: watch::Receiver<bool>) {
    let session = caller.context.session;
    let each = caller.clone();
    let service = service_fn(move |request| {
        let caller = each.clone();
        async move { Ok::<_, Infallible>(caller.answer(request).await) }
    });
    let connection = bounded().serve_connection(TokioIo::new(Tolerant::new(stream)), service);
    tokio::pin!(connection);
    let (mut seen, mut patience) = (0, GRPC_FIRST_REQUEST);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    debug!(session, %error, "client left");
                }
                return;
            }
            () = caller.untaken.notified() => {
                return warn!(session, "client dropped: it does not take its answers");
            }
            // Requests in flight are answered, then the connection ends; clients' libraries open another one.
            () = caller.has_secret.notified() => connection.as_mut().graceful_shutdown(),
            _ = stop.wait_for(|stopping| *stopping) => break,
            () = sleep(patience) => {
                let begun = caller.begun.load(Ordering::Relaxed);
                if begun == seen && caller.seat.is_idle() {
                    debug!(session, "client is asked to come again when it has a request");
                    break;
                }
                (seen, patience) = (begun, GRPC_IDLE);
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    // Whoever does not go is dropped.
    let _ = timeout(DRAIN, connection).await;
}

/// The bounds that HTTP/2 has of its own.
fn bounded() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(GRPC_STREAMS)
        .max_header_list_size(GRPC_HEADER_BYTES)
        .max_send_buf_size(GRPC_SEND_BYTES)
        .initial_stream_window_size(GRPC_WINDOW_BYTES)
        .initial_connection_window_size(GRPC_WINDOW_BYTES)
        .max_pending_accept_reset_streams(GRPC_RESETS)
        .max_local_error_reset_streams(GRPC_RESETS)
        .keep_alive_interval(GRPC_PING_INTERVAL)
        .keep_alive_timeout(GRPC_PING_ANSWER);
    builder
}

impl Caller {
    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let deadline = deadline::of(request.headers());
        let answered = self.carry_out(request);
        match deadline {
            // Whatever still waits for a place is forgotten; what the loader was asked for is carried out.
            Some(deadline) => timeout(deadline, answered).await.unwrap_or_else(|_| {
                Status::deadline_exceeded(format!("not answered within {deadline:?}")).into_http()
            }),
            None => answered.await,
        }
    }

    async fn carry_out(mut self, request: Request<Incoming>) -> Response<Body> {
        // Health and reflection ask nobody, and some of their answers last as long as the connection.
        let path = request.uri().path();
        let mut names = path.split('/').skip(1);
        let is_counted = names.next() == Some(self.counted);
        let is_read = matches!(names.next(), Some("Get" | "List"));
        let mut request = request.map(|body| Body::new(Timely::new(body)));
        if !is_counted {
            let answer = infallible(self.routes.call(request).await);
            self.seat.serve();
            return answer;
        }
        let Ok(place) = self.seat.place(is_read).await else {
            return Status::unavailable("bpfman is stopping").into_http();
        };
        let place = Arc::new(place);
        request.extensions_mut().insert(Asker {
            context: self.context,
            place: Arc::clone(&place),
            has_secret: self.has_secret,
        });
        let answer = status::fitting(infallible(self.routes.call(request).await));
        answer.map(|body| Body::new(Answer::new(body, place, self.untaken)))
    }
}

fn infallible<T>(outcome: Result<T, Infallible>) -> T {
    match outcome {
        Ok(value) => value,
        Err(never) => match never {},
    }
}
