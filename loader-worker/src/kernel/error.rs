//! One refused kernel call.

use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::io::Errno;
use std::fmt::Display;

/// `ENOTSUPP`, which the kernel lets out of bpf(2) although it has no name in user space.
pub const ENOTSUPP: Errno = Errno::from_raw_os_error(524);

/// A kernel call that failed: which, how, and what the verifier said.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct Error {
    /// The call, named as in the manual.
    pub call: &'static str,
    /// Its answer.
    pub errno: Errno,
    /// The verifier's log, when it rejected a program or BTF.
    pub verifier_log: Option<String>,
}

impl Error {
    /// A refused call without a log.
    pub fn new(call: &'static str, errno: Errno) -> Self {
        Self {
            call,
            errno,
            verifier_log: None,
        }
    }

    /// From the standard library's file functions; what has no number becomes `EIO`.
    pub fn from_io(call: &'static str, error: &std::io::Error) -> Self {
        Self::new(call, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }

    /// Whether the object that was named does not exist.
    pub fn is_not_found(&self) -> bool {
        self.errno == Errno::NOENT
    }

    /// Whether a more privileged process might succeed.
    pub fn is_refused(&self) -> bool {
        matches!(self.errno, Errno::PERM | Errno::ACCESS)
    }

    /// The failure that a client sees: `what` names the object.
    pub fn into_failure(self, stage: Stage, what: impl Display) -> Failure {
        let code = self.code();
        let failure = Failure::new(code, stage, format!("{what}: {self}")).remedy(self.remedy());
        match self.verifier_log {
            Some(log) => failure.verifier_log(log),
            None => failure,
        }
    }

    fn code(&self) -> FailureCode {
        if self.verifier_log.is_some() {
            return FailureCode::Rejected;
        }
        match self.errno {
            Errno::OPNOTSUPP | ENOTSUPP => FailureCode::Unsupported,
            Errno::NOMEM | Errno::NOSPC | Errno::MFILE | Errno::NFILE => {
                FailureCode::ResourceExhausted
            }
            Errno::NODEV | Errno::SRCH => FailureCode::NotFound,
            Errno::EXIST => FailureCode::AlreadyExists,
            Errno::BUSY => FailureCode::FailedPrecondition,
            _ => FailureCode::Internal,
        }
    }

    fn remedy(&self) -> &'static str {
        if self.verifier_log.is_some() {
            return "the verifier's log says which instruction";
        }
        match self.errno {
            Errno::PERM => {
                "the kernel refuses this to bpfman-loader: see kernel lockdown and `bpfmanctl status`"
            }
            Errno::MFILE | Errno::NFILE => "raise the limit on open files",
            Errno::NOMEM => "free memory, or raise the memory limit of the service",
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_makes_it_a_rejection() {
        let error = Error {
            verifier_log: Some("R0 !read_ok".into()),
            ..Error::new("BPF_PROG_LOAD", Errno::ACCESS)
        };
        let failure = error.into_failure(Stage::Load, "program \"count\"");
        assert_eq!(failure.code, FailureCode::Rejected);
        assert_eq!(failure.verifier_log.as_deref(), Some("R0 !read_ok"));
        assert!(
            failure
                .cause
                .starts_with("program \"count\": BPF_PROG_LOAD: "),
            "{}",
            failure.cause
        );
    }

    #[test]
    fn numbers_become_codes() {
        let code = |errno| {
            Error::new("bpf", errno)
                .into_failure(Stage::Attach, "x")
                .code
        };
        assert_eq!(code(ENOTSUPP), FailureCode::Unsupported);
        assert_eq!(code(Errno::NOMEM), FailureCode::ResourceExhausted);
        assert_eq!(code(Errno::INVAL), FailureCode::Internal);
    }
}
