//! The one-shot helper that opens one path among the files of another process, with the identity of a client, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Landlock, Profile, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-container",
        capabilities: vec![
            // It becomes the client. Both are given up before it looks at anything.
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
            // For clients that are root: the root directory of the process. Given up before it looks at the path.
            Capability::CAP_SYS_PTRACE,
        ],
        // A process in a Landlock domain may look into none outside of it, whatever its capabilities.
        landlock: Landlock::Without,
        ..one_shot(arguments, policy)
    }
}
