//! The one-shot helper that gives the pins of one map set to a group, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    let common = one_shot(arguments, policy);
    Profile {
        role: "helper-group",
        capabilities: vec![
            // The group of a file to one that its owner is no member of.
            Capability::CAP_CHOWN,
        ],
        // The pins come as descriptors.
        limits: ResourceLimits {
            // The pins of one frame, and its own four.
            open_files: 128,
            ..common.limits
        },
        ..common
    }
}
