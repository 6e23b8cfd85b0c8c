//! Opens a directory by walking its path from the root, never through a symbolic link, creating what is missing. As root,
//! a link that somebody else planted would decide what is created and whose it becomes.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

/// Mode of parents that are created: everybody may pass, nobody else may write.
const PARENT: Mode = Mode::from_raw_mode(0o755);

const WALK: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The directory, and whether it was created. What is created has mode 0755, whatever the umask, and belongs to root.
pub fn open_or_create(path: &Path) -> Result<(OwnedFd, bool), Errno> {
    let mut directory = rustix::fs::open("/", WALK, Mode::empty())?;
    let mut created = false;
    for component in path.components() {
        let name = match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        };
        created = false;
        directory = match rustix::fs::openat(&directory, name, WALK, Mode::empty()) {
            Err(Errno::NOENT) => {
                created = match rustix::fs::mkdirat(&directory, name, PARENT) {
                    Ok(()) => true,
                    // Another instance, preparing the same parents.
                    Err(Errno::EXIST) => false,
                    Err(error) => return Err(error),
                };
                let child = rustix::fs::openat(&directory, name, WALK, Mode::empty())?;
                if created {
                    rustix::fs::fchmod(&child, PARENT)?;
                }
                child
            }
            other => other?,
        };
    }
    Ok((directory, created))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn missing_parents_are_created() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c");
        assert!(open_or_create(&path).unwrap().1);
        assert!(!open_or_create(&path).unwrap().1);
        for part in ["a", "a/b", "a/b/c"] {
            let mode = std::fs::metadata(root.path().join(part))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o755, "{part}");
        }
    }

    #[test]
    fn no_symbolic_link_is_followed_at_any_place() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("real")).unwrap();
        symlink(root.path().join("real"), root.path().join("link")).unwrap();
        for path in ["link", "link/below"] {
            let error = open_or_create(&root.path().join(path)).unwrap_err();
            assert!(
                matches!(error, Errno::NOTDIR | Errno::LOOP),
                "{path}: {error}"
            );
        }
        assert_eq!(
            std::fs::read_dir(root.path().join("real")).unwrap().count(),
            0
        );
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        assert_eq!(
            open_or_create(&root.path().join("file/below")).unwrap_err(),
            Errno::NOTDIR
        );
    }
}
