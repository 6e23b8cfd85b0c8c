//! bpffs under the runtime directory, tracefs where the kernel offers it.
//!
//! They stay mounted when the service stops: pins are what keeps programs running.

use super::PrepareError;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};
use sandbox::Identity;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Name of the mount point in the runtime directory.
pub const BPFFS: &str = "fs";
const TRACEFS: &str = "/sys/kernel/tracing";

const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const TRACEFS_MAGIC: i64 = 0x7472_6163;

/// Everybody may pass to the pins that applications are given; pins have modes of their own.
const ROOT_MODE: Mode = Mode::from_raw_mode(0o755);

const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Mounts bpffs on `<runtime>/fs` unless the topmost mount there is one, and gives its root to the loader. Pins that belong
/// to somebody else are not taken over: who may open them was decided by whoever made them.
pub fn bpffs(
    runtime: &OwnedFd,
    runtime_path: &Path,
    loader: &Identity,
) -> Result<(), PrepareError> {
    let path = runtime_path.join(BPFFS);
    let failed = || {
        PrepareError::path(
            "bpffs",
            path.clone(),
            "the kernel needs CONFIG_BPF_SYSCALL, and bpfmand CAP_SYS_ADMIN to start",
        )
    };
    match rustix::fs::mkdirat(runtime, BPFFS, ROOT_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed()(error)),
    }
    let point = rustix::fs::openat(runtime, BPFFS, DIRECTORY, Mode::empty()).map_err(failed())?;
    if filesystem(&point).map_err(failed())? == BPF_FS_MAGIC {
        let owner = rustix::fs::fstat(&point).map_err(failed())?.st_uid;
        if owner != loader.uid && holds_pins(&point).map_err(failed())? {
            return Err(PrepareError::Unfit {
                stage: "bpffs",
                path: path.clone(),
                cause: format!(
                    "holds pins of uid {owner}, and the loader is uid {}",
                    loader.uid
                ),
                remedy: format!(
                    "give them to it: chown -R {}:{} {}",
                    loader.uid,
                    loader.gid,
                    path.display()
                ),
            });
        }
        return own(&point, loader).map_err(failed());
    }
    let mount = detached("bpf", &[("source", "bpffs"), ("mode", "0755")]).map_err(failed())?;
    let root = rustix::fs::openat(&mount, ".", DIRECTORY, Mode::empty()).map_err(failed())?;
    // Before anybody can see it.
    own(&root, loader).map_err(failed())?;
    attach(&mount, &point).map_err(failed())
}

/// Mounts tracefs unless it is there. Nothing but attaching to tracepoints depends on it, so a refusal is not the end.
pub fn tracefs() {
    let outcome = rustix::fs::open(TRACEFS, DIRECTORY, Mode::empty()).and_then(|point| {
        if filesystem(&point)? == TRACEFS_MAGIC {
            Ok(())
        } else {
            attach(&detached("tracefs", &[("source", "tracefs")])?, &point)
        }
    });
    if let Err(error) = outcome {
        tracing::warn!(
            "tracefs cannot be mounted on {TRACEFS}: {error}; programs cannot be attached to tracepoints"
        );
    }
}

fn filesystem(directory: &OwnedFd) -> Result<i64, Errno> {
    // The kernel's type is signed on some architectures and not on others.
    #[allow(
        clippy::unnecessary_cast,
        reason = "the type differs between architectures"
    )]
    Ok(rustix::fs::fstatfs(directory)?.f_type as i64 & 0xffff_ffff)
}

/// Names with a dot are the kernel's own, such as `maps.debug`: it lets nobody pin under one.
fn holds_pins(root: &OwnedFd) -> Result<bool, Errno> {
    for entry in rustix::fs::Dir::read_from(root)? {
        if !entry?.file_name().to_bytes().contains(&b'.') {
            return Ok(true);
        }
    }
    Ok(false)
}

fn own(root: &OwnedFd, loader: &Identity) -> Result<(), Errno> {
    rustix::fs::fchown(
        root,
        Some(Uid::from_raw(loader.uid)),
        Some(Gid::from_raw(loader.gid)),
    )?;
    rustix::fs::fchmod(root, ROOT_MODE)
}

fn detached(kind: &str, options: &[(&str, &str)]) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn attach(mount: &OwnedFd, point: &OwnedFd) -> Result<(), Errno> {
    let by_descriptor =
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", point, "", by_descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::is_root;
    use rustix::mount::UnmountFlags;
    use std::os::unix::fs::MetadataExt;

    fn mounts(point: &Path) -> Vec<String> {
        let point = point.to_str().unwrap();
        std::fs::read_to_string("/proc/self/mounts")
            .unwrap()
            .lines()
            .filter(|line| line.split(' ').nth(1) == Some(point))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn bpffs_is_mounted_once_and_belongs_to_the_loader() {
        if !is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().join(BPFFS);
        let runtime = rustix::fs::open(directory.path(), DIRECTORY, Mode::empty()).unwrap();
        let outcome = std::panic::catch_unwind(|| {
            for uid in [61190, 61191] {
                let loader = Identity {
                    uid,
                    gid: uid,
                    groups: vec![],
                };
                bpffs(&runtime, directory.path(), &loader).unwrap();
                let metadata = std::fs::metadata(&point).unwrap();
                assert_eq!(
                    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777),
                    (uid, uid, 0o755)
                );
                let mounts = mounts(&point);
                assert_eq!(mounts.len(), 1, "{mounts:?}");
                for word in [" bpf ", "nosuid", "nodev", "noexec"] {
                    assert!(mounts[0].contains(word), "{mounts:?}");
                }
            }
            std::fs::create_dir(point.join("links")).unwrap();
            let other = Identity {
                uid: 61192,
                gid: 61192,
                groups: vec![],
            };
            let error = bpffs(&runtime, directory.path(), &other)
                .unwrap_err()
                .to_string();
            assert!(error.contains("chown -R 61192:61192"), "{error}");
            assert_eq!(std::fs::metadata(&point).unwrap().uid(), 61191);
        });
        rustix::mount::unmount(&point, UnmountFlags::DETACH).unwrap();
        outcome.unwrap();
    }
}
