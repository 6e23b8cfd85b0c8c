//! What the supervisor keeps.

use crate::prepare::notify::Notify;
use crate::prepare::workers::Settings;
use crate::spawner;
use crate::spawner::table::Entry;
use ipc::role::Role;
use sandbox::seccomp::Policy;
use sandbox::{Access, EnterError, Identity, PathRule, Profile, WorkerArguments};
use std::os::fd::{AsRawFd, OwnedFd};

const POLICY: &str = include_str!("../sandbox/seccomp.json");

/// The profile for this start.
pub(crate) fn supervisor(
    identity: &Identity,
    settings: &Settings,
    lock: &OwnedFd,
    spawner: &spawner::Handle,
    listener: &OwnedFd,
    notify: &Notify,
    image_settings: &OwnedFd,
) -> Result<Profile, EnterError> {
    let arguments = WorkerArguments {
        role: Role::Supervisor,
        identity: identity.clone(),
        generation: 1,
        ..settings.of(Entry::Api, 1)
    };
    let mut profile = sandbox::profiles::profile(&arguments, Policy::parse(POLICY)?);
    profile.descriptors = vec![
        0,
        1,
        2,
        lock.as_raw_fd(),
        spawner.socket.as_raw_fd(),
        listener.as_raw_fd(),
        image_settings.as_raw_fd(),
    ];
    profile.descriptors.extend(notify.descriptor());
    // Configuration is read and sockets are made before; what remains is to look at the workers.
    profile.paths = vec![PathRule::required("/proc", Access::Read)];
    // A daemon outlives the shell that started it.
    profile.parent_death_signal = false;
    Ok(profile)
}
