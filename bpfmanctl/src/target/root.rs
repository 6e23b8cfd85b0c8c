//! Where absolute paths begin: in this process's root, or in that of another process, whose files may be a stranger's.

use crate::object::{OpenError, open_regular, require_regular};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Where processes are found: on the host, and in a container that was given the host's.
const PROCESSES: [&str; 2] = ["/proc", "/host/proc"];

/// Where paths begin.
#[derive(Debug)]
pub(super) enum Root {
    /// As for any program of the user.
    Own,
    /// As for another process.
    Of {
        /// The process.
        pid: i32,
        /// Its root.
        directory: OwnedFd,
    },
}

impl Root {
    /// The root of a process, in its mount namespace. It takes the right to look into the process: its user's, or
    /// CAP_SYS_PTRACE.
    pub(super) fn of(pid: i32) -> Result<Self, io::Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut refusal = Errno::NOENT;
        for processes in PROCESSES {
            let path = format!("{processes}/{pid}/root");
            match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(directory) => return Ok(Root::Of { pid, directory }),
                // What a place without processes says is of less interest.
                Err(Errno::NOENT) => {}
                Err(errno) => refusal = errno,
            }
        }
        Err(refusal.into())
    }

    /// Opens a regular file for reading. In another process's root no link leads out of it, and nothing but a regular file is
    /// opened.
    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd, OpenError> {
        let Root::Of { directory, .. } = self else {
            return open_regular(path);
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let seen = rustix::fs::openat2(directory, path, flags, Mode::empty(), inside)
            .map_err(OpenError::from)?;
        require_regular(&seen)?;
        // The same file, whatever has the path now.
        let same = format!("/proc/self/fd/{}", seen.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(same, flags, Mode::empty()).map_err(OpenError::Other)
    }
}

/// What is added to a path of another process.
impl fmt::Display for Root {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Own => Ok(()),
            Root::Of { pid, .. } => write!(formatter, " among the files of process {pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType};
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;

    /// A root with a file, and links of all sorts; outside of it another file.
    fn hostile() -> (tempfile::TempDir, Root) {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        let secret = outside.path().join("secret");
        fs::write(&secret, "outside").unwrap();
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(root.join("dir/file"), "inside").unwrap();
        for (link, to) in [
            ("to-file", "/dir/file"),
            ("up-to-file", "../../../../dir/file"),
            ("up", "../secret"),
            ("far-up", "../../../../../../../../../../etc/passwd"),
            ("absolute", secret.to_str().unwrap()),
            ("loop", "loop"),
            ("magic", "/proc/self/root"),
        ] {
            symlink(to, root.join(link)).unwrap();
        }
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, mode, 0).unwrap();
        let directory = File::open(&root).unwrap().into();
        (outside, Root::Of { pid: 7, directory })
    }

    #[test]
    fn links_of_a_stranger_stay_inside() {
        let (_outside, root) = hostile();
        for path in ["/dir/file", "/to-file", "/up-to-file", "/../../dir/file"] {
            let mut text = String::new();
            let mut file = File::from(root.open(Path::new(path)).unwrap());
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, "inside", "{path}");
        }
        for path in [
            "/up",
            "/far-up",
            "/absolute",
            "/magic",
            "/secret",
            "/../secret",
            "/missing",
        ] {
            let error = root.open(Path::new(path)).unwrap_err();
            assert_eq!(error, OpenError::Missing, "{path}");
        }
        let error = root.open(Path::new("/loop")).unwrap_err();
        assert_eq!(error, OpenError::Other(Errno::LOOP));
        assert_eq!(
            root.open(Path::new("/dir")).unwrap_err(),
            OpenError::Directory
        );
        // A pipe that nobody writes to is not waited for, and not opened.
        assert_eq!(
            root.open(Path::new("/pipe")).unwrap_err(),
            OpenError::Irregular
        );
    }

    #[test]
    fn magic_links_lead_nowhere() {
        let own = i32::try_from(std::process::id()).unwrap();
        let root = Root::of(own).unwrap();
        assert!(root.open(Path::new("/etc/passwd")).is_ok());
        let error = root
            .open(Path::new("/proc/self/root/etc/passwd"))
            .unwrap_err();
        assert_eq!(error, OpenError::Other(Errno::LOOP));
    }

    #[test]
    fn processes_that_are_not_there() {
        // Pids end at 2^22.
        let error = Root::of(i32::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
