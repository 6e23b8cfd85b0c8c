//! Making, copying and taking away the file system of a volume.

use crate::kernel::{Error, pin};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::volume::VolumeAccess;
use rustix::fs::{
    AtFlags, FsWord, Gid, Mode, OFlags, RawDir, StatVfsMountFlags, chmodat, chownat, fstat,
    fstatfs, fstatvfs, openat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    move_mount, open_tree, unmount,
};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// `BPF_FS_MAGIC` of `include/uapi/linux/magic.h`.
const BPF_FS_MAGIC: FsWord = 0xcafe_4a11;

/// Bytes of a directory that are read at once: a few names.
const ENTRIES: usize = 4096;

const LIST: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Who may do what in a volume, as the kernel tells.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Access {
    gid: u32,
    read_only: bool,
}

impl Access {
    pub(super) fn wanted(access: VolumeAccess) -> Self {
        Self {
            gid: access.group.unwrap_or(0),
            read_only: access.read_only,
        }
    }

    pub(super) fn of(root: &OwnedFd) -> Result<Self, Failure> {
        let flags = fstatvfs(root).map_err(failed("fstatfs"))?.f_flag;
        Ok(Self {
            gid: fstat(root).map_err(failed("fstat"))?.st_gid,
            read_only: flags.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

/// A new bpffs with a pin of each map, mounted nowhere. What fails leaves nothing: it goes with its last descriptor.
pub(super) fn with_maps(
    names: &[String],
    maps: &[OwnedFd],
    access: VolumeAccess,
) -> Result<OwnedFd, Failure> {
    let context = fsopen("bpf", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("fsopen"))?;
    fsconfig_set_string(&context, "source", "bpfman").map_err(failed("fsconfig"))?;
    fsconfig_create(&context).map_err(failed("fsconfig"))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount =
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed("fsmount"))?;
    let group = access.group.map(Gid::from_raw);
    let (root_mode, pin_mode) = match group {
        Some(_) => (0o750, 0o660),
        // A pod without a group of its own runs as root, or cannot open them.
        None => (0o755, 0o600),
    };
    for (name, map) in names.iter().zip(maps) {
        // Pinning at a directory's descriptor is newer (6.5) than the oldest kernel that is supported.
        pin::pin_beside(map.as_fd(), &by_descriptor(&mount).join(name))
            .map_err(|error| error.into_failure(Stage::Pin, format!("map \"{name}\"")))?;
        give(&mount, name, group, pin_mode)?;
    }
    give(&mount, ".", group, root_mode)?;
    if access.read_only {
        // The file system, not only the mount: a mount that is read-only keeps nobody from opening a map to write it.
        fsconfig_set_flag(&context, "ro").map_err(failed("fsconfig"))?;
        fsconfig_reconfigure(&context).map_err(failed("fsconfig"))?;
    }
    Ok(mount)
}

fn give(mount: &OwnedFd, name: &str, group: Option<Gid>, mode: u32) -> Result<(), Failure> {
    if group.is_some() {
        chownat(mount, name, None, group, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("fchownat"))?;
    }
    chmodat(mount, name, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(failed("fchmodat"))
}

/// Another mount of the same file system, attached nowhere.
pub(super) fn copy(mount: &OwnedFd) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(mount, "", flags).map_err(failed("open_tree"))
}

/// Attaches a mount to a directory.
pub(super) fn attach(mount: &OwnedFd, point: &OwnedFd) -> Result<(), Failure> {
    let by_descriptor =
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", point, "", by_descriptor).map_err(failed("move_mount"))
}

/// Takes a mount away, for those who look now. Whoever is inside keeps it until they leave.
pub(super) fn detach(root: &OwnedFd) -> Result<(), Failure> {
    unmount(by_descriptor(root), UnmountFlags::DETACH).map_err(failed("umount2"))
}

/// Names of the pins; names with a dot are the kernel's own, such as `maps.debug`.
pub(super) fn names(root: &OwnedFd) -> Result<BTreeSet<String>, Failure> {
    let names = entries(root)?.into_iter();
    let names = names.filter_map(|name| name.into_string().ok());
    Ok(names.filter(|name| !name.contains('.')).collect())
}

/// What is in a directory, but for itself and the one above.
pub(super) fn entries(directory: &OwnedFd) -> Result<Vec<OsString>, Failure> {
    let list = openat(directory, ".", LIST, Mode::empty()).map_err(failed("openat"))?;
    let mut buffer = [MaybeUninit::uninit(); ENTRIES];
    let mut entries = RawDir::new(list, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(failed("getdents64"))?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// Whether it is a place for pins.
pub(super) fn is_bpffs(directory: &OwnedFd) -> Result<bool, Errno> {
    Ok(fstatfs(directory)?.f_type == BPF_FS_MAGIC)
}

/// What the kernel takes for the directory itself, wherever it is.
fn by_descriptor(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

fn failed(call: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| Error::new(call, errno).into_failure(Stage::Pin, "the file system of a volume")
}
