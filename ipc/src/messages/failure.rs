//! Failures as clients see them: stage, cause, remedy.

use bincode::{Decode, Encode};

/// Why a request was not carried out. Nothing of it remains in the kernel, the store or on disk.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq, thiserror::Error)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
#[error("{stage}: {cause}{}", if remedy.is_empty() { String::new() } else { format!("; {remedy}") })]
pub struct Failure {
    /// What kind of failure; decides exit and gRPC codes.
    pub code: FailureCode,
    /// Where it happened.
    pub stage: Stage,
    /// What is wrong, naming the object.
    pub cause: String,
    /// What to do about it; empty when the cause says it.
    pub remedy: String,
    /// The kernel verifier's whole log, when it rejected a program.
    pub verifier_log: Option<String>,
}

impl Failure {
    /// A program that is not managed.
    pub fn no_such_program(id: u32, stage: Stage) -> Self {
        let cause = format!("program {id} does not exist");
        Self::new(FailureCode::NotFound, stage, cause).remedy("see `bpfmanctl program list`")
    }

    /// A failure without remedy and log.
    pub fn new(code: FailureCode, stage: Stage, cause: impl Into<String>) -> Self {
        Self {
            code,
            stage,
            cause: cause.into(),
            remedy: String::new(),
            verifier_log: None,
        }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same failure with the verifier's log.
    #[must_use]
    pub fn verifier_log(mut self, log: String) -> Self {
        self.verifier_log = Some(log);
        self
    }

    /// Whether the same request may succeed if sent again.
    pub fn is_retryable(&self) -> bool {
        matches!(self.code, FailureCode::Unavailable)
    }
}

/// Kinds of failure, named like the gRPC codes they become.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum FailureCode {
    /// The request is wrong whatever the state.
    InvalidArgument,
    /// A program, link, interface, tracepoint or function that does not exist.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The request does not fit the state (kind mismatch, foreign program on the hook).
    FailedPrecondition,
    /// The policy refuses this caller.
    PermissionDenied,
    /// This kernel cannot do it; the cause names what probing found.
    Unsupported,
    /// A bound was reached.
    ResourceExhausted,
    /// A worker is being restarted; retry.
    Unavailable,
    /// It took too long.
    DeadlineExceeded,
    /// The kernel's verifier rejected the program; the log is attached.
    Rejected,
    /// Anything else.
    Internal,
}

/// The stage of work that failed.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
#[cfg_attr(test, derive(proptest_derive::Arbitrary))]
pub enum Stage {
    /// Talking to bpfman.
    Connect,
    /// Reading the request.
    Request,
    /// Deciding whether the caller may.
    Policy,
    /// Reading the object file.
    Object,
    /// Compiling the object into a load plan.
    Compile,
    /// Creating maps.
    Maps,
    /// Loading programs through the verifier.
    Load,
    /// Pinning to bpffs.
    Pin,
    /// Finding what to attach to.
    Resolve,
    /// Attaching.
    Attach,
    /// Detaching.
    Detach,
    /// Unloading.
    Unload,
    /// The store of records.
    Store,
    /// Looking things up.
    Query,
    /// Fetching an image. Since version 2.
    Pull,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Stage::Connect => "connect",
            Stage::Request => "request",
            Stage::Policy => "policy",
            Stage::Object => "object",
            Stage::Compile => "compile",
            Stage::Maps => "maps",
            Stage::Load => "load",
            Stage::Pin => "pin",
            Stage::Resolve => "resolve",
            Stage::Attach => "attach",
            Stage::Detach => "detach",
            Stage::Unload => "unload",
            Stage::Store => "store",
            Stage::Query => "query",
            Stage::Pull => "pull",
        })
    }
}
