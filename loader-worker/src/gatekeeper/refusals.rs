//! Why the gatekeeper says no, or has bad news.

use crate::limits::{JOIN_DEADLINE, JOINS};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::loader::Ticket;

pub(super) fn too_late() -> Failure {
    let cause = format!(
        "the image worker did not compile the object within {:?}",
        JOIN_DEADLINE
    );
    Failure::new(FailureCode::DeadlineExceeded, Stage::Compile, cause)
        .remedy("retry; see the service's log")
}

pub(super) fn no_image_worker() -> Failure {
    Failure::new(
        FailureCode::Unavailable,
        Stage::Compile,
        "the image worker ended before it had compiled the object",
    )
    .remedy("retry")
}

pub(super) fn stopping() -> Failure {
    Failure::new(
        FailureCode::Unavailable,
        Stage::Connect,
        "bpfman is stopping",
    )
    .remedy("retry when it is back")
}

pub(super) fn duplicate(ticket: Ticket) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Request,
        format!("ticket {ticket} is in use"),
    )
    .remedy("this is a fault of bpfman's API worker, please report it")
}

pub(super) fn full() -> Failure {
    let cause = format!("{} loads are being compiled", JOINS);
    Failure::new(FailureCode::ResourceExhausted, Stage::Request, cause).remedy("try again later")
}

pub(super) fn no_descriptor() -> Failure {
    // The link counts descriptors before it lets a message in.
    Failure::new(
        FailureCode::Internal,
        Stage::Request,
        "a descriptor is missing beside the message",
    )
}
