//! Opening a path as a client would that could pass no descriptor.
//!
//! The path is looked up in the service's own root, with symbolic links, by the rights of the client's user and groups and
//! none of its capabilities: whoever is root there is asked by modes like anybody else.

use crate::kernel::Error;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getegid, geteuid, getgroups};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use std::os::fd::{AsRawFd, OwnedFd};

const NOTHING: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// Makes this thread the client, for ever: its user, its groups, no capability.
pub(super) fn become_client(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Failure> {
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
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let groups: Vec<Gid> = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    // The secure bits keep the kernel from doing it.
    set_capabilities(None, NOTHING)?;
    let sorted = |mut groups: Vec<Gid>| {
        groups.sort_unstable_by_key(|gid| gid.as_raw());
        groups
    };
    let is_client = capabilities(None)? == NOTHING
        && (geteuid(), getegid()) == (uid, gid)
        && sorted(getgroups()?) == sorted(groups);
    if is_client { Ok(()) } else { Err(Errno::PERM) }
}

/// Opens a regular file for reading. What else may be there is looked at without being opened: opening a pipe waits, and
/// opening a device may do anything.
pub(super) fn regular(path: &str, uid: u32) -> Result<OwnedFd, Failure> {
    let refused = |errno| refused(errno, path, uid);
    let seen =
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(refused)?;
    let stat = fstat(&seen).map_err(refused)?;
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            // The same file, whatever has the path now.
            let same = format!("/proc/self/fd/{}", seen.as_raw_fd());
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            return rustix::fs::open(same, flags, Mode::empty()).map_err(refused);
        }
        FileType::Directory => "a directory",
        _ => "not a regular file",
    };
    let failure = failure(
        FailureCode::InvalidArgument,
        format!("\"{path}\" is {what}"),
    );
    Err(failure.remedy("name a regular file"))
}

fn refused(errno: Errno, path: &str, uid: u32) -> Failure {
    match errno {
        Errno::NOENT | Errno::NOTDIR => failure(
            FailureCode::NotFound,
            format!("file \"{path}\" does not exist"),
        )
        .remedy("check the path: it is one of the host, as the service sees it"),
        Errno::ACCESS | Errno::PERM => failure(
            FailureCode::PermissionDenied,
            format!("uid {uid} may not read \"{path}\""),
        )
        .remedy(
            "make it readable for the client's user or group, also if that is root: the modes of files count, \
             capabilities of the client do not",
        ),
        _ => Error::new("open", errno).into_failure(Stage::Object, format!("opening \"{path}\"")),
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
        std::fs::write(path("object.o"), "x").unwrap();
        std::os::unix::fs::symlink(path("object.o"), path("link")).unwrap();
        assert!(regular(&path("object.o"), 0).is_ok());
        assert!(regular(&path("link"), 0).is_ok());
        // A pipe that nobody writes to would wait for ever.
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        for (name, code) in [
            ("pipe", FailureCode::InvalidArgument),
            ("missing", FailureCode::NotFound),
            ("object.o/x", FailureCode::NotFound),
            ("", FailureCode::InvalidArgument),
        ] {
            let failure = regular(&path(name), 0).unwrap_err();
            assert_eq!(failure.code, code, "{failure}");
            assert!(!failure.remedy.is_empty(), "{failure}");
        }
        assert_eq!(
            regular("/dev/null", 0).unwrap_err().code,
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
}
