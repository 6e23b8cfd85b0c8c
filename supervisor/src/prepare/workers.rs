//! The worker binaries, opened once, and the settings that each is started with.

use super::PrepareError;
use super::flags::Flags;
use super::users::Users;
use crate::spawner::table::Entry;
use crate::spawner::{Program, Programs};
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use sandbox::{Identity, WorkerArguments};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const STAGE: &str = "workers";

/// Where packages install the workers.
const INSTALLED: &str = "/usr/libexec/bpfman";

/// Settings of every row, in the order of [`Entry::ALL`]; the generation is filled in by each start.
#[derive(Clone, Debug)]
pub struct Settings([WorkerArguments; Entry::ALL.len()]);

impl Settings {
    /// What follows from flags and users.
    pub fn new(flags: &Flags, users: &Users, log: &str, trust_dir: Option<&Path>) -> Self {
        Self(Entry::ALL.map(|entry| {
            let (role, helper, identity) = match entry {
                Entry::Loader => (Role::Loader, None, &users.loader),
                Entry::Image => (Role::Image, None, &users.image),
                Entry::Api => (Role::Api, None, &users.api),
                // Root without root's capabilities: tracefs lets only its owner in.
                Entry::HelperPerf => (Role::Helper, Some(HelperKind::PerfEvent), &ROOT),
                // Root without root's capabilities: libxdp's pins let only their owner in.
                Entry::HelperXdp => (Role::Helper, Some(HelperKind::DescribeXdp), &ROOT),
                Entry::HelperLibxdp => (Role::Helper, Some(HelperKind::Libxdp), &ROOT),
                Entry::HelperGroup => (Role::Helper, Some(HelperKind::ChangeGroup), &users.loader),
                Entry::HelperNetns => (
                    Role::Helper,
                    Some(HelperKind::NetworkNamespace),
                    &users.loader,
                ),
                // Until it becomes the client.
                Entry::HelperOpen => (Role::Helper, Some(HelperKind::OpenPath), &users.loader),
                Entry::HelperContainer => (
                    Role::Helper,
                    Some(HelperKind::OpenInContainer),
                    &users.loader,
                ),
                // Root without root's capabilities: the kubelet's directories let only their owner in.
                Entry::HelperMount => (Role::Helper, Some(HelperKind::MountVolume), &ROOT),
            };
            WorkerArguments {
                role,
                helper,
                identity: identity.clone(),
                client_gid: users.client_gid,
                generation: 0,
                mode: flags.sandbox,
                runtime_dir: flags.runtime_dir.clone(),
                state_dir: flags.state_dir(),
                cache_dir: flags.image_cache_dir(),
                log: log.to_owned(),
                kubelet_dir: None,
                read: match entry {
                    Entry::Image => trust_dir.map(Path::to_owned).into_iter().collect(),
                    _ => Vec::new(),
                },
            }
        }))
    }

    /// The same, with volumes in directories of pods beneath this one.
    #[must_use]
    pub fn with_kubelet_dir(mut self, kubelet_dir: PathBuf) -> Self {
        self.0[usize::from(Entry::HelperMount.byte())].kubelet_dir = Some(kubelet_dir);
        self
    }

    /// The settings of a row for a generation.
    pub fn of(&self, entry: Entry, generation: u32) -> WorkerArguments {
        WorkerArguments {
            generation,
            ..self.0[usize::from(entry.byte())].clone()
        }
    }
}

const ROOT: Identity = Identity {
    uid: 0,
    gid: 0,
    groups: Vec::new(),
};

/// Opens the binaries.
pub fn open(named: Option<&Path>, settings: &Settings) -> Result<Programs, PrepareError> {
    let directory = directory(named);
    check_directory(&directory)?;
    let mut programs = Vec::new();
    for entry in Entry::ALL {
        let settings = settings.clone();
        programs.push(Program {
            file: open_binary(&directory.join(entry.binary()))?,
            arguments: Box::new(move |generation| argv(&settings.of(entry, generation), entry)),
        });
    }
    match programs.try_into() {
        Ok(programs) => Ok(programs),
        // As many were pushed as the table has rows.
        Err(_) => unreachable!("one program per row"),
    }
}

fn directory(named: Option<&Path>) -> PathBuf {
    if let Some(named) = named {
        return named.to_owned();
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| own.parent().map(Path::to_owned));
    match beside {
        Some(beside) if beside.join(Entry::Loader.binary()).exists() => beside,
        _ => PathBuf::from(INSTALLED),
    }
}

