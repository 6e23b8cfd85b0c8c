//! Requests that must arrive in time, and answers that must be taken in time.

use super::places::Place;
use crate::limits::{GRPC_ANSWER_DEADLINE, GRPC_CHUNK_BYTES};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use ipc::limits::FRAME_DEADLINE;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use tonic::Status;

/// The body of a request; an error when it is not whole within [`FRAME_DEADLINE`]: it has a place that others wait for.
pub(super) struct Timely {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl Timely {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            deadline: Box::pin(tokio::time::sleep(FRAME_DEADLINE)),
        }
    }
}

impl Body for Timely {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let frame = frame.map(|frame| {
                frame.map_err(|error| Status::cancelled(format!("the request broke off: {error}")))
            });
            return Poll::Ready(frame);
        }
        self.deadline.as_mut().poll(context).map(|()| {
            Some(Err(Status::deadline_exceeded(format!(
                "the request was not sent whole within {FRAME_DEADLINE:?}"
            ))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which keeps the place of its request until it is taken. It is handed out in small pieces, because
/// a piece that was handed out lies in memory until the client takes it.
pub(super) struct Answer {
    body: tonic::body::Body,
    rest: Bytes,
    place: Arc<Place>,
    patience: JoinHandle<()>,
}

impl Answer {
    /// `untaken` is told when the client does not take it within [`GRPC_ANSWER_DEADLINE`].
    pub(super) fn new(body: tonic::body::Body, place: Arc<Place>, untaken: Arc<Notify>) -> Self {
        let patience = tokio::spawn(async move {
            tokio::time::sleep(GRPC_ANSWER_DEADLINE).await;
            untaken.notify_one();
        });
        place.answered();
        // A failure is all headers: nobody asks for what is behind them.
        if body.is_end_stream() {
            place.taken();
        }
        Self {
            body,
            rest: Bytes::new(),
            place,
            patience,
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.patience.abort();
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => {
                        self.place.taken();
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                Poll::Ready(None) => {
                    self.place.taken();
                    return Poll::Ready(None);
                }
                other => return other,
            }
        }
        let piece = self.rest.len().min(GRPC_CHUNK_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::places::{Owner, Places};
    use crate::limits::GRPC_PROCESS_READS;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};
    use tonic::body::Body as Contents;

    /// How long the next question waits when this was answered, and so many pieces of it were taken.
    async fn wait_after(body: fn() -> Contents, pieces: usize) -> Duration {
        let seat = Places::default()
            .seat(Owner { pid: 7, uid: 0 })
            .expect("a seat");
        let mut answers = Vec::new();
        for _ in 0..GRPC_PROCESS_READS {
            let place = Arc::new(seat.place(true).await.expect("a place"));
            place.begin();
            sleep(Duration::from_millis(10)).await;
            answers.push(Answer::new(body(), place, Arc::default()));
        }
        for answer in &mut answers {
            for _ in 0..pieces {
                std::future::poll_fn(|context| Pin::new(&mut *answer).poll_frame(context)).await;
            }
        }
        drop(answers);
        let freed = Instant::now();
        seat.place(true).await.expect("a place");
        freed.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_taken_with_their_last_frame() {
        let whole = || Contents::new(http_body_util::Full::new(Bytes::from_static(b"answer")));
        assert_eq!(wait_after(whole, 2).await, Duration::ZERO);
        assert!(wait_after(whole, 0).await > Duration::from_secs(1));
        assert_eq!(wait_after(Contents::empty, 0).await, Duration::ZERO);
    }
}
