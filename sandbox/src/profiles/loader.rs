//! The loader: the only process with CAP_BPF.

use super::{LANDLOCK, WORKER_DESCRIPTORS};
use crate::seccomp::Policy;
use crate::{Access, Network, PathRule, Profile, ResourceLimits, WorkerArguments};
use caps::Capability;

pub(super) fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "loader",
        identity: arguments.identity.clone(),
        capabilities: vec![
            // Maps, BTF, programs.
            Capability::CAP_BPF,
            // Tracing programs; perf events where the kernel's paranoia allows.
            Capability::CAP_PERFMON,
            // Programs of the network; what is on a hook.
            Capability::CAP_NET_ADMIN,
        ],
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        // The rule for it below holds for one inode, which /proc forgets and makes anew unless somebody is there.
        working_directory: "/proc/self/fdinfo".into(),
        paths: vec![
            // Its bpffs: pins, and directories for them.
            PathRule::required(arguments.runtime_dir.join("fs"), Access::ReadWrite),
            // Store, plans, audit.
            PathRule::required(&arguments.state_dir, Access::ReadWrite),
            // Kernel types: ids of functions to attach to.
            PathRule::optional("/sys/kernel/btf", Access::Read),
            // Ids and formats of tracepoints, wherever tracefs is mounted.
            PathRule::optional("/sys/kernel/tracing", Access::Read),
            PathRule::optional("/sys/kernel/debug/tracing", Access::Read),
            // The number of the uprobe PMU.
            PathRule::optional("/sys/bus/event_source/devices", Access::Read),
            PathRule::optional("/sys/devices/uprobe", Access::Read),
            // Whether programs of kind lsm would run.
            PathRule::optional("/sys/kernel/security/lsm", Access::Read),
            // Memory and frozen state of own maps, which bpf(2) does not tell.
            PathRule::optional("/proc/self/fdinfo", Access::Read),
            // How many values a per-CPU map has for each key; how many background threads RocksDB takes.
            PathRule::optional("/sys/devices/system/cpu", Access::Read),
        ],
        // Netlink is no TCP.
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            // Clients that are answered directly, files of the store, descriptors of one load, with room.
            open_files: 4096,
            // RocksDB and the kernel's verifier log decide; a bound would only turn a large load into an abort.
            address_space: None,
            file_bytes: None,
            // Counted per user id, which is an unnamed one that instances share where there is no user bpfman-loader.
            processes: None,
        },
        parent_death_signal: true,
        landlock: LANDLOCK,
    }
}
