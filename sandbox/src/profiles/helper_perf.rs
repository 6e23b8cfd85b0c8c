//! The one-shot helper that opens one perf event for the loader, and ends.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Access, Network, PathRule, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-perf",
        // Root, whose tracefs directories are: a capability that overrides file modes would be more.
        identity: arguments.identity.clone(),
        capabilities: vec![
            // Kprobes, uprobes, and every event where perf_event_paranoid is 3. What else it could do, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        paths: vec![
            // Ids of tracepoints; names of functions, to suggest one.
            PathRule::optional("/sys/kernel/tracing", Access::Read),
            PathRule::optional("/sys/kernel/debug/tracing", Access::Read),
            // The numbers of the PMUs of kprobes and uprobes, and which bit says "return probe".
            PathRule::optional("/sys/bus/event_source/devices", Access::Read),
            PathRule::optional("/sys/devices/kprobe", Access::Read),
            PathRule::optional("/sys/devices/uprobe", Access::Read),
        ],
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
