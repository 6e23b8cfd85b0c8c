//! The image worker: parses object files, which anybody may have made.

use super::{MINIMUM_LANDLOCK_ABI, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Access, Network, PathRule, Profile, ResourceLimits, WorkerArguments};

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "image",
        identity: arguments.identity.clone(),
        capabilities: Vec::new(),
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        paths: vec![
            // What was compiled before.
            PathRule::required(&arguments.cache_dir, Access::ReadWrite),
            // Relocation against the running kernel.
            PathRule::optional("/sys/kernel/btf", Access::Read),
        ],
        // Object files come as descriptors. Registries are not spoken to yet.
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            // The control socket, links, the objects and plans of requests in flight.
            open_files: 1024,
            // Kernel types take 40 MB, an object of the largest size a few times its size; beyond this a hostile one ends
            // the worker, which is restarted, and not the machine.
            address_space: Some(2 << 30),
            // The cache, one entry of which is a few times an object at most.
            file_bytes: Some(1 << 30),
            processes: None,
        },
        parent_death_signal: true,
        minimum_landlock_abi: MINIMUM_LANDLOCK_ABI,
    }
}
