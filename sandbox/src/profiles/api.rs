//! The API worker: parses what clients send. It may touch nothing; its listening sockets are passed to it.

use super::{MINIMUM_LANDLOCK_ABI, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Network, Profile, ResourceLimits, WorkerArguments};

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "api",
        identity: arguments.identity.clone(),
        capabilities: Vec::new(),
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        paths: Vec::new(),
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            // Every client session with a descriptor or two of its own.
            open_files: 2048,
            // Every session with its largest frame, twice.
            address_space: Some(4 << 30),
            // Landlock lets it make no file; descriptor 2 may be one of any length.
            file_bytes: None,
            processes: None,
        },
        parent_death_signal: true,
        minimum_landlock_abi: MINIMUM_LANDLOCK_ABI,
    }
}
