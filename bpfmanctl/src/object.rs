//! Files and directories, opened with the user's rights.

use crate::exit::Error;
use ipc::regular_file::NotOpened;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Opens an object file for the service to read.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Error> {
    let shown = path.display();
    open_regular(path).map_err(|error| {
        let text = format!(
            "object: object file \"{shown}\" {error}; {}",
            error.remedy()
        );
        match error {
            OpenError::Missing | OpenError::Directory => Error::Usage(text),
            OpenError::Irregular | OpenError::NotADirectory | OpenError::Other(_) => {
                Error::Failed(text)
            }
        }
    })
}

/// Why a file cannot be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("does not exist")]
    Missing,
    #[error("is a directory")]
    Directory,
    /// A device, pipe or socket.
    #[error("is not a regular file")]
    Irregular,
    /// Anything, where a directory is wanted.
    #[error("is not a directory")]
    NotADirectory,
    #[error("cannot be opened: {}", io::Error::from(*.0))]
    Other(Errno),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => OpenError::Missing,
            Errno::NXIO | Errno::NODEV => OpenError::Irregular,
            errno => OpenError::Other(errno),
        }
    }
}

impl From<NotOpened> for OpenError {
    fn from(cause: NotOpened) -> Self {
        match cause {
            NotOpened::Directory => OpenError::Directory,
            NotOpened::Irregular => OpenError::Irregular,
            NotOpened::Refused(errno) => OpenError::Other(errno),
        }
    }
}

impl OpenError {
    /// What the user can do about it.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            OpenError::Missing => "check the path",
            OpenError::Directory => "name a file in it",
            OpenError::Irregular => "name a regular file",
            OpenError::NotADirectory => "name a directory",
            OpenError::Other(_) => "check its owner and mode with `ls -l`",
        }
    }
}

/// Opens a regular file. Nothing happens to what is not one: a pipe is not waited for, a terminal not taken.
pub(crate) fn open_regular(path: &Path) -> Result<OwnedFd, OpenError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(OpenError::from)?;
    require_regular(&file)?;
    Ok(file)
}

/// Whether it is a regular file.
fn require_regular(file: &OwnedFd) -> Result<(), OpenError> {
    let status = rustix::fs::fstat(file).map_err(OpenError::Other)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(OpenError::Directory),
        _ => Err(OpenError::Irregular),
    }
}

/// Opens a directory.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, OpenError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => OpenError::Missing,
        Errno::NOTDIR => OpenError::NotADirectory,
        errno => OpenError::Other(errno),
    })
}

/// The contents of a file of the system, up to a bound: what is beyond is not known.
pub(crate) fn read_bounded(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    read_bounded_from(File::open(path)?, bytes)
}

/// The same of an open file.
pub(crate) fn read_bounded_from(file: File, bytes: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    file.take(bytes).read_to_end(&mut contents)?;
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_regular_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("object.o"), b"x").unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), FileType::Fifo, mode, 0).unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();

        assert!(open_regular(&path("object.o")).is_ok());
        assert_eq!(
            open_regular(&path("missing")).unwrap_err(),
            OpenError::Missing
        );
        assert_eq!(
            open_regular(&path("object.o/x")).unwrap_err(),
            OpenError::Missing
        );
        assert_eq!(
            open_regular(directory.path()).unwrap_err(),
            OpenError::Directory
        );
        assert_eq!(
            open_regular(&path("pipe")).unwrap_err(),
            OpenError::Irregular
        );
        assert_eq!(
            open_regular(&path("socket")).unwrap_err(),
            OpenError::Irregular
        );
        assert_eq!(
            open_regular(Path::new("/dev/null")).unwrap_err(),
            OpenError::Irregular
        );
    }

    #[test]
    fn only_directories_are_opened_as_such() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("file"), b"x").unwrap();
        assert!(open_directory(directory.path()).is_ok());
        let failure = |name| open_directory(&path(name)).unwrap_err();
        assert_eq!(failure("missing"), OpenError::Missing);
        assert_eq!(failure("file"), OpenError::NotADirectory);
    }

    #[test]
    fn nothing_is_read_beyond_a_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (length, read) in [(99, 99), (100, 100), (101, 100)] {
            file.as_file().set_len(length).unwrap();
            assert_eq!(read_bounded(file.path(), 100).unwrap().len(), read);
        }
    }

    #[test]
    fn errors_name_the_file() {
        let error = open(Path::new("/nowhere/x.o")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "object: object file \"/nowhere/x.o\" does not exist; check the path"
        );
        assert!(matches!(error, Error::Usage(_)));
        assert_eq!(
            open(Path::new("/")).unwrap_err().to_string(),
            "object: object file \"/\" is a directory; name a file in it"
        );
    }
}
