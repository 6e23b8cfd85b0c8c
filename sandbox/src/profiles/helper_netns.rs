//! The one-shot helper that enters one network namespace, does one act at a hook there, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Profile, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-netns",
        capabilities: vec![
            // setns(2). Given up as soon as it is inside; what else it could do until then, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
            // What is on a tcx hook, as in the loader.
            Capability::CAP_NET_ADMIN,
        ],
        // Namespace and program come as descriptors.
        ..one_shot(arguments, policy)
    }
}
