//! Why a sandbox was not entered. The process that gets one of these must end: it may be half inside.

use crate::seccomp::PolicyError;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

/// Why a sandbox was not entered.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Capabilities, Landlock and seccomp bind the calling thread alone: another thread would stay outside.
    #[error("sandbox, threads: {found} threads exist; enter before a thread or runtime is started")]
    NotSingleThreaded {
        /// How many there are.
        found: u32,
    },
    /// A descriptor of the profile is not there.
    #[error(
        "sandbox, descriptors: {descriptor} is not open; {role} is started by bpfmand, which passes it"
    )]
    DescriptorMissing {
        /// Who enters.
        role: &'static str,
        /// Which is missing.
        descriptor: RawFd,
    },
    /// The kernel refused a step.
    #[error("sandbox, {step}: {what}: {source}; {remedy}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// What was asked for.
        what: String,
        /// The kernel's answer.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A path that the profile demands cannot be reached by the identity of the profile.
    #[error("sandbox, landlock: {}: {source}; create it, and let the user of {role} reach it", path.display())]
    PathMissing {
        /// Who enters.
        role: &'static str,
        /// Which path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel enforces less than the profile demands.
    #[error(
        "sandbox, landlock: ABI {found} of {demanded} demanded; use a newer kernel, or boot with landlock in lsm="
    )]
    LandlockTooOld {
        /// What the kernel has, 0 for none.
        found: u8,
        /// What the profile demands.
        demanded: u8,
    },
    /// The Landlock rule set was refused.
    #[error("sandbox, landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The system call policy is wrong. It is part of the program: a defect, not a circumstance.
    #[error("sandbox, seccomp: {0}")]
    Policy(#[from] PolicyError),
    /// The parent ended meanwhile, so that its death cannot be signalled any more.
    #[error(
        "sandbox, parent death: the parent ended while the sandbox was entered; bpfmand starts a new worker"
    )]
    ParentGone,
    /// What /proc says afterwards is not what the profile says.
    #[error("sandbox, report: {}", .0.join("; "))]
    Unfaithful(Vec<String>),
}

impl EnterError {
    /// A closure for `map_err` that names the step, what was asked for, and what to do.
    pub(crate) fn refused<E: Into<io::Error>>(
        step: &'static str,
        what: impl Into<String>,
        remedy: &'static str,
    ) -> impl FnOnce(E) -> EnterError {
        let what = what.into();
        move |source| EnterError::Refused {
            step,
            what,
            source: source.into(),
            remedy,
        }
    }
}
