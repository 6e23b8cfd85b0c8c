//! The one-shot helper that looks at one XDP program of somebody else, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Profile, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-xdp",
        // It runs as root, whose pins those of libxdp are (directory 0700): a capability that overrides file modes would be more.
        capabilities: vec![
            // Opening a program, and its map, by id. What else it could do, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
        ],
        // Landlock does not govern BPF_OBJ_GET: pins are opened by their owner's right, and no file can be.
        ..one_shot(arguments, policy)
    }
}
