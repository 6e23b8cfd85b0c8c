//! What the supervisor keeps.

use crate::prepare::notify::Notify;
use crate::prepare::workers::Settings;
use crate::spawner;
use crate::spawner::table::Entry;
use configuration::DEFAULT_FILE;
use ipc::role::Role;
use sandbox::seccomp::Policy;
use sandbox::{Access, EnterError, Identity, PathRule, Profile, WorkerArguments};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

const POLICY: &str = include_str!("../sandbox/seccomp.json");

/// The profile for this start; `kept` are the lock, the sockets of clients and the settings of the image worker.
pub(crate) fn supervisor(
    identity: &Identity,
    settings: &Settings,
    kept: &[&OwnedFd],
    spawner: &spawner::Handle,
    notify: &Notify,
    configuration: Option<&Path>,
) -> Result<Profile, EnterError> {
    let arguments = WorkerArguments {
        role: Role::Supervisor,
        identity: identity.clone(),
        generation: 1,
        ..settings.of(Entry::Api, 1)
    };
    let mut profile = sandbox::profiles::profile(&arguments, Policy::parse(POLICY)?);
    profile.descriptors = vec![0, 1, 2, spawner.socket.as_raw_fd()];
    profile
        .descriptors
        .extend(kept.iter().map(|kept| kept.as_raw_fd()));
    profile.descriptors.extend(notify.descriptor());
    // Sockets are made before; what remains is to look at the workers, and at the configuration when it has changed. The
    // rule is for its directory: a file that was written anew is another one.
    profile.paths = vec![PathRule::required("/proc", Access::Read)];
    let configuration = configuration.unwrap_or(Path::new(DEFAULT_FILE));
    profile.paths.extend(directory_of(configuration));
    // A daemon outlives the shell that started it.
    profile.parent_death_signal = false;
    Ok(profile)
}

/// Where the configuration file is. The whole file system is not such a place.
fn directory_of(file: &Path) -> Option<PathRule> {
    let directory = file.parent()?;
    directory
        .parent()
        .is_some()
        .then(|| PathRule::optional(directory, Access::Read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_of_the_file_is_readable() {
        let of = |file| directory_of(Path::new(file)).map(|rule| rule.path);
        assert_eq!(of("/etc/bpfman/bpfman.toml"), Some("/etc/bpfman".into()));
        assert_eq!(of("/bpfman.toml"), None);
        assert_eq!(of("/"), None);
    }
}
