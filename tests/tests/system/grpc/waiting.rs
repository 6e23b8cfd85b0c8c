//! Who waits for whom, and how long: deadlines of clients, and of the service. The client here is plain HTTP/2, since real ones
//! would keep deadlines themselves.

use api_worker::proto::ListRequest;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::UnixStream;

/// A request that is never finished, or one of these bytes.
struct Half {
    frame: Option<Bytes>,
    is_finished: bool,
}

impl Body for Half {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frame.take() {
            Some(frame) => Poll::Ready(Some(Ok(Frame::data(frame)))),
            None if self.is_finished => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// The status of a request that fails, with a deadline; without a message it is never finished.
pub(super) fn ask(
    instance: &Instance,
    method: &str,
    message: Option<&[u8]>,
    deadline: &str,
) -> String {
    let path = instance.grpc_socket();
    let frame = message.map(|message| {
        // Not compressed, and its length.
        let length = u32::try_from(message.len()).expect("a length");
        [&[0][..], &length.to_be_bytes(), message].concat().into()
    });
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
        let mut request = Request::post(format!("http://localhost/bpfman.v1.Bpfman/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if !deadline.is_empty() {
            request = request.header("grpc-timeout", deadline);
        }
        let is_finished = frame.is_some();
        let request = request
            .body(Half { frame, is_finished })
            .expect("a request");
        let response = client.send_request(request).await.expect("an answer");
        let status = response.headers().get("grpc-status").cloned();
        connection.abort();
        let status = status.expect("a failure is told in the headers");
        status.to_str().expect("digits").to_owned()
    })
}

pub(super) const DEADLINE_EXCEEDED: &str = "4";

#[test]
fn the_deadline_of_a_client_is_kept() {
    let instance = Instance::start();
    // Half a request would wait longer.
    assert_eq!(ask(&instance, "Get", None, "1m"), DEADLINE_EXCEEDED);
    assert!(Grpc::to(&instance).list(ListRequest::default()).is_ok());
}

#[test]
fn half_a_request_is_given_up_and_its_place_goes_to_others() {
    let instance = Instance::start();
    assert_eq!(ask(&instance, "Get", None, ""), DEADLINE_EXCEEDED);
    assert!(Grpc::to(&instance).list(ListRequest::default()).is_ok());
}
