//! The supervisor: decides who runs. It parses only status frames and log lines of workers.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Access, Network, PathRule, Profile, ResourceLimits, WorkerArguments};

/// The caller says in `descriptors` what it holds: its sockets, the lock, the link to the spawner.
pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "supervisor",
        identity: arguments.identity.clone(),
        capabilities: Vec::new(),
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        paths: vec![
            // Memory, ids and capabilities of the workers, for `bpfmanctl status`. The rest of /proc is guarded by the user
            // id, and by Landlock itself: a process inside may not look into one outside. Sockets are made before; what
            // may be read of the configuration the supervisor adds.
            PathRule::required("/proc", Access::Read),
        ],
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            // Two sockets, a pipe and a pidfd per worker, with room for helpers.
            open_files: 1024,
            address_space: Some(1 << 30),
            // Landlock lets it make no file; descriptor 2 may be one of any length.
            file_bytes: None,
            processes: None,
        },
        // A service outlives the shell that started it.
        parent_death_signal: false,
        landlock: LANDLOCK,
    }
}
