//! The directories: whose they are and who may enter.

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
}

impl Wanted {
    /// The runtime directory: clients pass through it to the socket, applications to the pins.
    pub fn runtime() -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode: 0o755,
        }
    }

    /// A directory of one worker alone.
    pub fn private(owner: &Identity) -> Self {
        Self {
            uid: owner.uid,
            gid: owner.gid,
            mode: 0o700,
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
    if !created
        && stat.st_uid != wanted.uid
        && !(stat.st_uid == 0 && is_empty(&directory).map_err(refused())?)
    {
        return Err(PrepareError::Unfit {
            stage: STAGE,
            path: path.to_owned(),
            cause: format!("belongs to uid {}, not to uid {}", stat.st_uid, wanted.uid),
            remedy: format!(
                "give another directory, or this one to whom it must belong: chown -R {}:{} {}",
                wanted.uid,
                wanted.gid,
                path.display()
            ),
        });
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

fn is_empty(directory: &OwnedFd) -> Result<bool, rustix::io::Errno> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn somebody(uid: u32) -> Wanted {
        Wanted::private(&Identity {
            uid,
            gid: uid,
            groups: vec![],
        })
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
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
