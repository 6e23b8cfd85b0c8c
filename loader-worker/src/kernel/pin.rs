//! Pins on bpffs: what keeps objects alive, and the names by which applications find maps.

use super::{Error, sys};
use rustix::fs::{AtFlags, CWD, Mode, chmodat};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Mode of the directories that are made for pins: anyone may pass, the pins' own modes decide.
const DIRECTORY_MODE: u32 = 0o755;

/// Pins an object; missing directories above it are made. A pin that is there already is an error (`EEXIST`).
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    pin_beside(object, path)
}

/// Pins an object in a directory that is there.
pub fn pin_beside(object: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    sys::object::pin(object, &text(path)?).map_err(|errno| Error::new("BPF_OBJ_PIN", errno))
}

/// The pinned object, open for reading and writing.
pub fn get(path: &Path) -> Result<OwnedFd, Error> {
    open(path, 0)
}

/// The pinned map, open for reading: users may have asked for a mode without the right to write.
pub fn get_to_read(path: &Path) -> Result<OwnedFd, Error> {
    open(path, sys::object::READ_ONLY)
}

fn open(path: &Path, flags: u32) -> Result<OwnedFd, Error> {
    sys::object::get(&text(path)?, flags).map_err(|errno| Error::new("BPF_OBJ_GET", errno))
}

/// Removes a pin. `false`: there was none.
pub fn unlink(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::from_io("unlink", &error)),
    }
}

/// Sets the permission bits of a pin.
pub fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    // Not through an open descriptor: opening a pin as a file is refused. Not by chmod(2), which the sandbox does not allow.
    chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())
        .map_err(|errno| Error::new("fchmodat", errno))
}

/// Whether the pin is there.
pub fn exists(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::from_io("stat", &error)),
    }
}

/// Makes a directory and those above it, with [`DIRECTORY_MODE`] whatever the process's umask.
pub fn make_directories(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => set_mode(path, DIRECTORY_MODE),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::from_io("mkdir", &error)),
    }
}

fn text(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new("a path with a NUL in it", Errno::INVAL))
}
