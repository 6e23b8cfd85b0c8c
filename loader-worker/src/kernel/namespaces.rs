//! Files of network namespaces.

use super::{Error, sys};
use rustix::fs::{FsWord, Stat, fstat, fstatfs, stat};
use std::os::fd::BorrowedFd;

/// `NSFS_MAGIC` of `include/uapi/linux/magic.h`.
const NSFS_MAGIC: FsWord = 0x6e73_6673;

/// What tells a namespace from all others that exist at the same time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Device of its file.
    pub device: u64,
    /// Inode of its file.
    pub inode: u64,
}

impl From<Stat> for Identity {
    fn from(status: Stat) -> Self {
        Self {
            device: status.st_dev,
            inode: status.st_ino,
        }
    }
}

/// The process's own network namespace.
pub fn own() -> Result<Identity, Error> {
    match stat("/proc/self/ns/net") {
        Ok(status) => Ok(status.into()),
        Err(errno) => Err(Error::new("stat /proc/self/ns/net", errno)),
    }
}

/// The namespace of an open file.
pub fn identity(file: BorrowedFd<'_>) -> Result<Identity, Error> {
    match fstat(file) {
        Ok(status) => Ok(status.into()),
        Err(errno) => Err(Error::new("fstat", errno)),
    }
}

/// Whether an open file is that of a network namespace. Only files of the namespaces' own file system are asked more: the
/// number of the question may mean anything to a device.
pub fn is_network(file: BorrowedFd<'_>) -> Result<bool, Error> {
    let filesystem = fstatfs(file).map_err(|errno| Error::new("fstatfs", errno))?;
    if filesystem.f_type != NSFS_MAGIC {
        return Ok(false);
    }
    let kind = sys::namespaces::kind(file).map_err(|errno| Error::new("NS_GET_NSTYPE", errno))?;
    Ok(kind == sys::namespaces::NETWORK)
}
