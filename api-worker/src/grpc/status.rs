//! Which gRPC status a failure becomes: per method, as the established service has it. Pure.
//!
//! What that service does not know (a caller without the right, a worker that is being restarted, a bound) gets the code
//! that gRPC has for it.

use crate::limits::GRPC_STATUS_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::{Code, Status};

/// What was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    Load,
    Unload,
    /// To an interface (xdp, tc, tcx).
    AttachToInterface,
    AttachToTracepoint,
    /// Everything else.
    Attach,
    Detach,
    List,
    Get,
    Pull,
}

/// The status for a failure.
pub(super) fn of(method: Method, failure: &Failure) -> Status {
    Status::new(code(method, failure), text(failure))
}

fn code(method: Method, failure: &Failure) -> Code {
    use FailureCode::{
        DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied,
        ResourceExhausted, Unavailable,
    };
    match (failure.code, failure.stage) {
        // Whatever keeps an image away; the words say what.
        (code, Stage::Pull) if code != ResourceExhausted => return Code::Internal,
        (PermissionDenied, Stage::Policy | Stage::Connect) => return Code::PermissionDenied,
        (DeadlineExceeded, _) => return Code::DeadlineExceeded,
        // Also a worker that is held.
        (Unavailable, _) | (FailedPrecondition, Stage::Connect) => return Code::Unavailable,
        // Slots of a dispatcher are no bound of bpfman's.
        (ResourceExhausted, stage) if stage != Stage::Attach => return Code::ResourceExhausted,
        _ => {}
    }
    match (method, failure.code, failure.stage) {
        // The owner of the maps is all that is looked for before maps are made.
        (Method::Load, InvalidArgument, Stage::Maps) => Code::InvalidArgument,
        // Past a bound, before anybody was asked.
        (Method::Load | Method::Pull, InvalidArgument, Stage::Request) => Code::InvalidArgument,

        (Method::Unload, NotFound | FailedPrecondition, Stage::Unload) => Code::NotFound,
        (Method::Get, NotFound | FailedPrecondition, Stage::Query) => Code::NotFound,
        (Method::Detach, NotFound, Stage::Detach) => Code::NotFound,

        (
            Method::AttachToInterface | Method::AttachToTracepoint | Method::Attach,
            NotFound,
            Stage::Attach,
        ) => Code::NotFound,
        (
            Method::AttachToInterface | Method::AttachToTracepoint | Method::Attach,
            FailedPrecondition,
            Stage::Request,
        ) => Code::FailedPrecondition,
        (
            Method::AttachToInterface | Method::AttachToTracepoint | Method::Attach,
            InvalidArgument,
            Stage::Request,
        ) => Code::InvalidArgument,
        (Method::AttachToInterface, InvalidArgument | NotFound, Stage::Resolve) => {
            Code::InvalidArgument
        }
        (Method::AttachToTracepoint, NotFound, Stage::Resolve) => Code::NotFound,
        _ => Code::Internal,
    }
}

/// An answer whose status fits among the headers that clients take: words of theirs in it may be as long as a request.
pub(super) fn fitting(answer: Response<Body>) -> Response<Body> {
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.message().len() > GRPC_STATUS_BYTES => {
            let message = status.message();
            let end = message.floor_char_boundary(GRPC_STATUS_BYTES - CUT.len());
            Status::new(status.code(), format!("{}{CUT}", &message[..end])).into_http()
        }
        _ => answer,
    }
}

/// Where a message was too long.
const CUT: &str = "...";

/// The failure in words, with the end of the verifier's log, where the cause stands.
pub(crate) fn text(failure: &Failure) -> String {
    let mut text = failure.to_string();
    text.truncate(text.floor_char_boundary(GRPC_STATUS_BYTES / 2));
    if let Some(log) = &failure.verifier_log {
        let log = log.trim_end();
        let start = log.ceil_char_boundary(log.len().saturating_sub(GRPC_STATUS_BYTES / 2 - 1));
        text.push('\n');
        text.push_str(&log[start..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: FailureCode, stage: Stage) -> Failure {
        Failure::new(code, stage, "cause")
    }

    #[test]
    fn what_the_established_service_does_not_know_has_one_code_everywhere() {
        use Method::{
            Attach, AttachToInterface, AttachToTracepoint, Detach, Get, List, Load, Pull, Unload,
        };
        for method in [
            Load,
            Unload,
            AttachToInterface,
            AttachToTracepoint,
            Attach,
            Detach,
            List,
            Get,
            Pull,
        ] {
            for (refused, stage, expected) in [
                (
                    FailureCode::PermissionDenied,
                    Stage::Policy,
                    Code::PermissionDenied,
                ),
                (FailureCode::Unavailable, Stage::Connect, Code::Unavailable),
                (
                    FailureCode::FailedPrecondition,
                    Stage::Connect,
                    Code::Unavailable,
                ),
                (
                    FailureCode::DeadlineExceeded,
                    Stage::Connect,
                    Code::DeadlineExceeded,
                ),
                (
                    FailureCode::ResourceExhausted,
                    Stage::Request,
                    Code::ResourceExhausted,
                ),
                (FailureCode::NotFound, Stage::Pull, Code::Internal),
                (FailureCode::Unavailable, Stage::Pull, Code::Internal),
                (FailureCode::PermissionDenied, Stage::Pull, Code::Internal),
                (
                    FailureCode::ResourceExhausted,
                    Stage::Pull,
                    Code::ResourceExhausted,
                ),
                (FailureCode::Internal, Stage::Store, Code::Internal),
                (FailureCode::Unsupported, Stage::Load, Code::Internal),
            ] {
                assert_eq!(
                    code(method, &failure(refused, stage)),
                    expected,
                    "{method:?}"
                );
            }
        }
    }

    #[test]
    fn a_file_that_the_client_may_not_read_is_no_matter_of_policy() {
        let refused = failure(FailureCode::PermissionDenied, Stage::Object);
        assert_eq!(code(Method::Load, &refused), Code::Internal);
    }

    #[test]
    fn the_eleventh_member_of_a_dispatcher_is_internal() {
        let full = failure(FailureCode::ResourceExhausted, Stage::Attach);
        assert_eq!(code(Method::AttachToInterface, &full), Code::Internal);
    }

    #[test]
    fn text_is_bounded_and_keeps_the_end_of_the_log() {
        let long = Failure::new(
            FailureCode::Rejected,
            Stage::Load,
            "ä".repeat(GRPC_STATUS_BYTES),
        )
        .verifier_log(format!("{}the cause\n", "ö".repeat(GRPC_STATUS_BYTES)));
        let text = text(&long);
        assert!(text.len() <= GRPC_STATUS_BYTES, "{}", text.len());
        assert!(text.ends_with("the cause"));
    }
}
