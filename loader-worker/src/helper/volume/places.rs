//! Where volumes are: directories that are opened name by name, without following a link, from two that `bpfmand` has named.

use super::mounts;
use super::undo::Undo;
use crate::kernel::Error;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags, chmodat, openat, statx};
use rustix::io::Errno;
use sandbox::WorkerArguments;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// The pod's own directory: everybody may pass, the file system that is mounted on it decides.
pub(super) const TARGET_MODE: Mode = Mode::from_raw_mode(0o755);
/// Under the id of the volume.
pub(super) const VOLUME_MODE: Mode = Mode::from_raw_mode(0o750);

/// Opens a directory to go on from; nothing of it can be read.
const PASS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The same, for a name that must be no link.
const STEP: OFlags = PASS.union(OFlags::NOFOLLOW);

/// The two directories beneath which anything is mounted.
pub(crate) struct Roots {
    volumes: Rc<OwnedFd>,
    kubelet: Rc<OwnedFd>,
    kubelet_path: PathBuf,
}

/// One name in a directory.
pub(super) struct Place {
    parent: Rc<OwnedFd>,
    name: OsString,
}

/// What has the name.
pub(super) enum Entry {
    Nothing,
    Directory,
    Mount(Mount),
}

/// A file system that is mounted there.
pub(super) struct Mount {
    pub(super) root: OwnedFd,
    pub(super) device: (u32, u32),
    pub(super) is_bpffs: bool,
}

impl Roots {
    /// As the arguments of this process say.
    pub(crate) fn open(arguments: &WorkerArguments) -> Result<Self, Failure> {
        let kubelet = arguments.kubelet_dir.as_ref().ok_or_else(|| {
            Failure::new(
                FailureCode::FailedPrecondition,
                Stage::Resolve,
                "this service serves no volumes of pods",
            )
            .remedy("start it with --csi-support, or set csi.enabled in the configuration")
        })?;
        Self::at(&arguments.runtime_dir.join("csi/fs"), kubelet)
    }

    fn at(volumes: &Path, kubelet: &Path) -> Result<Self, Failure> {
        let open = |path: &Path| {
            openat(CWD, path, PASS, Mode::empty())
                .map(Rc::new)
                .map_err(|errno| failed("open", errno, path.display()))
        };
        Ok(Self {
            volumes: open(volumes)?,
            kubelet: open(kubelet)?,
            kubelet_path: kubelet.to_owned(),
        })
    }

    /// Where a volume is under its id.
    pub(super) fn volume(&self, id: &str) -> Result<Place, Failure> {
        let mut names = Path::new(id).components();
        match (names.next(), names.next()) {
            (Some(Component::Normal(name)), None) if name == OsStr::new(id) => Ok(Place {
                parent: Rc::clone(&self.volumes),
                name: name.to_owned(),
            }),
            _ => Err(Failure::new(
                FailureCode::InvalidArgument,
                Stage::Resolve,
                format!("{id:?} is no id of a volume"),
            )),
        }
    }

    /// The id of the volume whose file system this is.
    pub(super) fn owner(&self, mount: &Mount) -> Result<Option<OsString>, Failure> {
        for name in mounts::entries(&self.volumes)? {
            let place = Place {
                parent: Rc::clone(&self.volumes),
                name,
            };
            if matches!(place.look()?, Entry::Mount(known) if known.device == mount.device) {
                return Ok(Some(place.name));
            }
        }
        Ok(None)
    }

    /// Where the pod sees it; `None` when a directory on the way is not there.
    pub(super) fn target(&self, target: &Path) -> Result<Option<Place>, Failure> {
        let outside = || {
            let cause = format!(
                "target {} is not beneath {}",
                target.display(),
                self.kubelet_path.display()
            );
            Failure::new(FailureCode::InvalidArgument, Stage::Resolve, cause)
                .remedy("if that is not the directory of the kubelet, name it as csi.kubelet_dir")
        };
        let beneath = target
            .strip_prefix(&self.kubelet_path)
            .map_err(|_| outside())?;
        let names: Option<Vec<&OsStr>> = beneath
            .components()
            .map(|part| match part {
                Component::Normal(name) => Some(name),
                _ => None,
            })
            .collect();
        let names = names.ok_or_else(outside)?;
        let (name, parents) = names.split_last().ok_or_else(outside)?;
        let mut parent = Rc::clone(&self.kubelet);
        for name in parents {
            parent = match openat(&parent, *name, STEP, Mode::empty()) {
                Ok(child) => Rc::new(child),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(failed("openat", errno, target.display())),
            };
        }
        Ok(Some(Place {
            parent,
            name: (*name).to_owned(),
        }))
    }
}

