//! The one-shot helper that opens one perf event for the loader, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Access, PathRule, Profile, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-perf",
        // It runs as root, whose tracefs directories are: a capability that overrides file modes would be more.
        capabilities: vec![
            // Kprobes, uprobes, and every event where perf_event_paranoid is 3. What else it could do, the system call policy forbids.
            Capability::CAP_SYS_ADMIN,
        ],
        paths: vec![
            // Ids of tracepoints; names of functions, to suggest one.
            PathRule::optional("/sys/kernel/tracing", Access::Read),
            PathRule::optional("/sys/kernel/debug/tracing", Access::Read),
            // The numbers of the PMUs of kprobes and uprobes, and which bit says "return probe".
            PathRule::optional("/sys/bus/event_source/devices", Access::Read),
            PathRule::optional("/sys/devices/kprobe", Access::Read),
            PathRule::optional("/sys/devices/uprobe", Access::Read),
        ],
        ..one_shot(arguments, policy)
    }
}
