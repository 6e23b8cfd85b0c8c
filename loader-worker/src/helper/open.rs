//! Opening a path as a client would that could pass no descriptor.
//!
//! The path is looked up in the service's own root, or among the files of a process, by the rights of the client's user and
//! groups and none of its capabilities: whoever is root there is asked by modes like anybody else.

use crate::kernel::Error;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::HelperJob;
use ipc::process_root::{ProcessRoot, is_network_namespace};
use ipc::regular_file::{NotOpened, reopen};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use std::os::fd::OwnedFd;
use std::path::Path;

/// What to do about a process that may not be looked into.
const LOOKING: &str = "ask as root, or as the user of the process if that has no capability; security modules of the kernel \
                       may forbid it, too";

/// Does the job of either helper that opens paths; `None` when it is for another.
pub(super) fn perform(
    job: &HelperJob,
    is_for_containers: bool,
) -> Option<Result<OwnedFd, Failure>> {
    let HelperJob::OpenPath {
        path,
        container_pid,
        uid,
        gid,
        groups,
    } = job
    else {
        return None;
    };
    let is_fit = match container_pid {
        Some(_) => is_for_containers,
        None => is_for_containers == is_network_namespace(path),
    };
    is_fit.then(|| {
        become_client(*uid, *gid, groups)?;
        let wanted = match container_pid {
            Some(pid) => Wanted::of(*pid, path, *uid)?,
            None => Wanted::own(path, *uid),
        };
        wanted.open()
    })
}

