//! The sockets that clients connect to. They stay open in the supervisor, so that clients that connect while the API worker
//! is restarted wait in the backlog instead of failing.

use super::{PrepareError, walk};
use crate::limits::{BACKLOG, SOCKET_PATH_BYTES};
use listenfd::ListenFd;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

/// The name of bpfmanctl's socket in the runtime directory.
pub const FILE: &str = "bpfmanctl.sock";
/// The name of a socket until it is complete.
const NEW: &str = "new.sock";

const STAGE: &str = "socket";
const SOCKET_REMEDY: &str = "put --runtime-dir and --socket-path on a file system of this machine that is writable and has room, such as /run";

/// The listening sockets.
#[derive(Debug)]
pub struct Listeners {
    /// Of bpfmanctl.
    pub control: OwnedFd,
    /// Of gRPC clients.
    pub grpc: OwnedFd,
    /// Of the kubelet, where volumes are served.
    pub csi: Option<OwnedFd>,
}

impl Listeners {
    /// In the order by which the API worker knows them apart.
    pub fn all(&self) -> Vec<&OwnedFd> {
        [&self.control, &self.grpc]
            .into_iter()
            .chain(&self.csi)
            .collect()
    }
}

/// Takes the sockets from the service manager, or makes them.
pub fn listen(
    runtime: &OwnedFd,
    runtime_path: &Path,
    grpc_path: &Path,
    client_gid: Option<u32>,
) -> Result<Listeners, PrepareError> {
    let passed = inherited(grpc_path)?;
    let control = match passed.control {
        Some(listener) => listener,
        None => bind(runtime, runtime_path, OsStr::new(FILE), client_gid)?,
    };
    let grpc = match passed.grpc {
        Some(listener) => listener,
        None => bind_path(grpc_path, client_gid)?,
    };
    Ok(Listeners {
        control,
        grpc,
        csi: None,
    })
}

#[derive(Default)]
struct Passed {
    control: Option<OwnedFd>,
    grpc: Option<OwnedFd>,
}

/// What the service manager passed: the socket that has the path of the gRPC socket is that, the other one bpfmanctl's.
fn inherited(grpc_path: &Path) -> Result<Passed, PrepareError> {
    let mut descriptors = ListenFd::from_env();
    let mut passed = Passed::default();
    for index in 0..descriptors.len() {
        let listener = descriptors
            .take_unix_listener(index)
            .map_err(PrepareError::path(
                STAGE,
                grpc_path,
                "the socket unit must pass stream sockets with paths (ListenStream=)",
            ))?;
        let Some(listener) = listener else { continue };
        let place = if has_path(&listener, grpc_path) {
            &mut passed.grpc
        } else {
            &mut passed.control
        };
        if place.is_some() {
            tracing::warn!(
                "{} sockets were passed by the service manager; two are used, of which one has the path {}",
                descriptors.len(),
                grpc_path.display()
            );
            continue;
        }
        *place = Some(listener.into());
    }
    Ok(passed)
}

fn has_path(listener: &UnixListener, path: &Path) -> bool {
    listener
        .local_addr()
        .is_ok_and(|address| address.as_pathname() == Some(path))
}

/// Makes a socket in a directory that may be anybody's, and is created when it is missing.
fn bind_path(path: &Path, client_gid: Option<u32>) -> Result<OwnedFd, PrepareError> {
    let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else {
        return Err(PrepareError::Unfit {
            stage: STAGE,
            path: path.to_owned(),
            cause: "is no path of a file".to_owned(),
            remedy: "give another --socket-path".to_owned(),
        });
    };
    let (directory, _) = walk::open_or_create(parent).map_err(PrepareError::path(
        STAGE,
        parent,
        "give a --socket-path on a writable file system, without symbolic links",
    ))?;
    bind(&directory, parent, file, client_gid)
}

