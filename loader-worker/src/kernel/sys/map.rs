//! Map commands.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use super::bpf::{self, Command, address, address_mut, number};
use crate::kernel::cpus;
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

/// `BPF_MAP_CREATE`.
#[derive(Default)]
#[repr(C)]
pub(in crate::kernel) struct Create {
    pub(in crate::kernel) map_type: u32,
    pub(in crate::kernel) key_size: u32,
    pub(in crate::kernel) value_size: u32,
    pub(in crate::kernel) max_entries: u32,
    pub(in crate::kernel) map_flags: u32,
    pub(in crate::kernel) inner_map_fd: u32,
    pub(in crate::kernel) numa_node: u32,
    pub(in crate::kernel) map_name: [u8; 16],
    pub(in crate::kernel) map_ifindex: u32,
    pub(in crate::kernel) btf_fd: u32,
    pub(in crate::kernel) btf_key_type_id: u32,
    pub(in crate::kernel) btf_value_type_id: u32,
    pub(in crate::kernel) btf_vmlinux_value_type_id: u32,
    pub(in crate::kernel) map_extra: u64,
}

/// The element commands.
#[repr(C)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Freeze {
    map_fd: u32,
}

pub(in crate::kernel) fn create(
    mut attributes: Create,
    inner: Option<BorrowedFd<'_>>,
    btf: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd, Errno> {
    attributes.inner_map_fd = inner.map_or(0, number);
    attributes.btf_fd = btf.map_or(0, number);
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::MapCreate, &mut attributes) }
}

/// Writes one element; `EINVAL` when key or value are not as long as the map's.
pub(in crate::kernel) fn update(
    map: BorrowedFd<'_>,
    key: &[u8],
    value: &[u8],
) -> Result<(), Errno> {
    if (key.len(), value.len()) != lengths(map)? {
        return Err(Errno::INVAL);
    }
    let mut attributes = Element {
        map_fd: number(map),
        padding: 0,
        key: address(key),
        value: address(value),
        flags: 0,
    };
    // SAFETY: both addresses are of live slices, exactly as long as what the kernel reads.
    unsafe { bpf::call(Command::MapUpdateElem, &mut attributes) }.map(drop)
}

/// Reads one element; `EINVAL` when the key is not as long as the map's.
pub(in crate::kernel) fn lookup(map: BorrowedFd<'_>, key: &[u8]) -> Result<Vec<u8>, Errno> {
    let (key_length, value_length) = lengths(map)?;
    if key.len() != key_length {
        return Err(Errno::INVAL);
    }
    let mut value = vec![0; value_length];
    let mut attributes = Element {
        map_fd: number(map),
        padding: 0,
        key: address(key),
        value: address_mut(&mut value),
        flags: 0,
    };
    // SAFETY: both addresses are of live slices, exactly as long as what the kernel reads and writes.
    unsafe { bpf::call(Command::MapLookupElem, &mut attributes) }?;
    Ok(value)
}

/// Bytes of a key and of a value as the element commands exchange them.
fn lengths(map: BorrowedFd<'_>) -> Result<(usize, usize), Errno> {
    // enum bpf_map_type: PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH, PERCPU_CGROUP_STORAGE.
    const PER_CPU: [u32; 4] = [5, 6, 10, 21];
    let info = super::object::map_info(map)?;
    let value = if PER_CPU.contains(&info.map_type) {
        (info.value_size as usize).next_multiple_of(8) * cpus::possible()? as usize
    } else {
        info.value_size as usize
    };
    Ok((info.key_size as usize, value))
}

pub(in crate::kernel) fn freeze(map: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attributes = Freeze {
        map_fd: number(map),
    };
    // SAFETY: the structure holds no address.
    unsafe { bpf::call(Command::MapFreeze, &mut attributes) }.map(drop)
}
