//! The socket that clients connect to. It stays open in the supervisor, so that clients that connect while the API worker
//! is restarted wait in the backlog instead of failing.

use super::PrepareError;
use crate::limits::{BACKLOG, SOCKET_PATH_BYTES};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Its name in the runtime directory.
pub const FILE: &str = "bpfmanctl.sock";
/// Its name until it is complete; not longer than [`FILE`].
const NEW: &str = "new.sock";

const STAGE: &str = "socket";
const SOCKET_REMEDY: &str = "put --runtime-dir on a file system of this machine that is writable and has room, such as /run";

/// Takes the socket from the service manager, or makes it.
pub fn listen(
    runtime: &OwnedFd,
    runtime_path: &Path,
    client_gid: Option<u32>,
) -> Result<OwnedFd, PrepareError> {
    match inherited(runtime_path)? {
        Some(listener) => Ok(listener),
        None => bind(runtime, runtime_path, client_gid),
    }
}

fn inherited(runtime_path: &Path) -> Result<Option<OwnedFd>, PrepareError> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() > 1 {
        tracing::warn!(
            "{} sockets were passed by the service manager, the first one is used",
            passed.len()
        );
    }
    let listener = passed.take_unix_listener(0).map_err(PrepareError::path(
        STAGE,
        runtime_path.join(FILE),
        "the socket unit must pass one stream socket (ListenStream=)",
    ))?;
    Ok(listener.map(OwnedFd::from))
}

fn bind(
    runtime: &OwnedFd,
    runtime_path: &Path,
    client_gid: Option<u32>,
) -> Result<OwnedFd, PrepareError> {
    let path = runtime_path.join(FILE);
    let unfit = |cause: &str, remedy: &str| PrepareError::Unfit {
        stage: STAGE,
        path: path.clone(),
        cause: cause.to_owned(),
        remedy: remedy.to_owned(),
    };
    if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES {
        return Err(unfit(
            "is longer than the path of a socket may be (107 bytes)",
            "give a shorter --runtime-dir",
        ));
    }
    let failed = || PrepareError::path(STAGE, path.clone(), SOCKET_REMEDY);
    match rustix::fs::statat(runtime, FILE, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => {}
        Err(error) => return Err(failed()(error)),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return Err(unfit("is there and not a socket", "remove it"));
        }
        Ok(_) if somebody_listens(&path).map_err(failed())? => {
            return Err(unfit(
                "is served by another process, which is no bpfmand",
                "end that process",
            ));
        }
        // Left behind by an instance that has ended; replaced below.
        Ok(_) => {}
    }
    match rustix::fs::unlinkat(runtime, NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(failed()(error)),
    }
    let address = SocketAddrUnix::new(runtime_path.join(NEW)).map_err(failed())?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(failed())?;
    // Never open to anybody else, not even before it has its name.
    let umask = rustix::process::umask(Mode::from_raw_mode(0o117));
    let bound = rustix::net::bind(&listener, &address);
    rustix::process::umask(umask);
    bound.map_err(failed())?;
    let group = Some(Gid::from_raw(client_gid.unwrap_or(0)));
    rustix::fs::chownat(
        runtime,
        NEW,
        Some(Uid::ROOT),
        group,
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(failed())?;
    rustix::net::listen(&listener, BACKLOG).map_err(failed())?;
    rustix::fs::renameat(runtime, NEW, runtime, FILE).map_err(failed())?;
    Ok(listener)
}

fn somebody_listens(path: &Path) -> Result<bool, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) {
        Ok(()) => Ok(true),
        // Its backlog is full: somebody is there.
        Err(Errno::AGAIN) => Ok(true),
        Err(Errno::CONNREFUSED) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::is_root;
    use rustix::fs::OFlags;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    fn open(path: &Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn the_socket_has_mode_and_group_and_accepts() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let _listener = bind(&open(directory.path()), directory.path(), Some(61195)).unwrap();
        let metadata = std::fs::symlink_metadata(directory.path().join(FILE)).unwrap();
        assert_eq!(
            (metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
            (0o660, 0, 61195)
        );
        UnixStream::connect(directory.path().join(FILE)).unwrap();
        assert!(!directory.path().join(NEW).exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_a_served_one_and_a_file_are_not() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let first = bind(&open(directory.path()), directory.path(), None).unwrap();
        let error = bind(&open(directory.path()), directory.path(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("served"), "{error}");
        drop(first);
        bind(&open(directory.path()), directory.path(), None).unwrap();
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        std::fs::write(directory.path().join(FILE), "").unwrap();
        let error = bind(&open(directory.path()), directory.path(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("not a socket"), "{error}");
    }

    #[test]
    fn clients_wait_up_to_the_backlog_and_one_more_is_turned_away() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let _listener = bind(&open(directory.path()), directory.path(), None).unwrap();
        let address = SocketAddrUnix::new(directory.path().join(FILE)).unwrap();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let mut waiting = Vec::new();
        let turned_away = loop {
            let client =
                rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
            let client = client.unwrap();
            match rustix::net::connect(&client, &address) {
                Ok(()) => waiting.push(client),
                Err(error) => break error,
            }
        };
        assert_eq!(turned_away, Errno::AGAIN);
        // The kernel lets one more wait than it is told.
        assert_eq!(waiting.len(), usize::try_from(BACKLOG).unwrap() + 1);
    }

    #[test]
    fn a_path_one_byte_too_long_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let handle = open(directory.path());
        let long = Path::new("/").join("x".repeat(SOCKET_PATH_BYTES - FILE.len() - 1));
        assert_eq!(long.join(FILE).as_os_str().len(), SOCKET_PATH_BYTES + 1);
        let error = bind(&handle, &long, None).unwrap_err().to_string();
        assert!(error.contains("--runtime-dir"), "{error}");
    }
}
