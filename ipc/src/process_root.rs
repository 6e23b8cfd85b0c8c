//! Files as another process sees them, which may be a stranger's: in its mount namespace, from its root on, with no link that
//! leads out of there.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Where processes are found: on the host, and in a container that was given the host's.
const PROCESSES: [&str; 2] = ["/proc", "/host/proc"];

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Whether a path is that of the network namespace of a process, by its number. Looking there takes the same right as looking at
/// its root.
pub fn is_network_namespace(path: &str) -> bool {
    PROCESSES.iter().any(|processes| {
        let pid = path
            .strip_prefix(processes)
            .and_then(|rest| rest.strip_prefix('/')?.strip_suffix("/ns/net"));
        pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// The root directory of a process.
#[derive(Debug)]
pub struct ProcessRoot(OwnedFd);

impl ProcessRoot {
    /// That of the process with this id. It takes the right to look into the process: its user's with at least its
    /// capabilities, or CAP_SYS_PTRACE (`PTRACE_MODE_READ_FSCREDS`, ptrace(2)); and no Landlock domain of one's own, which
    /// forbids it whatever the capabilities.
    ///
    /// # Errors
    ///
    /// ENOENT without such a process, EACCES without that right.
    pub fn of(pid: i32) -> Result<Self, Errno> {
        let mut refusal = Errno::NOENT;
        for processes in PROCESSES {
            let path = format!("{processes}/{pid}/root");
            match rustix::fs::open(path, LOOK | OFlags::DIRECTORY, Mode::empty()) {
                Ok(directory) => return Ok(Self(directory)),
                // What a place without processes says is of less interest.
                Err(Errno::NOENT) => {}
                Err(errno) => refusal = errno,
            }
        }
        Err(refusal)
    }

    /// What has this path there, to look at (O_PATH). Links are followed as that process would follow them, but for those of
    /// /proc, which lead anywhere (ELOOP); openat2(2).
    ///
    /// # Errors
    ///
    /// Those of the kernel.
    pub fn look(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.0, path, LOOK, Mode::empty(), inside)
    }
}

impl From<OwnedFd> for ProcessRoot {
    /// A directory taken for such a root.
    fn from(directory: OwnedFd) -> Self {
        Self(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regular_file::{NotOpened, reopen};
    use rustix::fs::{CWD, FileType};
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;

    /// A root with a file, and links of all sorts; outside of it another file.
    fn hostile() -> (tempfile::TempDir, ProcessRoot) {
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
        let directory = OwnedFd::from(File::open(&root).unwrap());
        (outside, directory.into())
    }

    #[test]
    fn links_of_a_stranger_stay_inside() {
        let (_outside, root) = hostile();
        let look = |path: &str| root.look(Path::new(path));
        for path in ["/dir/file", "/to-file", "/up-to-file", "/../../dir/file"] {
            let mut text = String::new();
            let mut file = File::from(reopen(&look(path).unwrap()).unwrap());
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
            assert_eq!(look(path).unwrap_err(), Errno::NOENT, "{path}");
        }
        assert_eq!(look("/loop").unwrap_err(), Errno::LOOP);
        for (path, what) in [
            ("/dir", NotOpened::Directory),
            // A pipe that nobody writes to is not waited for, and not opened.
            ("/pipe", NotOpened::Irregular),
        ] {
            assert_eq!(reopen(&look(path).unwrap()).unwrap_err(), what, "{path}");
        }
    }

    #[test]
    fn magic_links_lead_nowhere() {
        let own = i32::try_from(std::process::id()).unwrap();
        let root = ProcessRoot::of(own).unwrap();
        assert!(root.look(Path::new("/etc/passwd")).is_ok());
        assert_eq!(
            root.look(Path::new("/proc/self/root/etc/passwd"))
                .unwrap_err(),
            Errno::LOOP
        );
    }

    #[test]
    fn namespaces_of_processes_are_told_from_other_paths() {
        for path in ["/proc/1/ns/net", "/host/proc/4711/ns/net"] {
            assert!(is_network_namespace(path), "{path}");
        }
        for path in [
            "/proc/self/ns/net",
            "/proc/1/ns/mnt",
            "/proc/1/root/ns/net",
            "/proc/1/ns/net/",
            "/proc//ns/net",
            "/proc/1/../1/ns/net",
            "/run/netns/blue",
            "/tmp/proc/1/ns/net",
        ] {
            assert!(!is_network_namespace(path), "{path}");
        }
    }

    #[test]
    fn processes_that_are_not_there() {
        // Pids end at 2^22.
        assert_eq!(ProcessRoot::of(i32::MAX).unwrap_err(), Errno::NOENT);
    }
}
