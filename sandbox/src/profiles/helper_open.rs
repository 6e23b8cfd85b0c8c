//! The one-shot helper that opens one path with the identity of a client, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Access, PathRule, Profile, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-open",
        capabilities: vec![
            // It becomes the client. Both are given up before it looks at the path.
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
        ],
        // Wherever the client may read; what that is, the modes of files decide, since it has the client's identity then.
        paths: vec![PathRule::required("/", Access::Read)],
        ..one_shot(arguments, policy)
    }
}
