//! The one-shot helper that enters one network namespace, does one act at a hook there, and ends.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Network, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-netns",
        identity: arguments.identity.clone(),
        capabilities: vec![
            // setns(2). Given up as soon as it is inside; what else it could do until then, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
            // What is on a tcx hook, as in the loader.
            Capability::CAP_NET_ADMIN,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        // Namespace and program come as descriptors.
        working_directory: "/".into(),
        paths: Vec::new(),
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            open_files: 64,
            address_space: Some(256 << 20),
            // Landlock lets it make no file; descriptor 2 may be one of any length.
            file_bytes: None,
            processes: None,
        },
        parent_death_signal: true,
        landlock: LANDLOCK,
    }
}
