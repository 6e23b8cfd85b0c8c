//! Windows and deadlines, with time that is only pretended to pass.

use super::*;
use crate::limits::{FRAME_DEADLINE, REQUEST_DEADLINE, WORKER_WINDOW};
use crate::link::{Receiver, establish};
use crate::messages::loader::{LoaderReply, LoaderRequest};
use crate::role::Role;
use std::os::unix::net::UnixStream;
use tokio::time::{Instant, sleep};

type Asking = Caller<LoaderRequest, LoaderReply>;
type Answering = (Sender<LoaderReply>, Receiver<LoaderRequest>);

async fn pair(window: usize) -> (Asking, Receiver<LoaderReply>, Answering) {
    let (left, right) = UnixStream::pair().unwrap();
    let (api, loader) = tokio::join!(
        establish(left.into(), Role::Api, 1, Role::Loader),
        establish(right.into(), Role::Loader, 1, Role::Api),
    );
    let (api, loader) = (api.unwrap(), loader.unwrap());
    (Caller::new(api.0, window), api.1, (loader.0, loader.1))
}

fn list(session: u64) -> LoaderRequest {
    LoaderRequest::ListPrograms { session }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_ends_at_its_deadline_and_a_late_answer_is_nobodys() {
    let (caller, mut replies, (loader, mut requests)) = pair(1).await;
    let begun = Instant::now();
    let outcome = caller.call(&list(1), &[], REQUEST_DEADLINE).await;
    assert!(
        matches!(outcome, Err(CallError::DeadlineExceeded(REQUEST_DEADLINE))),
        "{outcome:?}"
    );
    let waited = begun.elapsed();
    assert!(
        waited >= REQUEST_DEADLINE && waited < REQUEST_DEADLINE + Duration::from_secs(1),
        "{waited:?}"
    );
    let late = requests.receive().await.unwrap().unwrap();
    loader
        .send(late.request_id, &LoaderReply::Done, &[])
        .await
        .unwrap();
    assert!(!caller.complete(replies.receive().await.unwrap().unwrap()));

    // Just in time is in time, and the place in the window is free again.
    let answered = async {
        let request = requests.receive().await.unwrap().unwrap();
        sleep(REQUEST_DEADLINE - Duration::from_millis(10)).await;
        loader
            .send(request.request_id, &LoaderReply::Done, &[])
            .await
            .unwrap();
        assert!(caller.complete(replies.receive().await.unwrap().unwrap()));
    };
    let (list, beside) = (list(2), []);
    let (outcome, ()) = tokio::join!(caller.call(&list, &beside, REQUEST_DEADLINE), answered);
    assert_eq!(outcome.unwrap().message, LoaderReply::Done);
}

#[tokio::test(start_paused = true)]
async fn one_request_past_the_window_is_sent_when_another_is_answered() {
    let (caller, mut replies, (loader, mut requests)) = pair(WORKER_WINDOW).await;
    let mut calls = Vec::new();
    for session in 0..=WORKER_WINDOW as u64 {
        let caller = caller.clone();
        calls.push(tokio::spawn(async move {
            caller.call(&list(session), &[], REQUEST_DEADLINE).await
        }));
    }
    let mut first = None;
    for _ in 0..WORKER_WINDOW {
        let request = requests.receive().await.unwrap().unwrap();
        first.get_or_insert(request.request_id);
    }
    {
        let surplus = requests.receive();
        tokio::pin!(surplus);
        let early = timeout(REQUEST_DEADLINE / 2, &mut surplus).await;
        assert!(early.is_err(), "{early:?}");
        loader
            .send(first.unwrap(), &LoaderReply::Done, &[])
            .await
            .unwrap();
        assert!(caller.complete(replies.receive().await.unwrap().unwrap()));
        assert!(surplus.await.unwrap().is_some());
    }
    caller.close();
    let mut answered = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => answered += 1,
            Err(CallError::PeerGone) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(answered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_given_up_after_the_frame_deadline() {
    let (caller, _replies, _silent) = pair(WORKER_WINDOW).await;
    let begun = Instant::now();
    let failure = loop {
        match caller.tell(&list(1)).await {
            Ok(()) => assert!(begun.elapsed() < FRAME_DEADLINE),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(failure, LinkError::Congested(FRAME_DEADLINE)),
        "{failure:?}"
    );
    assert!(!failure.is_fault());
    assert!(begun.elapsed() >= FRAME_DEADLINE);
    // Part of a frame may be in the socket: nothing can follow it.
    let after = caller.call(&list(2), &[], REQUEST_DEADLINE).await;
    assert!(matches!(after, Err(CallError::PeerGone)), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_peer_does_not_read_is_given_up_too() {
    let (caller, _replies, _silent) = pair(usize::MAX >> 4).await;
    let mut calls = tokio::task::JoinSet::new();
    // Without an answer every call waits, until the socket is full and one of them finds it so.
    for session in 0..100_000 {
        let caller = caller.clone();
        calls.spawn(async move { caller.call(&list(session), &[], REQUEST_DEADLINE).await });
    }
    let first = calls.join_next().await.unwrap().unwrap();
    assert!(
        matches!(
            first,
            Err(CallError::Link(LinkError::Congested(FRAME_DEADLINE)))
        ),
        "{first:?}"
    );
}