fn open_binary(path: &Path) -> Result<OwnedFd, PrepareError> {
    let failed = || {
        PrepareError::path(
            STAGE,
            path,
            "install all binaries of bpfman in one directory, or name it with --worker-dir",
        )
    };
    let file =
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed())?;
    let stat = rustix::fs::fstat(&file).map_err(failed())?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_mode & 0o111 == 0 {
        return Err(PrepareError::Unfit {
            stage: STAGE,
            path: path.to_owned(),
            cause: "is no executable file".to_owned(),
            remedy: "install the worker there".to_owned(),
        });
    }
    check_writers(STAGE, path, &stat)?;
    Ok(file)
}

/// Whoever may write to the directory decides which file has the name of a worker.
fn check_directory(path: &Path) -> Result<(), PrepareError> {
    let stat = rustix::fs::stat(path).map_err(PrepareError::path(
        STAGE,
        path,
        "name the directory of the workers with --worker-dir",
    ))?;
    check_writers(STAGE, path, &stat)
}

/// What is started with CAP_BPF, and who is trusted, must not be what anybody but root puts there.
pub(super) fn check_writers(
    stage: &'static str,
    path: &Path,
    stat: &Stat,
) -> Result<(), PrepareError> {
    let own = rustix::process::geteuid().as_raw();
    let unfit = |cause: String, remedy: String| {
        Err(PrepareError::Unfit {
            stage,
            path: path.to_owned(),
            cause,
            remedy,
        })
    };
    if ![0, own].contains(&stat.st_uid) {
        return unfit(
            format!(
                "belongs to uid {}, who may change what is in it",
                stat.st_uid
            ),
            format!("install it as root, or chown root {}", path.display()),
        );
    }
    if stat.st_mode & 0o022 != 0 {
        return unfit(
            format!(
                "may be written by others (mode {:04o})",
                stat.st_mode & 0o7777
            ),
            format!("chmod go-w {}", path.display()),
        );
    }
    Ok(())
}

/// Strings with a NUL inside cannot come from a command line, from passwd or from a checked log specification.
fn argv(settings: &WorkerArguments, entry: Entry) -> Vec<CString> {
    std::iter::once(entry.binary().into())
        .chain(settings.to_argv())
        .filter_map(|argument| CString::new(argument.into_vec()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::is_root;
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    fn settings() -> Settings {
        let flags = Flags::read(&["bpfmand", "--runtime-dir", "/run/a b"].map(Into::into)).unwrap();
        let users = Users::from_files("root:x:0:0:::\n", "", false).unwrap();
        Settings::new(&flags, &users, "info", None)
    }

    #[test]
    fn a_worker_parses_back_the_settings_of_its_row() {
        for entry in Entry::ALL {
            let arguments = argv(&settings().of(entry, 7), entry);
            assert_eq!(arguments[0].to_bytes(), entry.binary().as_bytes());
            let parsed = arguments[1..]
                .iter()
                .map(|argument| OsString::from(OsStr::from_bytes(argument.to_bytes())));
            assert_eq!(
                WorkerArguments::parse(parsed).unwrap(),
                settings().of(entry, 7)
            );
        }
    }

    #[test]
    fn only_helpers_that_open_what_root_keeps_to_itself_are_root() {
        for entry in Entry::ALL {
            let uid = settings().of(entry, 1).identity.uid;
            let is_root = [
                Entry::HelperPerf,
                Entry::HelperXdp,
                Entry::HelperMount,
                Entry::HelperLibxdp,
            ]
            .contains(&entry);
            assert_eq!(uid == 0, is_root, "{entry:?}");
        }
    }

    #[test]
    fn a_binary_that_is_missing_or_that_others_may_change_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = open(Some(directory.path()), &settings())
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("bpfman-loader") && error.contains("--worker-dir"),
            "{error}"
        );
        let path = directory.path().join("bpfman-loader");
        std::fs::write(&path, "").unwrap();
        for (mode, accepted) in [
            (0o644, false),
            (0o757, false),
            (0o775, false),
            (0o755, true),
            (0o711, true),
        ] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(open_binary(&path).is_ok(), accepted, "{mode:o}");
        }
        assert!(open_binary(directory.path()).is_err());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (mode, accepted) in [
            (0o777, false),
            (0o1777, false),
            (0o775, false),
            (0o755, true),
        ] {
            std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(
                check_directory(directory.path()).is_ok(),
                accepted,
                "{mode:o}"
            );
        }
        let error = check_directory(&directory.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("--worker-dir"), "{error}");
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bpfman-loader");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(open_binary(&path).is_ok());
        std::os::unix::fs::chown(&path, Some(61190), None).unwrap();
        let error = open_binary(&path).unwrap_err().to_string();
        assert!(
            error.contains("uid 61190") && error.contains("chown root"),
            "{error}"
        );
        std::os::unix::fs::chown(directory.path(), Some(61190), None).unwrap();
        assert!(check_directory(directory.path()).is_err());
    }
}
