//! The one-shot helper that makes one volume of a pod, or takes one away, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Landlock, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    let common = one_shot(arguments, policy);
    Profile {
        role: "helper-mount",
        // It runs as root, whose the kubelet's directories are: a capability that overrides file modes would be more.
        capabilities: vec![
            // Mounting and unmounting. What else it could do, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
            // The maps belong to the group that the pod has.
            Capability::CAP_CHOWN,
        ],
        limits: ResourceLimits {
            // The maps of one volume, its own four, and a few directories.
            open_files: 128,
            ..common.limits
        },
        // A process in a Landlock domain may not mount, whatever its capabilities. The system call policy lets it open
        // directories alone.
        landlock: Landlock::Without,
        ..common
    }
}
