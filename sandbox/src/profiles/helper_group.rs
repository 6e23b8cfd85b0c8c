//! The one-shot helper that gives the pins of one map set to a group, and ends.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Network, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-group",
        identity: arguments.identity.clone(),
        capabilities: vec![
            // The group of a file to one that its owner is no member of.
            Capability::CAP_CHOWN,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        // The pins come as descriptors.
        working_directory: "/".into(),
        paths: Vec::new(),
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            // The pins of one frame, and its own four.
            open_files: 128,
            address_space: Some(256 << 20),
            // Landlock lets it make no file; descriptor 2 may be one of any length.
            file_bytes: None,
            processes: None,
        },
        parent_death_signal: true,
        landlock: LANDLOCK,
    }
}
