//! The API worker: parses what clients send. It may touch nothing; its listening sockets are passed to it.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Network, Profile, ResourceLimits, WorkerArguments};
use ipc::limits::{
    CLIENT_REFUSALS, CLIENT_SESSIONS, CLIENT_WINDOW, GRPC_CONNECTIONS, GRPC_REQUESTS,
};

/// Per client its socket, the duplicate that the loader is shown, the descriptor of a frame that is being read, and that
/// of every request in flight; clients that are refused; per gRPC connection its socket and the duplicate, and what is opened
/// for requests; the worker's own links and runtime. So whatever clients do, a descriptor is left for what the supervisor
/// sends, unless the service is started with a lower hard limit.
const OPEN_FILES: usize = CLIENT_SESSIONS * (3 + CLIENT_WINDOW)
    + 2 * CLIENT_REFUSALS
    + 2 * GRPC_CONNECTIONS
    + GRPC_REQUESTS
    + 64;

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
            open_files: OPEN_FILES as u64,
            // Every session with its largest frame, twice.
            address_space: Some(4 << 30),
            // Landlock lets it make no file; descriptor 2 may be one of any length.
            file_bytes: None,
            processes: None,
        },
        parent_death_signal: true,
        landlock: LANDLOCK,
    }
}
