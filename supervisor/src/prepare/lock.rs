//! One `bpfmand` per directory.

use super::PrepareError;
use crate::limits::LOCK_WAIT;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file's name in the runtime directory.
pub const FILE: &str = ".lock";

const INTERVAL: Duration = Duration::from_millis(10);

/// Takes the lock of the runtime directory. It is held by supervisor and spawner together, so that it is free only when the
/// last worker of an earlier instance has ended; that is waited for.
pub fn take(runtime: &OwnedFd, path: &Path) -> Result<OwnedFd, PrepareError> {
    let file = rustix::fs::openat(
        runtime,
        FILE,
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    )
    .map_err(PrepareError::path(
        "lock",
        path.join(FILE),
        "remove what is in its place",
    ))?;
    hold(&file, path, "--runtime-dir")?;
    Ok(file)
}

/// Takes the lock of a directory that belongs to a worker, by its descriptor: a file in it would be the worker's to remove.
/// What is held is held until the last copy of the descriptor is closed. `flag` is what names the directory.
pub fn hold(file: &OwnedFd, path: &Path, flag: &'static str) -> Result<(), PrepareError> {
    let begun = Instant::now();
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK) if begun.elapsed() < LOCK_WAIT => std::thread::sleep(INTERVAL),
            Err(Errno::WOULDBLOCK) => return Err(PrepareError::InUse(path.to_owned(), flag)),
            Err(Errno::INTR) => {}
            Err(error) => {
                return Err(PrepareError::path(
                    "lock",
                    path,
                    "give a directory on a file system that has locks",
                )(error));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn a_second_taker_is_refused_after_a_wait_and_a_third_gets_it_when_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = take(&open(directory.path()), directory.path()).unwrap();
        let begun = Instant::now();
        assert!(matches!(
            take(&open(directory.path()), directory.path()),
            Err(PrepareError::InUse(..))
        ));
        assert!(begun.elapsed() >= LOCK_WAIT);
        drop(first);
        assert!(take(&open(directory.path()), directory.path()).is_ok());
    }

    #[test]
    fn a_directory_is_held_by_itself_until_the_last_copy_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let first = open(directory.path());
        hold(&first, directory.path(), "--state-dir").unwrap();
        let copy = first.try_clone().unwrap();
        drop(first);
        let error = hold(&open(directory.path()), directory.path(), "--state-dir");
        let error = error.unwrap_err().to_string();
        assert!(error.contains("its own --state-dir"), "{error}");
        drop(copy);
        hold(&open(directory.path()), directory.path(), "--state-dir").unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
