//! The one-shot helper that opens one path with the identity of a client, and ends.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Access, Network, PathRule, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-open",
        identity: arguments.identity.clone(),
        capabilities: vec![
            // It becomes the client. Both are given up before it looks at the path.
            Capability::CAP_SETUID,
            Capability::CAP_SETGID,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        // Wherever the client may read; what that is, the modes of files decide, since it has the client's identity then.
        paths: vec![PathRule::required("/", Access::Read)],
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
