//! What each role keeps: one file per role, a reason beside each line.
//!
//! The process that enters and the supervisor that checks its report call the same function, so there is one truth. The
//! system call policy comes from the worker's own crate; the supervisor has no use for it.

mod api;
mod helper_container;
mod helper_group;
mod helper_libxdp;
mod helper_mount;
mod helper_netns;
mod helper_open;
mod helper_perf;
mod helper_xdp;
mod image;
mod loader;
mod supervisor;

use crate::seccomp::Policy;
use crate::{Access, Landlock, Network, PathRule, Profile, ResourceLimits, WorkerArguments};
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use std::os::fd::RawFd;

/// Null, null, the log pipe, the control socket: what the spawner passes to every worker.
const WORKER_DESCRIPTORS: [RawFd; 4] = [0, 1, 2, CONTROL_SOCKET];

/// Where a worker finds its link to the supervisor, and a helper the one to the loader.
pub const CONTROL_SOCKET: RawFd = 3;

/// Linux 6.1, the oldest supported kernel, has ABI 2: files, and renames between directories.
const LANDLOCK: Landlock = Landlock::AtLeast(2);

/// What a process of this role keeps.
///
/// # Panics
///
/// Never: `Role::Client` cannot come out of [`WorkerArguments::parse`], and gets the profile that keeps least.
pub fn profile(arguments: &WorkerArguments, policy: Policy) -> Profile {
    let mut profile = match (arguments.role, arguments.helper) {
        (Role::Loader, _) => loader::profile(arguments, policy),
        (Role::Image, _) => image::profile(arguments, policy),
        (Role::Supervisor, _) => supervisor::profile(arguments, policy),
        (Role::Helper, Some(HelperKind::PerfEvent)) => helper_perf::profile(arguments, policy),
        (Role::Helper, Some(HelperKind::ChangeGroup)) => helper_group::profile(arguments, policy),
        (Role::Helper, Some(HelperKind::NetworkNamespace)) => {
            helper_netns::profile(arguments, policy)
        }
        (Role::Helper, Some(HelperKind::OpenPath)) => helper_open::profile(arguments, policy),
        (Role::Helper, Some(HelperKind::DescribeXdp)) => helper_xdp::profile(arguments, policy),
        (Role::Helper, Some(HelperKind::OpenInContainer)) => {
            helper_container::profile(arguments, policy)
        }
        (Role::Helper, Some(HelperKind::MountVolume)) => helper_mount::profile(arguments, policy),
        (Role::Helper, Some(HelperKind::Libxdp)) => helper_libxdp::profile(arguments, policy),
        (Role::Api | Role::Client | Role::Helper, _) => api::profile(arguments, policy),
    };
    // Trust roots and resolver files of an installation; the administrator names them to bpfmand.
    profile.paths.extend(
        arguments
            .read
            .iter()
            .map(|path| PathRule::required(path, Access::Read)),
    );
    profile
}

/// What one-shot helpers have in common, which is next to nothing; each adds its name, capabilities and paths.
fn one_shot(arguments: &WorkerArguments, policy: Policy) -> Profile {
    Profile {
        role: "helper",
        identity: arguments.identity.clone(),
        capabilities: Vec::new(),
        descriptors: WORKER_DESCRIPTORS.to_vec(),
        working_directory: "/".into(),
        paths: Vec::new(),
        network: Network::None,
        seccomp: policy,
        limits: ResourceLimits {
            open_files: 64,
            address_space: Some(256 << 20),
            // They can make no file; descriptor 2 may be one of any length.
            file_bytes: None,
            processes: None,
        },
        parent_death_signal: true,
        landlock: LANDLOCK,
    }
}

#[cfg(test)]
mod tests;