pub(super) fn bind(
    directory: &OwnedFd,
    directory_path: &Path,
    file: &OsStr,
    client_gid: Option<u32>,
) -> Result<OwnedFd, PrepareError> {
    let path = directory_path.join(file);
    let new = directory_path.join(NEW);
    let unfit = |cause: &str, remedy: &str| PrepareError::Unfit {
        stage: STAGE,
        path: path.clone(),
        cause: cause.to_owned(),
        remedy: remedy.to_owned(),
    };
    if [&path, &new]
        .iter()
        .any(|path| path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES)
    {
        return Err(unfit(
            "is longer than the path of a socket may be (107 bytes)",
            "give a shorter --runtime-dir or --socket-path",
        ));
    }
    let failed = || PrepareError::path(STAGE, path.clone(), SOCKET_REMEDY);
    match rustix::fs::statat(directory, file, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => {}
        Err(error) => return Err(failed()(error)),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return Err(unfit("is there and not a socket", "remove it"));
        }
        Ok(_) if somebody_listens(&path).map_err(failed())? => {
            return Err(unfit(
                "is served by another process, which is no bpfmand",
                "end that process, or give another --socket-path",
            ));
        }
        // Left behind by an instance that has ended; replaced below.
        Ok(_) => {}
    }
    match rustix::fs::unlinkat(directory, NEW, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(failed()(error)),
    }
    let address = SocketAddrUnix::new(&new).map_err(failed())?;
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
        directory,
        NEW,
        Some(Uid::ROOT),
        group,
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(failed())?;
    rustix::net::listen(&listener, BACKLOG).map_err(failed())?;
    rustix::fs::renameat(directory, NEW, directory, file).map_err(failed())?;
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
        let _listener = bind(
            &open(directory.path()),
            directory.path(),
            OsStr::new(FILE),
            Some(61195),
        )
        .unwrap();
        let metadata = std::fs::symlink_metadata(directory.path().join(FILE)).unwrap();
        assert_eq!(
            (metadata.mode() & 0o7777, metadata.uid(), metadata.gid()),
            (0o660, 0, 61195)
        );
        UnixStream::connect(directory.path().join(FILE)).unwrap();
        assert!(!directory.path().join(NEW).exists());
    }

    #[test]
    fn the_grpc_socket_gets_its_directory_and_leaves_others_as_they_are() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
        let path = directory.path().join("run-sock/bpfman.sock");
        let _listener = bind_path(&path, None).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o755));
        UnixStream::connect(&path).unwrap();
        let beside = directory.path().join("bpfman.sock");
        let before = mode(directory.path());
        let _listener = bind_path(&beside, None).unwrap();
        assert_eq!(mode(directory.path()), before);
        assert!(bind_path(Path::new("/"), None).is_err());
    }

    #[test]
    fn a_passed_socket_is_told_by_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bpfman.sock");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(has_path(&listener, &path));
        assert!(!has_path(&listener, &directory.path().join(FILE)));
    }

    #[test]
    fn a_stale_socket_is_replaced_a_served_one_and_a_file_are_not() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let first = bind(
            &open(directory.path()),
            directory.path(),
            OsStr::new(FILE),
            None,
        )
        .unwrap();
        let error = bind(
            &open(directory.path()),
            directory.path(),
            OsStr::new(FILE),
            None,
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("served"), "{error}");
        drop(first);
        bind(
            &open(directory.path()),
            directory.path(),
            OsStr::new(FILE),
            None,
        )
        .unwrap();
        std::fs::remove_file(directory.path().join(FILE)).unwrap();
        std::fs::write(directory.path().join(FILE), "").unwrap();
        let error = bind(
            &open(directory.path()),
            directory.path(),
            OsStr::new(FILE),
            None,
        )
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
        let _listener = bind(
            &open(directory.path()),
            directory.path(),
            OsStr::new(FILE),
            None,
        )
        .unwrap();
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
        let error = bind(&handle, &long, OsStr::new(FILE), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("--runtime-dir"), "{error}");
    }
}
