//! Who waits for whom, and how long: deadlines of clients, and of the service. The client here is plain HTTP/2, since real ones
//! would keep deadlines themselves.

use api_worker::proto::ListRequest;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::UnixStream;

/// A request that is never finished, or one of no bytes.
struct Half {
    is_finished: bool,
}

impl Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.is_finished {
            return Poll::Pending;
        }
        self.is_finished = false;
        // Not compressed, no bytes: `GetRequest` of program 0.
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 5])))))
    }
}

/// The status of a request for a program.
fn ask(instance: &Instance, headers: &HeaderMap, is_finished: bool) -> String {
    let path = instance.grpc_socket();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let stream = TokioIo::new(UnixStream::connect(path).await.expect("a connection"));
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let mut request = Request::post("http://localhost/bpfman.v1.Bpfman/Get")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Half { is_finished })
            .expect("a request");
        request.headers_mut().extend(headers.clone());
        let response = client.send_request(request).await.expect("an answer");
        let status = response.headers().get("grpc-status").cloned();
        connection.abort();
        let status = status.expect("a failure is told in the headers");
        status.to_str().expect("digits").to_owned()
    })
}

const DEADLINE_EXCEEDED: &str = "4";

fn timeout(value: &'static str) -> HeaderMap {
    let value = hyper::header::HeaderValue::from_static(value);
    HeaderMap::from_iter([(
        hyper::header::HeaderName::from_static("grpc-timeout"),
        value,
    )])
}

#[test]
fn the_deadline_of_a_client_is_kept() {
    let instance = Instance::start();
    // Half a request would wait longer.
    assert_eq!(ask(&instance, &timeout("1m"), false), DEADLINE_EXCEEDED);
    assert!(Grpc::to(&instance).list(ListRequest::default()).is_ok());
}

#[test]
fn half_a_request_is_given_up_and_its_place_goes_to_others() {
    let instance = Instance::start();
    assert_eq!(ask(&instance, &HeaderMap::new(), false), DEADLINE_EXCEEDED);
    assert!(Grpc::to(&instance).list(ListRequest::default()).is_ok());
}
