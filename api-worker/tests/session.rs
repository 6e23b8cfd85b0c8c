//! One client's connection, with a supervisor that the test plays.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod connected;

use api_worker::session;
use connected::{Connected, connected};
use ipc::limits::CLIENT_WINDOW;
use ipc::link::establish;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn one_request_past_the_window_waits_until_another_is_answered() {
    let Connected {
        context,
        socket,
        client,
        mut asked,
        answer,
        peers: _peers,
    } = connected().await;
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(session::serve(socket.into(), 1, context, stopping));
    let client =
        establish::<ClientReply, ClientRequest>(client.into(), Role::Client, 0, Role::Api).await;
    let (ask, mut replies, _) = client.unwrap();

    for number in 1..=CLIENT_WINDOW as u64 + 1 {
        ask.send(number, &ClientRequest::Status, &[]).await.unwrap();
    }
    let mut first = None;
    for _ in 0..CLIENT_WINDOW {
        let request = timeout(PATIENCE, asked.receive()).await.unwrap();
        first.get_or_insert(request.unwrap().unwrap().request_id);
    }
    let surplus = asked.receive();
    tokio::pin!(surplus);
    let early = timeout(Duration::from_millis(200), &mut surplus).await;
    assert!(early.is_err(), "{early:?}");
    let report = Control::StatusReport(Vec::new());
    answer.send(first.unwrap(), &report, &[]).await.unwrap();
    let reply = timeout(PATIENCE, replies.receive()).await.unwrap();
    let reply = reply.unwrap().unwrap();
    assert_eq!(reply.message, ClientReply::Status(Vec::new()));
    let next = timeout(PATIENCE, surplus).await.unwrap();
    assert_eq!(next.unwrap().unwrap().message, Status::QueryStatus);
}
