//! The image worker: parses object files, which anybody may have made, and speaks to registries, which anybody may run.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
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
            // Images that were pulled.
            PathRule::required(&arguments.cache_dir, Access::ReadWrite),
            // Relocation against the running kernel.
            PathRule::optional("/sys/kernel/btf", Access::Read),
            // Names of registries. A rule holds for the file that is there now: where something replaces it by another
            // one (systemd-resolved, NetworkManager), the folder that the link leads to is what stays.
            PathRule::optional("/etc/hosts", Access::Read),
            PathRule::optional("/etc/resolv.conf", Access::Read),
            PathRule::optional("/run/systemd/resolve", Access::Read),
            PathRule::optional("/run/NetworkManager/resolv.conf", Access::Read),
            // Certificate authorities of the system, where distributions keep them.
            PathRule::optional("/etc/ssl/certs", Access::Read),
            PathRule::optional("/etc/pki/tls/certs", Access::Read),
            PathRule::optional("/etc/pki/ca-trust/extracted", Access::Read),
            PathRule::optional("/usr/share/ca-certificates", Access::Read),
            PathRule::optional("/usr/local/share/ca-certificates", Access::Read),
        ],
        // Registries have any port. Name servers are asked over UDP, which the system call policy lets through.
        network: Network::TcpConnect,
        seccomp: policy,
        limits: ResourceLimits {
            // The control socket, links, the objects and plans of requests in flight, a few connections for each image.
            open_files: 1024,
            // Kernel types take 40 MB, an object of the largest size a few times its size; beyond this a hostile one ends
            // the worker, which is restarted, and not the machine.
            address_space: Some(2 << 30),
            // The cache, one entry of which is a few times an object at most.
            file_bytes: Some(1 << 30),
            processes: None,
        },
        parent_death_signal: true,
        landlock: LANDLOCK,
    }
}
