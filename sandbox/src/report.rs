//! Reads back from the kernel what is left.
//!
//! /proc is out of reach once Landlock is entered, so its files are opened before and read after.

use crate::status::ProcessStatus;
use crate::steps::landlock::Restriction;
use crate::{EnterError, Mode, limits};
use ipc::messages::supervision::SandboxReport;
use rustix::fs::{OFlags, RawDir, SeekFrom, open, seek};
use rustix::process::{DumpableBehavior, dumpable_behavior};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

const STEP: &str = "report";
const REMEDY: &str = "mount /proc";

/// The files that tell.
pub(crate) struct Sources {
    status: OwnedFd,
    descriptors: OwnedFd,
}

impl Sources {
    pub(crate) fn open() -> Result<Self, EnterError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = |path: &str, flags| {
            open(path, flags, rustix::fs::Mode::empty()).map_err(EnterError::refused(
                STEP,
                format!("open {path}"),
                REMEDY,
            ))
        };
        Ok(Self {
            status: opened("/proc/self/status", flags)?,
            descriptors: opened("/proc/self/fd", flags | OFlags::DIRECTORY)?,
        })
    }
}

/// Closes the sources.
pub(crate) fn read(
    sources: Sources,
    landlock: Restriction,
    mode: Mode,
) -> Result<SandboxReport, EnterError> {
    let status = read_status(&sources).map_err(EnterError::refused(
        STEP,
        "read /proc/self/status",
        REMEDY,
    ))?;
    let descriptors = read_descriptors(&sources).map_err(EnterError::refused(
        STEP,
        "list /proc/self/fd",
        REMEDY,
    ))?;
    let dumpable =
        dumpable_behavior().map_err(EnterError::refused(STEP, "PR_GET_DUMPABLE", REMEDY))?;
    Ok(SandboxReport {
        pid: status.pid,
        uids: status.uids,
        gids: status.gids,
        groups: status.groups,
        cap_inheritable: status.inheritable,
        cap_permitted: status.permitted,
        cap_effective: status.effective,
        cap_bounding: status.bounding,
        cap_ambient: status.ambient,
        no_new_privs: status.no_new_privs,
        seccomp_mode: status.seccomp_mode,
        seccomp_filters: status.seccomp_filters,
        landlock_abi: landlock.abi,
        landlock_enforced: landlock.enforced,
        landlock_full: landlock.full,
        dumpable: dumpable != DumpableBehavior::NotDumpable,
        threads: status.threads,
        descriptors,
        learning: mode == Mode::Log,
    })
}

fn read_status(sources: &Sources) -> io::Result<ProcessStatus> {
    // The text was made when the file was opened only if it was read then; seeking is for the reader's peace of mind.
    seek(&sources.status, SeekFrom::Start(0))?;
    let text = read_text(&sources.status)?;
    ProcessStatus::parse(&text).map_err(io::Error::other)
}

/// The rest of a file, which is refused when it is longer than a status can be: half of one would be believed otherwise.
fn read_text(file: &OwnedFd) -> io::Result<String> {
    let mut text = vec![0; limits::STATUS_BYTES + 1];
    let mut length = 0;
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(file, rest)? {
            0 => break,
            bytes => length += bytes,
        }
    }
    if length > limits::STATUS_BYTES {
        return Err(io::Error::other(format!(
            "longer than {} bytes",
            limits::STATUS_BYTES
        )));
    }
    text.truncate(length);
    String::from_utf8(text).map_err(io::Error::other)
}

fn read_descriptors(sources: &Sources) -> io::Result<Vec<i32>> {
    let own = [sources.status.as_raw_fd(), sources.descriptors.as_raw_fd()];
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&sources.descriptors, &mut buffer);
    let mut descriptors = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        // `.` and `..` are the only names that are no numbers.
        if let Some(number) = entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| name.parse().ok())
            && !own.contains(&number)
        {
            descriptors.push(number);
        }
    }
    descriptors.sort_unstable();
    Ok(descriptors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_one_byte_past_the_limit_is_refused_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("status");
        let read = |bytes: usize| {
            std::fs::write(&path, "x".repeat(bytes)).unwrap();
            read_text(&std::fs::File::open(&path).unwrap().into())
        };
        let longest = read(limits::STATUS_BYTES).unwrap();
        assert_eq!(longest.len(), limits::STATUS_BYTES);
        assert!(read(limits::STATUS_BYTES + 1).is_err());
    }
}
