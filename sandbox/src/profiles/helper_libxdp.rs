//! The one-shot helper that opens, pins or unpins what libxdp has on one interface, and ends.

use super::one_shot;
use crate::seccomp::Policy;
use crate::{Access, PathRule, Profile, WorkerArguments};
use caps::Capability;

/// Where libxdp pins, and whose lock it takes.
const PINS: &str = "/sys/fs/bpf/xdp";

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper-libxdp",
        // It runs as root, whose libxdp's pins are (directories 0700): a capability that overrides file modes would be more.
        capabilities: vec![
            // Opening a dispatcher, which libxdp does not pin, and its map, by id. What else it could do, the system call
            // policy forbids.
            Capability::CAP_SYS_ADMIN,
        ],
        paths: vec![
            // The directory itself, where libxdp was never used since the start of the machine; pins of others beside it
            // are out of reach.
            PathRule::optional("/sys/fs/bpf", Access::MakeDirectories),
            // One directory for each dispatcher, with the pins of its members.
            PathRule::optional(PINS, Access::ReadWrite),
        ],
        ..one_shot(arguments, policy)
    }
}
