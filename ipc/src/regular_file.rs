//! A regular file behind a descriptor that was opened only to look at it (O_PATH). What else may be there is never opened:
//! opening a pipe waits, and opening a device may do anything.

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Why there is no such file to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotOpened {
    /// It is a directory.
    Directory,
    /// It is a device, pipe or socket.
    Irregular,
    /// The kernel refuses.
    Refused(Errno),
}

/// Opens for reading what was looked at: the same file, whatever has its path now. Needs /proc.
///
/// # Errors
///
/// When it is no regular file, or may not be read.
pub fn reopen(seen: &OwnedFd) -> Result<OwnedFd, NotOpened> {
    let mode = fstat(seen).map_err(NotOpened::Refused)?.st_mode;
    match FileType::from_raw_mode(mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(NotOpened::Directory),
        _ => return Err(NotOpened::Irregular),
    }
    let same = format!("/proc/self/fd/{}", seen.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(same, flags, Mode::empty()).map_err(NotOpened::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn open(path: &Path) -> Result<OwnedFd, NotOpened> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        reopen(&rustix::fs::open(path, flags, Mode::empty()).unwrap())
    }

    #[test]
    fn nothing_else_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        // A pipe that nobody writes to would wait for ever.
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        assert!(open(&path("file")).is_ok());
        assert_eq!(open(&path("pipe")).unwrap_err(), NotOpened::Irregular);
        assert_eq!(
            open(Path::new("/dev/null")).unwrap_err(),
            NotOpened::Irregular
        );
        assert_eq!(open(directory.path()).unwrap_err(), NotOpened::Directory);
    }
}
