//! The directories: whose they are and who may enter.
//!
//! A directory that holds something is somebody's already. It is used as it is or refused: a mistyped path must not close
//! /var/tmp to everybody else. Only what this program has made itself, and nobody else could write to, gets its mode back.

use super::{PrepareError, walk};
use rustix::fs::{Gid, Mode, Uid};
use sandbox::Identity;
use std::os::fd::OwnedFd;
use std::path::Path;

const STAGE: &str = "directories";

/// Whose a directory is, and its mode.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    uid: u32,
    gid: u32,
    mode: u32,
    /// Names of entries by which it is known to be ours.
    known: &'static [&'static str],
}

impl Wanted {
    /// The runtime directory: clients pass through it to the socket, applications to the pins.
    pub fn runtime() -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode: 0o755,
            known: &[super::lock::FILE],
        }
    }

    /// The loader's own.
    pub fn state(owner: &Identity) -> Self {
        Self {
            uid: owner.uid,
            gid: owner.gid,
            mode: 0o700,
            known: &["store", "plans"],
        }
    }

    /// The image worker's own.
    pub fn cache(owner: &Identity) -> Self {
        Self {
            known: &[],
            ..Self::state(owner)
        }
    }
}

/// Refuses paths that would make one directory serve two owners.
pub fn check_distinct(paths: [&Path; 3]) -> Result<(), PrepareError> {
    for (position, path) in paths.iter().enumerate() {
        if paths[..position].contains(path) {
            return Err(PrepareError::Unfit {
                stage: STAGE,
                path: path.to_path_buf(),
                cause: "is given for two purposes, which have different owners".to_owned(),
                remedy: "give different --runtime-dir, --state-dir and --image-cache-dir"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// Opens a directory, creates it when it is missing, and makes sure of its owner and mode.
pub fn prepare(path: &Path, wanted: Wanted) -> Result<OwnedFd, PrepareError> {
    let (directory, created) = walk::open_or_create(path).map_err(PrepareError::path(
        STAGE,
        path,
        "give a path on a writable file system, without symbolic links, to a directory",
    ))?;
    let refused = || {
        PrepareError::path(
            STAGE,
            path,
            "give a directory on a file system that has owners and modes",
        )
    };
    let stat = rustix::fs::fstat(&directory).map_err(refused())?;
    let contents = Contents::of(&directory, wanted.known).map_err(refused())?;
    let unfit = |cause: String, remedy: String| {
        Err(PrepareError::Unfit {
            stage: STAGE,
            path: path.to_owned(),
            cause,
            remedy,
        })
    };
    if !created && stat.st_uid != wanted.uid && !(stat.st_uid == 0 && contents.is_empty) {
        return unfit(
            format!("belongs to uid {}, not to uid {}", stat.st_uid, wanted.uid),
            format!(
                "give another directory, or this one to whom it must belong: chown -R {}:{} {}",
                wanted.uid,
                wanted.gid,
                path.display()
            ),
        );
    }
    let mode = stat.st_mode & 0o7777;
    // Where others may write, a name says nothing.
    let others_write = mode & 0o022 != 0;
    if !contents.is_empty
        && (mode, stat.st_gid) != (wanted.mode, wanted.gid)
        && (others_write || !contents.is_known)
    {
        return unfit(
            format!(
                "holds files, and has mode {mode:04o} and group {} instead of {:04o} and {}",
                stat.st_gid, wanted.mode, wanted.gid
            ),
            format!(
                "give a directory for bpfman alone, or, if this one is: chown {}:{} {path} && chmod {:04o} {path}",
                wanted.uid,
                wanted.gid,
                wanted.mode,
                path = path.display()
            ),
        );
    }
    rustix::fs::fchown(
        &directory,
        Some(Uid::from_raw(wanted.uid)),
        Some(Gid::from_raw(wanted.gid)),
    )
    .map_err(refused())?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(wanted.mode)).map_err(refused())?;
    Ok(directory)
}

/// What a directory holds.
struct Contents {
    is_empty: bool,
    /// Something that an earlier start has made.
    is_known: bool,
}

impl Contents {
    fn of(directory: &OwnedFd, known: &[&str]) -> Result<Self, rustix::io::Errno> {
        let mut contents = Self {
            is_empty: true,
            is_known: false,
        };
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                contents.is_empty = false;
                contents.is_known |= known.iter().any(|known| known.as_bytes() == name);
            }
        }
        Ok(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::is_root;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    fn somebody(uid: u32) -> Wanted {
        Wanted::state(&Identity {
            uid,
            gid: uid,
            groups: vec![],
        })
    }

    #[test]
    fn a_directory_gets_its_owner_and_mode_and_keeps_them() {
        if !is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        for _ in 0..2 {
            prepare(&path, somebody(61190)).unwrap();
            let metadata = std::fs::metadata(&path).unwrap();
            assert_eq!(
                (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
                (61190, 61190, 0o700)
            );
            std::fs::write(path.join("file"), "").unwrap();
        }
    }

    #[test]
    fn an_empty_directory_of_root_is_handed_over_and_a_used_one_is_not() {
        if !is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        let error = prepare(&path, somebody(61190)).unwrap_err().to_string();
        assert!(error.contains("chown -R 61190:61190"), "{error}");
        std::fs::remove_file(path.join("file")).unwrap();
        prepare(&path, somebody(61190)).unwrap();
    }

    #[test]
    fn a_used_directory_of_another_mode_is_left_alone() {
        if !is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("shared");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("file"), "").unwrap();
        for mode in [0o1777, 0o2775, 0o700] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = prepare(&path, Wanted::runtime()).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:04o}")), "{error}");
            assert!(error.contains("chmod 0755"), "{error}");
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        prepare(&path, Wanted::runtime()).unwrap();
        // The same with somebody else's group.
        std::os::unix::fs::chown(&path, None, Some(61190)).unwrap();
        prepare(&path, Wanted::runtime()).unwrap_err();
        assert_eq!(std::fs::metadata(&path).unwrap().gid(), 61190);
    }

    #[test]
    fn an_own_directory_gets_its_mode_back_unless_others_could_write_to_it() {
        if !is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        prepare(&path, Wanted::runtime()).unwrap();
        std::fs::write(path.join(".lock"), "").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o711)).unwrap();
        prepare(&path, Wanted::runtime()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o755);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o1777)).unwrap();
        prepare(&path, Wanted::runtime()).unwrap_err();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o1777);
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused() {
        if !is_root() {
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        prepare(&path, somebody(61190)).unwrap();
        assert!(prepare(&path, Wanted::runtime()).is_err());
        assert!(prepare(&path, somebody(61191)).is_err());
    }

    #[test]
    fn one_directory_does_not_serve_two_purposes() {
        let [a, b, c] = ["/a", "/b", "/c"].map(Path::new);
        assert!(check_distinct([a, b, c]).is_ok());
        assert!(check_distinct([a, b, b]).is_err());
        assert!(check_distinct([a, b, a]).is_err());
    }
}