impl Place {
    /// What is there.
    pub(super) fn look(&self) -> Result<Entry, Failure> {
        let found = match openat(&self.parent, &self.name, STEP, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(Entry::Nothing),
            Err(errno) => return Err(self.failed("openat", errno)),
        };
        let status = statx(&found, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(|errno| self.failed("statx", errno))?;
        if !status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Ok(Entry::Directory);
        }
        Ok(Entry::Mount(Mount {
            device: (status.stx_dev_major, status.stx_dev_minor),
            is_bpffs: mounts::is_bpffs(&found).map_err(|errno| self.failed("fstatfs", errno))?,
            root: found,
        }))
    }

    /// The directory, made if it is not there.
    pub(super) fn directory<'a>(
        &'a self,
        mode: Mode,
        undo: &mut Undo<'a>,
    ) -> Result<OwnedFd, Failure> {
        match rustix::fs::mkdirat(&self.parent, &self.name, mode) {
            Ok(()) => {
                undo.later(|| self.remove());
                // Whatever the umask.
                chmodat(&self.parent, &self.name, mode, AtFlags::empty())
                    .map_err(|errno| self.failed("fchmodat", errno))?;
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(self.failed("mkdirat", errno)),
        }
        openat(&self.parent, &self.name, STEP, Mode::empty())
            .map_err(|errno| self.failed("openat", errno))
    }

    /// Removes the directory.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        match rustix::fs::unlinkat(self.parent.as_fd(), &self.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("unlinkat", errno)),
        }
    }

    fn failed(&self, call: &'static str, errno: Errno) -> Failure {
        failed(call, errno, self.name.display())
    }
}

fn failed(call: &'static str, errno: Errno, what: impl std::fmt::Display) -> Failure {
    let error = Error::new(call, errno);
    let text = format!("{what}: {error}");
    let failure = error.into_failure(Stage::Resolve, what);
    match errno {
        // Also what a link says that must not be followed.
        Errno::NOTDIR | Errno::LOOP => Failure::new(FailureCode::Internal, Stage::Resolve, text)
            .remedy("it must be a directory, reached without symbolic links"),
        // Not a volume that is there already.
        Errno::EXIST | Errno::NOTEMPTY => Failure::new(FailureCode::Internal, Stage::Resolve, text),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(directory: &Path) -> Roots {
        std::fs::create_dir_all(directory.join("volumes")).unwrap();
        std::fs::create_dir_all(directory.join("kubelet/pods/a")).unwrap();
        Roots::at(&directory.join("volumes"), &directory.join("kubelet")).unwrap()
    }

    #[test]
    fn targets_are_beneath_the_directory_of_the_kubelet() {
        let directory = tempfile::tempdir().unwrap();
        let roots = roots(directory.path());
        let kubelet = directory.path().join("kubelet");
        assert!(
            roots
                .target(&kubelet.join("pods/a/mount"))
                .unwrap()
                .is_some()
        );
        assert!(
            roots
                .target(&kubelet.join("pods/b/mount"))
                .unwrap()
                .is_none()
        );
        for outside in [
            kubelet.clone(),
            kubelet.join("../volumes"),
            directory.path().join("kubelet2/a"),
            "/etc".into(),
        ] {
            let failure = roots.target(&outside).map(|_| ()).unwrap_err();
            assert_eq!(failure.code, FailureCode::InvalidArgument, "{outside:?}");
        }
    }

    #[test]
    fn no_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let roots = roots(directory.path());
        let kubelet = directory.path().join("kubelet");
        std::os::unix::fs::symlink("/etc", kubelet.join("pods/link")).unwrap();
        assert!(roots.target(&kubelet.join("pods/link/x")).is_err());
        let itself = roots.target(&kubelet.join("pods/link")).unwrap().unwrap();
        assert!(itself.look().is_err());
    }

    #[test]
    fn a_volume_is_one_name() {
        let directory = tempfile::tempdir().unwrap();
        let roots = roots(directory.path());
        assert!(roots.volume("csi-1").is_ok());
        for wrong in ["", ".", "..", "a/b", "/a", "a/"] {
            assert!(roots.volume(wrong).is_err(), "{wrong}");
        }
    }
}