/// Makes this thread the client, for ever: its user, its groups, no capability but the one to look into processes, where it has
/// that. Nobody but root is lent it: others may look into their own processes.
fn become_client(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Failure> {
    // -1 means "leave it as it is".
    if uid == u32::MAX || gid == u32::MAX || groups.contains(&u32::MAX) {
        let cause = "the client has no user or group that could be taken on";
        return Err(failure(FailureCode::PermissionDenied, cause.to_owned()));
    }
    take_on(uid, gid, groups).map_err(|errno| {
        Error::new("setresuid", errno).into_failure(
            Stage::Object,
            format!("taking on the identity of uid {uid}"),
        )
    })
}

#[allow(clippy::disallowed_methods, reason = "this is the one-shot helper")]
fn take_on(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Errno> {
    let lent = match uid {
        0 => capabilities(None)?.permitted & CapabilitySet::SYS_PTRACE,
        _ => CapabilitySet::empty(),
    };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let groups: Vec<Gid> = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    // The secure bits keep the kernel from doing it.
    keep(lent)?;
    let sorted = |mut groups: Vec<Gid>| {
        groups.sort_unstable_by_key(|gid| gid.as_raw());
        groups
    };
    let is_client = (geteuid(), getegid()) == (uid, gid) && sorted(getgroups()?) == sorted(groups);
    if is_client { Ok(()) } else { Err(Errno::PERM) }
}

/// Has these capabilities and no others, and reads that back.
fn keep(lent: CapabilitySet) -> Result<(), Errno> {
    let sets = CapabilitySets {
        effective: lent,
        permitted: lent,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    if capabilities(None)? == sets {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

fn keep_nothing() -> Result<(), Failure> {
    keep(CapabilitySet::empty()).map_err(|errno| {
        Error::new("capset", errno).into_failure(Stage::Object, "giving up CAP_SYS_PTRACE")
    })
}

/// A path of a client, and where it begins.
struct Wanted<'a> {
    path: &'a str,
    /// Whose rights count.
    uid: u32,
    process: Option<(i32, ProcessRoot)>,
}

impl<'a> Wanted<'a> {
    fn own(path: &'a str, uid: u32) -> Self {
        Self {
            path,
            uid,
            process: None,
        }
    }

    /// Finds the root of the process, and gives up the capability for that before it looks at a path.
    fn of(pid: i32, path: &'a str, uid: u32) -> Result<Self, Failure> {
        let root = ProcessRoot::of(pid).map_err(|errno| unseen(errno, pid, uid))?;
        keep_nothing()?;
        let process = Some((pid, root));
        Ok(Self { path, uid, process })
    }

    /// Opens a regular file for reading. Who was lent a capability has it to look at the path only where that is the namespace of
    /// a process.
    fn open(&self) -> Result<OwnedFd, Failure> {
        let seen = match &self.process {
            Some((_, root)) => root.look(Path::new(self.path)),
            None => rustix::fs::open(self.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
        };
        let seen = seen.map_err(|errno| self.refused(errno))?;
        keep_nothing()?;
        let what = match reopen(&seen) {
            Ok(file) => return Ok(file),
            Err(NotOpened::Refused(errno)) => return Err(self.refused(errno)),
            Err(NotOpened::Directory) => "a directory",
            Err(NotOpened::Irregular) => "not a regular file",
        };
        let failure = failure(
            FailureCode::InvalidArgument,
            format!("{} is {what}", self.name()),
        );
        Err(failure.remedy("name a regular file"))
    }

    fn refused(&self, errno: Errno) -> Failure {
        let name = self.name();
        match errno {
            Errno::NOENT | Errno::NOTDIR => {
                failure(FailureCode::NotFound, format!("file {name} does not exist")).remedy(
                    match self.process {
                        None => "check the path: it is one of the host, as the service sees it",
                        Some(_) => "check the path: it is one of the process, no link leads out of its root",
                    },
                )
            }
            Errno::ACCESS | Errno::PERM if is_network_namespace(self.path) => failure(
                FailureCode::PermissionDenied,
                format!("uid {} may not look into the process of {name}", self.uid),
            )
            .remedy(LOOKING),
            Errno::ACCESS | Errno::PERM => failure(
                FailureCode::PermissionDenied,
                format!("uid {} may not read {name}", self.uid),
            )
            .remedy(
                "make it readable for the client's user or group, also if that is root: the modes of files count, \
                 capabilities of the client do not",
            ),
            _ => Error::new("open", errno).into_failure(Stage::Object, format!("opening {name}")),
        }
    }

    fn name(&self) -> String {
        let path = self.path;
        match self.process {
            None => format!("\"{path}\""),
            Some((pid, _)) => format!("\"{path}\" among the files of process {pid}"),
        }
    }
}

fn unseen(errno: Errno, pid: i32, uid: u32) -> Failure {
    let what = format!("container namespace for PID {pid} not accessible");
    match errno {
        Errno::NOENT => failure(
            FailureCode::NotFound,
            format!("{what}: neither /proc/{pid}/root nor /host/proc/{pid}/root exists"),
        )
        .remedy("give the number by which the service sees a running process: its own /proc, or the host's at /host/proc"),
        Errno::ACCESS | Errno::PERM => failure(
            FailureCode::PermissionDenied,
            format!("{what}: uid {uid} may not look into it"),
        )
        .remedy(LOOKING),
        _ => Error::new("open", errno).into_failure(Stage::Object, what),
    }
}

fn failure(code: FailureCode, cause: String) -> Failure {
    Failure::new(code, Stage::Object, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_alone_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let open = |path: &str| Wanted::own(path, 0).open();
        std::fs::write(path("object.o"), "x").unwrap();
        std::os::unix::fs::symlink(path("object.o"), path("link")).unwrap();
        assert!(open(&path("object.o")).is_ok());
        assert!(open(&path("link")).is_ok());
        // A pipe that nobody writes to would wait for ever.
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        for (name, code) in [
            ("pipe", FailureCode::InvalidArgument),
            ("missing", FailureCode::NotFound),
            ("object.o/x", FailureCode::NotFound),
            ("", FailureCode::InvalidArgument),
        ] {
            let failure = open(&path(name)).unwrap_err();
            assert_eq!(failure.code, code, "{failure}");
            assert!(!failure.remedy.is_empty(), "{failure}");
        }
        assert_eq!(
            open("/dev/null").unwrap_err().code,
            FailureCode::InvalidArgument
        );
    }

    #[test]
    fn what_means_nobody_is_not_taken_on() {
        for (uid, gid, groups) in [
            (u32::MAX, 7, vec![]),
            (7, u32::MAX, vec![]),
            (7, 7, vec![u32::MAX]),
        ] {
            let failure = become_client(uid, gid, &groups).unwrap_err();
            assert_eq!(failure.code, FailureCode::PermissionDenied);
        }
    }

    #[test]
    fn each_helper_has_its_own_jobs() {
        let job = |path: &str, container_pid| HelperJob::OpenPath {
            path: path.to_owned(),
            container_pid,
            uid: u32::MAX,
            gid: 0,
            groups: Vec::new(),
        };
        for path in ["/etc/passwd", "/proc/1/ns/net"] {
            let is_namespace = path != "/etc/passwd";
            assert_eq!(perform(&job(path, None), false).is_some(), !is_namespace);
            assert_eq!(perform(&job(path, None), true).is_some(), is_namespace);
            assert!(perform(&job(path, Some(1)), true).is_some());
            assert!(perform(&job(path, Some(1)), false).is_none());
        }
        assert!(perform(&HelperJob::ChangeGroup { gid: 1 }, true).is_none());
    }
}
