//! The one-shot helper that opens one path among the files of another process, with the identity of a client, and ends.

use super::WORKER_DESCRIPTORS;
use crate::seccomp::Policy;
use crate::{Landlock, Network, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-container",
        identity: arguments.identity.clone(),
        capabilities: vec![
            // It becomes the client. Both are given up before it looks at anything.
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
            // For clients that are root: the root directory of the process. Given up before it looks at the path.
            Capability::CAP_SYS_PTRACE,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        paths: Vec::new(),
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            open_files: 64,
            address_space: Some(256 << 20),
            // Descriptor 2 may be a file of any length.
            file_bytes: None,
            processes: None,
        },
        parent_death_signal: true,
        // A process in a Landlock domain may look into none outside of it, whatever its capabilities.
        landlock: Landlock::Without,
    }
}
