//! Which system calls may be made.

use crate::seccomp::{Architecture, Policy, PolicyError};
use crate::{EnterError, Mode};
use seccompiler::BpfProgram;
use std::io;

/// Compiled first of all, while a defect in the policy can still be told from one of the machine.
pub(crate) fn prepare(policy: &Policy, mode: Mode) -> Result<Vec<BpfProgram>, PolicyError> {
    policy.compile(Architecture::current()?, mode)
}

/// The last program is the list of what is allowed; it forbids seccomp(2) itself.
pub(crate) fn install(filters: &[BpfProgram]) -> Result<(), EnterError> {
    for filter in filters {
        seccompiler::apply_filter(filter).map_err(|error| EnterError::Refused {
            step: "seccomp",
            what: "install a filter".into(),
            source: io::Error::other(error),
            remedy: "use a kernel with CONFIG_SECCOMP_FILTER",
        })?;
    }
    Ok(())
}
