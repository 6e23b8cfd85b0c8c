//! Which gRPC status a failure becomes, as the established driver has it. Pure.

use crate::grpc::status::text;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use tonic::{Code, Status};

/// The status for a failure.
pub(super) fn of(failure: &Failure) -> Status {
    Status::new(code(failure), text(failure))
}

fn code(failure: &Failure) -> Code {
    match (failure.code, failure.stage) {
        // A worker that is held.
        (FailureCode::FailedPrecondition, Stage::Connect) => Code::Unavailable,
        (FailureCode::InvalidArgument, _) => Code::InvalidArgument,
        (FailureCode::NotFound, _) => Code::NotFound,
        (FailureCode::AlreadyExists, _) => Code::AlreadyExists,
        (FailureCode::FailedPrecondition, _) => Code::FailedPrecondition,
        (FailureCode::PermissionDenied, Stage::Policy | Stage::Connect) => Code::PermissionDenied,
        (FailureCode::ResourceExhausted, _) => Code::ResourceExhausted,
        (FailureCode::Unavailable, _) => Code::Unavailable,
        (FailureCode::DeadlineExceeded, _) => Code::DeadlineExceeded,
        (
            FailureCode::PermissionDenied
            | FailureCode::Unsupported
            | FailureCode::Rejected
            | FailureCode::Internal,
            _,
        ) => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_their_names_and_the_rest_is_internal() {
        for (failed, stage, expected) in [
            (
                FailureCode::InvalidArgument,
                Stage::Resolve,
                Code::InvalidArgument,
            ),
            (FailureCode::NotFound, Stage::Query, Code::NotFound),
            (
                FailureCode::AlreadyExists,
                Stage::Resolve,
                Code::AlreadyExists,
            ),
            (
                FailureCode::FailedPrecondition,
                Stage::Resolve,
                Code::FailedPrecondition,
            ),
            (
                FailureCode::FailedPrecondition,
                Stage::Connect,
                Code::Unavailable,
            ),
            (
                FailureCode::PermissionDenied,
                Stage::Policy,
                Code::PermissionDenied,
            ),
            (FailureCode::Unavailable, Stage::Attach, Code::Unavailable),
            (FailureCode::Internal, Stage::Pin, Code::Internal),
            (FailureCode::Unsupported, Stage::Pin, Code::Internal),
        ] {
            assert_eq!(code(&Failure::new(failed, stage, "cause")), expected);
        }
    }
}
