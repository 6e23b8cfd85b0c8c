//! Which system calls a process may make: data files with a reason per rule.
//!
//! A policy file ([`schema`]) includes base lists by name ([`base`]) and adds its own rules. Whatever no rule names ends the
//! process. What a library merely probes is refused with an error instead, by rules of their own ([`Policy::refuse`]).
//! Names become numbers by a table for both architectures ([`syscalls`]), so that both are compiled by every test run.

mod base;
mod compile;
pub mod schema;
mod syscalls;

use schema::{PolicyFile, Refusal, Rule};

/// A policy with its base lists resolved.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The name in the file.
    pub name: String,
    /// What may be done.
    pub allow: Vec<Rule>,
    /// What fails with an error instead of ending the process.
    pub refuse: Vec<Refusal>,
}

/// Why a policy is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not the JSON of a policy.
    #[error("policy does not parse: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Longer than [`crate::limits::POLICY_BYTES`].
    #[error("policy has {0} bytes, which is too many")]
    TooLong(usize),
    /// No such base list.
    #[error("policy {policy} includes {base}, which does not exist")]
    UnknownBase {
        /// Of which policy.
        policy: String,
        /// Which list.
        base: String,
    },
    /// A rule without a reason.
    #[error("policy {policy}: the rule for {syscall} gives no reason")]
    NoReason {
        /// Of which policy.
        policy: String,
        /// For which system call.
        syscall: String,
    },
    /// A condition that cannot be meant.
    #[error("policy {policy}: the rule for {syscall}: {fault}")]
    Condition {
        /// Of which policy.
        policy: String,
        /// For which system call.
        syscall: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// No such system call on this architecture.
    #[error(
        "{architecture} has no system call {syscall}; correct the name, or restrict the rule with `only`"
    )]
    UnknownSyscall {
        /// Which name.
        syscall: String,
        /// Where.
        architecture: &'static str,
    },
    /// An error number that is not in the list.
    #[error("errno {0} is not known; use EPERM, EACCES, ENOSYS, ENOTTY or ENOENT")]
    UnknownErrno(String),
    /// A refusal that would take back what another rule allows.
    #[error("{0} is allowed and refused; give the refusal a condition")]
    Contradiction(String),
    /// Nothing would be allowed.
    #[error("the policy allows nothing")]
    Empty,
    /// Neither x86-64 nor aarch64.
    #[error("there are no policies for this architecture ({0})")]
    Architecture(&'static str),
    /// The filter is too large, or a condition is out of range.
    #[error("filter: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

/// Architectures with policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// aarch64.
    Aarch64,
}

impl Architecture {
    /// Both.
    pub const ALL: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

    /// The one that this program was built for.
    pub fn current() -> Result<Self, PolicyError> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Architecture::X86_64),
            "aarch64" => Ok(Architecture::Aarch64),
            other => Err(PolicyError::Architecture(other)),
        }
    }

    /// The name in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86-64",
            Architecture::Aarch64 => "aarch64",
        }
    }
}

impl Policy {
    /// Reads a policy file, resolves what it includes, and checks every rule's form. The list of what
    /// [`enter`](crate::enter()) itself does after the filter is in force is included in every policy.
    pub fn parse(json: &str) -> Result<Self, PolicyError> {
        let file = PolicyFile::parse(json)?;
        let mut policy = Policy {
            name: file.name.clone(),
            ..Policy::default()
        };
        let mut included = Vec::new();
        policy.include(base::ALWAYS, &mut included)?;
        policy.add(file, &mut included)?;
        Ok(policy)
    }

    fn add(&mut self, file: PolicyFile, included: &mut Vec<String>) -> Result<(), PolicyError> {
        for name in &file.includes {
            self.include(name, included)?;
        }
        self.allow.extend(file.allow);
        self.refuse.extend(file.refuse);
        Ok(())
    }

    /// A list that several others include is taken once; this also ends circles.
    fn include(&mut self, name: &str, included: &mut Vec<String>) -> Result<(), PolicyError> {
        if included.iter().any(|seen| seen == name) {
            return Ok(());
        }
        included.push(name.to_owned());
        let json = base::find(name).ok_or_else(|| PolicyError::UnknownBase {
            policy: self.name.clone(),
            base: name.to_owned(),
        })?;
        self.add(PolicyFile::parse(json)?, included)
    }
}

#[cfg(test)]
mod tests;
