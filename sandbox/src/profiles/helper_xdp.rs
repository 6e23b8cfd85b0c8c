//! The one-shot helper that looks at one XDP program of somebody else, and ends.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Network, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-xdp",
        // Root, whose pins those of libxdp are (directory 0700): a capability that overrides file modes would be more.
        identity: arguments.identity.clone(),
        capabilities: vec![
            // Opening a program, and its map, by id. What else it could do, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        // Landlock does not govern BPF_OBJ_GET: pins are opened by their owner's right, and no file can be.
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
