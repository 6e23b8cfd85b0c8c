//! BTF and program commands.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use super::bpf::{self, Command, address, address_mut, number};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

#[repr(C)]
struct BtfLoad {
    btf: u64,
    log_buf: u64,
    btf_size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

/// Loads a BTF blob, writing what the kernel says about it to `log` unless that is empty.
pub(in crate::kernel) fn btf_load(blob: &[u8], log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let mut attributes = BtfLoad {
        btf: address(blob),
        btf_size: length(blob)?,
        log_level: u32::from(!log.is_empty()),
        log_size: length(log)?,
        log_buf: address_mut(log),
        padding: 0,
    };
    // SAFETY: both addresses are of live slices whose lengths stand beside them; the command returns a descriptor.
    unsafe { bpf::open(Command::BtfLoad, &mut attributes) }
}

/// What `BPF_PROG_LOAD` is given.
pub(in crate::kernel) struct Load<'a> {
    pub(in crate::kernel) prog_type: u32,
    pub(in crate::kernel) expected_attach_type: u32,
    pub(in crate::kernel) flags: u32,
    pub(in crate::kernel) name: [u8; 16],
    pub(in crate::kernel) license: &'a CStr,
    /// 8 bytes each.
    pub(in crate::kernel) instructions: &'a [u8],
    pub(in crate::kernel) btf: Option<BorrowedFd<'a>>,
    /// Record size and records.
    pub(in crate::kernel) func_info: (u32, &'a [u8]),
    pub(in crate::kernel) line_info: (u32, &'a [u8]),
    /// Type id of the target: in the kernel's own BTF, or in that of `target`; 0 for programs that are attached later.
    pub(in crate::kernel) attach_btf_id: u32,
    /// The program with the function that this one is to replace.
    pub(in crate::kernel) target: Option<BorrowedFd<'a>>,
}

#[derive(Default)]
#[repr(C)]
struct Attributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_prog_fd: u32,
    /// Named, because padding would be whatever was there before, and the kernel reads it.
    core_relo_cnt: u32,
}

/// Loads a program, writing the verifier's log (level 1) to `log` unless that is empty.
pub(in crate::kernel) fn load(program: &Load<'_>, log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let mut attributes = Attributes {
        prog_type: program.prog_type,
        insn_cnt: length(program.instructions)? / 8,
        insns: address(program.instructions),
        license: address(program.license.to_bytes_with_nul()),
        log_level: u32::from(!log.is_empty()),
        log_size: length(log)?,
        log_buf: address_mut(log),
        prog_flags: program.flags,
        prog_name: program.name,
        expected_attach_type: program.expected_attach_type,
        attach_btf_id: program.attach_btf_id,
        attach_prog_fd: program.target.map_or(0, number),
        ..Attributes::default()
    };
    if let Some(btf) = program.btf {
        attributes.prog_btf_fd = number(btf);
        (
            attributes.func_info_rec_size,
            attributes.func_info_cnt,
            attributes.func_info,
        ) = table(program.func_info)?;
        (
            attributes.line_info_rec_size,
            attributes.line_info_cnt,
            attributes.line_info,
        ) = table(program.line_info)?;
    }
    // SAFETY: each address is of a live slice; the counts beside them, times the record sizes, are at most their lengths;
    // the licence ends with a NUL; the command returns a descriptor.
    unsafe { bpf::open(Command::ProgLoad, &mut attributes) }
}

/// Record size, number of whole records, address.
fn table((record_size, records): (u32, &[u8])) -> Result<(u32, u32, u64), Errno> {
    match length(records)?.checked_div(record_size) {
        None | Some(0) => Ok((0, 0, 0)),
        Some(count) => Ok((record_size, count, address(records))),
    }
}

fn length(bytes: &[u8]) -> Result<u32, Errno> {
    u32::try_from(bytes.len()).map_err(|_| Errno::TOOBIG)
}

/// `BPF_PROG_QUERY` of a hook of tcx or netkit.
#[derive(Default)]
#[repr(C)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// Revision of the hook and how many programs are on it; their ids and those of their links in running order.
pub(in crate::kernel) fn query_mprog(
    ifindex: u32,
    attach_type: u32,
    programs: &mut [u32],
    links: &mut [u32],
) -> Result<(u64, usize), Errno> {
    if programs.len() != links.len() {
        return Err(Errno::INVAL);
    }
    let mut attributes = Query {
        target_ifindex: ifindex,
        attach_type,
        prog_ids: address_mut(programs),
        link_ids: address_mut(links),
        count: u32::try_from(programs.len()).map_err(|_| Errno::TOOBIG)?,
        ..Query::default()
    };
    // SAFETY: both addresses are of live, exclusive slices of `count` elements.
    unsafe { bpf::call(Command::ProgQuery, &mut attributes) }?;
    Ok((attributes.revision, attributes.count as usize))
}
