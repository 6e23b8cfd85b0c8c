//! Where absolute paths begin: in this process's root, or in that of another process.

use crate::object::{OpenError, open_regular};
use ipc::process_root::ProcessRoot;
use ipc::regular_file;
use rustix::io::Errno;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;

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
        root: ProcessRoot,
    },
}

impl Root {
    /// The root of a process. It takes the right to look into the process.
    pub(super) fn of(pid: i32) -> Result<Self, Errno> {
        let root = ProcessRoot::of(pid)?;
        Ok(Root::Of { pid, root })
    }

    /// Opens a regular file for reading.
    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd, OpenError> {
        match self {
            Root::Own => open_regular(path),
            Root::Of { root, .. } => Ok(regular_file::reopen(&root.look(path)?)?),
        }
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
