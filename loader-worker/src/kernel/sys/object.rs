//! Pins and information by descriptor.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use super::bpf::{self, Command, address, address_mut, number};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

#[repr(C)]
struct Object {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

pub(in crate::kernel) fn pin(object: BorrowedFd<'_>, path: &CStr) -> Result<(), Errno> {
    let mut attributes = Object {
        pathname: address(path.to_bytes_with_nul()),
        bpf_fd: number(object),
        file_flags: 0,
    };
    // SAFETY: the path is live and ends with a NUL.
    unsafe { bpf::call(Command::ObjPin, &mut attributes) }.map(drop)
}

/// `BPF_F_RDONLY`.
pub(in crate::kernel) const READ_ONLY: u32 = 1 << 3;

pub(in crate::kernel) fn get(path: &CStr, file_flags: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = Object {
        pathname: address(path.to_bytes_with_nul()),
        bpf_fd: 0,
        file_flags,
    };
    // SAFETY: the path is live and ends with a NUL; the command returns a descriptor.
    unsafe { bpf::open(Command::ObjGet, &mut attributes) }
}

#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

pub(in crate::kernel) fn program_by_id(id: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = ById {
        id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::ProgGetFdById, &mut attributes) }
}

pub(in crate::kernel) fn map_by_id(id: u32, open_flags: u32) -> Result<OwnedFd, Errno> {
    let mut attributes = ById {
        id,
        next_id: 0,
        open_flags,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::MapGetFdById, &mut attributes) }
}

/// `struct bpf_prog_info`. The kernel reads the lengths and addresses, so they start as zero.
#[derive(Default)]
#[repr(C)]
pub(in crate::kernel) struct ProgramInfo {
    pub(in crate::kernel) prog_type: u32,
    pub(in crate::kernel) id: u32,
    pub(in crate::kernel) tag: [u8; 8],
    pub(in crate::kernel) jited_prog_len: u32,
    pub(in crate::kernel) xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    pub(in crate::kernel) load_time: u64,
    pub(in crate::kernel) created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    pub(in crate::kernel) name: [u8; 16],
    ifindex: u32,
    /// Bit 0: GPL compatible.
    pub(in crate::kernel) bits: u32,
    netns_dev: u64,
    netns_ino: u64,
    nr_jited_ksyms: u32,
    nr_jited_func_lens: u32,
    jited_ksyms: u64,
    jited_func_lens: u64,
    pub(in crate::kernel) btf_id: u32,
    func_info_rec_size: u32,
    func_info: u64,
    nr_func_info: u32,
    nr_line_info: u32,
    line_info: u64,
    jited_line_info: u64,
    nr_jited_line_info: u32,
    line_info_rec_size: u32,
    jited_line_info_rec_size: u32,
    nr_prog_tags: u32,
    prog_tags: u64,
    pub(in crate::kernel) run_time_ns: u64,
    pub(in crate::kernel) run_cnt: u64,
    pub(in crate::kernel) recursion_misses: u64,
    pub(in crate::kernel) verified_insns: u32,
    padding: u32,
}

/// `struct bpf_map_info`.
#[derive(Default)]
#[repr(C)]
pub(in crate::kernel) struct MapInfo {
    pub(in crate::kernel) map_type: u32,
    pub(in crate::kernel) id: u32,
    pub(in crate::kernel) key_size: u32,
    pub(in crate::kernel) value_size: u32,
    pub(in crate::kernel) max_entries: u32,
    pub(in crate::kernel) map_flags: u32,
    pub(in crate::kernel) name: [u8; 16],
    ifindex: u32,
    btf_vmlinux_value_type_id: u32,
    netns_dev: u64,
    netns_ino: u64,
    pub(in crate::kernel) btf_id: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
    btf_vmlinux_id: u32,
    pub(in crate::kernel) map_extra: u64,
}

/// `struct bpf_link_info`; what follows the header depends on the link type.
#[derive(Default)]
#[repr(C)]
pub(in crate::kernel) struct LinkInfo {
    pub(in crate::kernel) link_type: u32,
    pub(in crate::kernel) id: u32,
    pub(in crate::kernel) prog_id: u32,
    padding: u32,
    pub(in crate::kernel) rest: [u32; 10],
}

#[repr(C)]
struct Info {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// The program's information; the ids of its maps go to `maps`, as many as fit. Returns how many it has.
pub(in crate::kernel) fn program_info(
    program: BorrowedFd<'_>,
    maps: &mut [u32],
) -> Result<(ProgramInfo, usize), Errno> {
    let mut info = ProgramInfo {
        nr_map_ids: u32::try_from(maps.len()).map_err(|_| Errno::TOOBIG)?,
        map_ids: address_mut(maps),
        ..ProgramInfo::default()
    };
    // SAFETY: the only address in the structure is of a live, exclusive slice of `nr_map_ids` elements.
    unsafe { fill(program, &mut info) }?;
    let count = info.nr_map_ids as usize;
    Ok((info, count))
}

pub(in crate::kernel) fn map_info(map: BorrowedFd<'_>) -> Result<MapInfo, Errno> {
    let mut info = MapInfo::default();
    // SAFETY: the structure holds no address.
    unsafe { fill(map, &mut info) }?;
    Ok(info)
}

pub(in crate::kernel) fn link_info(link: BorrowedFd<'_>) -> Result<LinkInfo, Errno> {
    let mut info = LinkInfo::default();
    // SAFETY: the structure holds no address: what link types take for one is zero.
    unsafe { fill(link, &mut info) }?;
    Ok(info)
}

/// `BPF_OBJ_GET_INFO_BY_FD`. A descriptor of another kind fills the structure with that kind's numbers, which are wrong but
/// harmless: the kernel writes no more than the structure's length.
///
/// # Safety
/// `I` is `#[repr(C)]`, made of integers; each address in it, read as any kind of information, is zero or as long as the
/// count beside it says.
unsafe fn fill<I>(object: BorrowedFd<'_>, info: &mut I) -> Result<(), Errno> {
    let length = u32::try_from(size_of::<I>()).map_err(|_| Errno::TOOBIG)?;
    let mut attributes = Info {
        bpf_fd: number(object),
        info_len: length,
        info: std::ptr::from_mut(info).expose_provenance() as u64,
    };
    // SAFETY: `info` is exclusive and as long as the length beside it; the caller vouches for what is in it.
    unsafe { bpf::call(Command::ObjGetInfoByFd, &mut attributes) }.map(drop)
}
