//! Volumes of pods: the directories that they are mounted in, the kubelet's socket, and whether pods will see the mounts.

use super::{PrepareError, socket, walk};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const STAGE: &str = "csi";

/// Directory of the driver in the runtime directory: the kubelet's own, seen from here, where both are in containers.
const DIRECTORY: &str = "csi";
const SOCKET: &str = "csi.sock";
/// Volumes by their ids; nobody but root looks there.
const VOLUMES: &str = "fs";
const VOLUMES_MODE: Mode = Mode::from_raw_mode(0o750);

/// The directory of the kubelet in which pods have theirs: in a container it is often mounted alone.
const PODS: &str = "pods";

/// Makes what the driver needs; the socket on which the kubelet is served.
pub fn prepare(runtime_dir: &Path, kubelet_dir: &Path) -> Result<OwnedFd, PrepareError> {
    check_kubelet(kubelet_dir)?;
    let path = runtime_dir.join(DIRECTORY);
    let failed = || {
        PrepareError::path(
            STAGE,
            path.clone(),
            "give a --runtime-dir on a writable file system, without symbolic links",
        )
    };
    let (directory, _) = walk::open_or_create(&path).map_err(failed())?;
    match rustix::fs::mkdirat(&directory, VOLUMES, VOLUMES_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed()(error)),
    }
    // Root's alone, as the kubelet is.
    socket::bind(&directory, &path, OsStr::new(SOCKET), None)
}

/// How mounts beneath a directory travel to other mount namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Propagation {
    /// To its peers.
    Shared,
    /// To nobody who has more than this namespace has.
    Private,
    /// To nobody where the directory comes from, which is where the kubelet is.
    Slave,
}

fn check_kubelet(kubelet_dir: &Path) -> Result<(), PrepareError> {
    let remedy = "name the kubelet's directory as csi.kubelet_dir; in a container, mount it there";
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
    };
    let pods = kubelet_dir.join(PODS);
    let (seen, path) = match open(&pods) {
        Ok(directory) => (directory, pods),
        Err(_) => {
            let directory =
                open(kubelet_dir).map_err(PrepareError::path(STAGE, kubelet_dir, remedy))?;
            (directory, kubelet_dir.to_owned())
        }
    };
    let mount = statx(&seen, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .map_err(PrepareError::path(STAGE, path.clone(), remedy))?
        .stx_mnt_id;
    let table = std::fs::read_to_string("/proc/self/mountinfo").map_err(PrepareError::path(
        STAGE,
        PathBuf::from("/proc/self/mountinfo"),
        "the service needs /proc",
    ))?;
    match propagation(&table, mount) {
        Some(Propagation::Slave) => Err(PrepareError::Unfit {
            stage: STAGE,
            path,
            cause: "is in a mount namespace of the service's own, whose mounts no pod would see".to_owned(),
            remedy: "in a container, mount it with mountPropagation: Bidirectional; under systemd, install the drop-in bpfman-csi.conf (docs/operations.md)".to_owned(),
        }),
        Some(Propagation::Private) => {
            tracing::warn!(
                "csi: mounts beneath {} are seen in this mount namespace only: pods see none of them unless the kubelet is in it, too",
                path.display()
            );
            Ok(())
        }
        Some(Propagation::Shared) | None => Ok(()),
    }
}

/// What /proc/self/mountinfo (proc_pid_mountinfo(5)) says of a mount. Whoever has a master gets its mounts and gives it none,
/// whether there are peers besides or not.
fn propagation(table: &str, mount: u64) -> Option<Propagation> {
    let mut lines = table.lines().map(|line| line.split(' '));
    let line = lines.find_map(|mut fields| {
        let id = fields.next()?.parse::<u64>().ok()?;
        (id == mount).then_some(fields)
    })?;
    // Parent, device, root, mount point, options; then optional fields until a dash.
    let optional: Vec<&str> = line.skip(5).take_while(|field| *field != "-").collect();
    let has = |kind: &str| optional.iter().any(|field| field.starts_with(kind));
    Some(if has("master:") {
        Propagation::Slave
    } else if has("shared:") {
        Propagation::Shared
    } else {
        Propagation::Private
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_says_where_mounts_go() {
        let table = "\
            21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            36 21 8:2 / /a\\040b rw master:1 - ext4 /dev/sdb rw\n\
            37 21 8:2 / /b rw shared:7 master:1 - ext4 /dev/sdb rw\n\
            38 21 0:5 / /c rw - tmpfs shared:9 rw\n";
        for (mount, expected) in [
            (21, Some(Propagation::Shared)),
            (36, Some(Propagation::Slave)),
            (37, Some(Propagation::Slave)),
            (38, Some(Propagation::Private)),
            (3, None),
        ] {
            assert_eq!(propagation(table, mount), expected, "{mount}");
        }
        assert_eq!(
            propagation("nonsense\n\n21", 21),
            Some(Propagation::Private)
        );
    }

    #[test]
    fn a_kubelet_that_is_not_there_is_named() {
        let error = check_kubelet(Path::new("/nowhere/kubelet"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("csi.kubelet_dir"), "{error}");
    }
}
