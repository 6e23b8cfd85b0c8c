//! What is said to a client before its connection is closed: request id 0, since no request of its is answered by it.

use ipc::link::{Fault, LinkError, Sender};
use ipc::messages::client::ClientReply;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use tracing::{debug, warn};

/// Takes leave of a client whose link failed: what it did wrong is logged and told. One that is gone hears nothing.
pub async fn part(session: u64, sender: &Sender<ClientReply>, error: LinkError) {
    match error {
        LinkError::Fault(fault) => {
            warn!(session, %fault, "client dropped");
            refuse(sender, breach(&fault)).await;
        }
        error => debug!(session, %error, "client left"),
    }
}

/// Says the last word on a connection.
pub async fn refuse(sender: &Sender<ClientReply>, failure: Failure) {
    // A client that is gone does not miss it.
    let _ = sender.send(0, &ClientReply::Failed(failure), &[]).await;
}

/// There is no room for the client.
pub fn no_room() -> Failure {
    Failure::new(
        FailureCode::Unavailable,
        Stage::Connect,
        "too many clients are connected",
    )
    .remedy("retry when some have left")
}

/// The client broke the protocol.
fn breach(fault: &Fault) -> Failure {
    let remedy = match fault {
        Fault::Version(_) | Fault::NotPermitted { .. } => {
            "use the bpfmanctl that belongs to this bpfmand"
        }
        Fault::TooLong { .. } => "send less in one request",
        Fault::Stalled(_) => "send each frame whole, and the first one at once",
        Fault::Descriptors { .. } | Fault::SurplusDescriptors => {
            "send the descriptors that the message has, beside the first byte of its frame"
        }
        _ => "send frames as docs/ipc-protocol.md describes them",
    };
    Failure::new(
        FailureCode::InvalidArgument,
        Stage::Request,
        fault.to_string(),
    )
    .remedy(format!("{remedy}; the connection is closed"))
}
