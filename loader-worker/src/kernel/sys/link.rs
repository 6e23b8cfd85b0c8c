//! Link commands.
#![allow(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use super::bpf::{self, Command, address, number};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

/// The head of `BPF_LINK_CREATE`: program, target (interface or descriptor), attach type, flags.
#[repr(C)]
struct Head {
    prog_fd: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct Mprog {
    head: Head,
    relative_id: u32,
    padding: u32,
    expected_revision: u64,
}

#[repr(C)]
struct Replacing {
    head: Head,
    target_btf_id: u32,
    padding: u32,
}

#[repr(C)]
struct PerfEvent {
    head: Head,
    bpf_cookie: u64,
}

#[repr(C)]
struct RawTracepoint {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

#[repr(C)]
struct UprobeMulti {
    head: Head,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    cnt: u32,
    flags: u32,
    pid: u32,
    padding: u32,
}

#[repr(C)]
struct KprobeMulti {
    head: Head,
    flags: u32,
    cnt: u32,
    syms: u64,
    addrs: u64,
    cookies: u64,
}

#[repr(C)]
struct Netfilter {
    head: Head,
    pf: u32,
    hooknum: u32,
    priority: i32,
    flags: u32,
}

#[repr(C)]
struct Update {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

#[repr(C)]
struct Detach {
    link_fd: u32,
}

pub(in crate::kernel) fn create_mprog(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative_id: u32,
    expected_revision: u64,
) -> Result<OwnedFd, Errno> {
    let head = Head {
        prog_fd: number(program),
        target: ifindex,
        attach_type,
        flags,
    };
    let mut attributes = Mprog {
        head,
        relative_id,
        padding: 0,
        expected_revision,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn create_xdp(
    program: BorrowedFd<'_>,
    ifindex: u32,
    attach_type: u32,
    flags: u32,
) -> Result<OwnedFd, Errno> {
    let mut attributes = Head {
        prog_fd: number(program),
        target: ifindex,
        attach_type,
        flags,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn create_tracing(
    program: BorrowedFd<'_>,
    attach_type: u32,
) -> Result<OwnedFd, Errno> {
    let mut attributes = Head {
        prog_fd: number(program),
        target: 0,
        attach_type,
        flags: 0,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn create_replacing(
    program: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    function: u32,
) -> Result<OwnedFd, Errno> {
    let head = Head {
        prog_fd: number(program),
        target: number(target),
        attach_type: 0,
        flags: 0,
    };
    let mut attributes = Replacing {
        head,
        target_btf_id: function,
        padding: 0,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

/// On what a descriptor stands for: a network namespace, a control group.
pub(in crate::kernel) fn create_on_descriptor(
    program: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    attach_type: u32,
) -> Result<OwnedFd, Errno> {
    let mut attributes = Head {
        prog_fd: number(program),
        target: number(target),
        attach_type,
        flags: 0,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn open_raw_tracepoint(
    program: BorrowedFd<'_>,
    name: &CStr,
) -> Result<OwnedFd, Errno> {
    let mut attributes = RawTracepoint {
        name: address(name.to_bytes_with_nul()),
        prog_fd: number(program),
        padding: 0,
    };
    // SAFETY: the name is live and ends with a NUL; the command returns a descriptor.
    unsafe { bpf::open(Command::RawTracepointOpen, &mut attributes) }
}

pub(in crate::kernel) fn create_perf_event(
    program: BorrowedFd<'_>,
    perf_event: BorrowedFd<'_>,
    attach_type: u32,
    bpf_cookie: u64,
) -> Result<OwnedFd, Errno> {
    let head = Head {
        prog_fd: number(program),
        target: number(perf_event),
        attach_type,
        flags: 0,
    };
    let mut attributes = PerfEvent { head, bpf_cookie };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn create_uprobe_multi(
    program: BorrowedFd<'_>,
    attach_type: u32,
    path: &CStr,
    (offsets, semaphores): (&[u64], &[u64]),
    flags: u32,
    pid: u32,
) -> Result<OwnedFd, Errno> {
    if !semaphores.is_empty() && semaphores.len() != offsets.len() {
        return Err(Errno::INVAL);
    }
    let mut attributes = UprobeMulti {
        head: Head {
            prog_fd: number(program),
            target: 0,
            attach_type,
            flags: 0,
        },
        path: address(path.to_bytes_with_nul()),
        offsets: address(offsets),
        ref_ctr_offsets: if semaphores.is_empty() {
            0
        } else {
            address(semaphores)
        },
        cookies: 0,
        cnt: u32::try_from(offsets.len()).map_err(|_| Errno::TOOBIG)?,
        flags,
        pid,
        padding: 0,
    };
    // SAFETY: the path is live and ends with a NUL; `offsets` is live and has `cnt` elements, `semaphores` as many unless
    // its address is zero, as the other is; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn create_kprobe_multi(
    program: BorrowedFd<'_>,
    attach_type: u32,
    functions: &[CString],
    flags: u32,
) -> Result<OwnedFd, Errno> {
    let symbols: Vec<u64> = functions
        .iter()
        .map(|function| address(function.as_bytes_with_nul()))
        .collect();
    let mut attributes = KprobeMulti {
        head: Head {
            prog_fd: number(program),
            target: 0,
            attach_type,
            flags: 0,
        },
        flags,
        cnt: u32::try_from(symbols.len()).map_err(|_| Errno::TOOBIG)?,
        syms: address(&symbols),
        addrs: 0,
        cookies: 0,
    };
    // SAFETY: `symbols` is live and has `cnt` elements, each the address of a live string that ends with a NUL; the other
    // addresses are zero; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn create_netfilter(
    program: BorrowedFd<'_>,
    attach_type: u32,
    (pf, hooknum): (u32, u32),
    priority: i32,
    flags: u32,
) -> Result<OwnedFd, Errno> {
    let head = Head {
        prog_fd: number(program),
        target: 0,
        attach_type,
        flags: 0,
    };
    let mut attributes = Netfilter {
        head,
        pf,
        hooknum,
        priority,
        flags,
    };
    // SAFETY: the structure holds no address; the command returns a descriptor.
    unsafe { bpf::open(Command::LinkCreate, &mut attributes) }
}

pub(in crate::kernel) fn update(
    link: BorrowedFd<'_>,
    new: BorrowedFd<'_>,
    old: Option<BorrowedFd<'_>>,
    flags: u32,
) -> Result<(), Errno> {
    let mut attributes = Update {
        link_fd: number(link),
        new_prog_fd: number(new),
        flags,
        old_prog_fd: old.map_or(0, number),
    };
    // SAFETY: the structure holds no address.
    unsafe { bpf::call(Command::LinkUpdate, &mut attributes) }.map(drop)
}

pub(in crate::kernel) fn detach(link: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut attributes = Detach {
        link_fd: number(link),
    };
    // SAFETY: the structure holds no address.
    unsafe { bpf::call(Command::LinkDetach, &mut attributes) }.map(drop)
}
