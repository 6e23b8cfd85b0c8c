//! perf_event_open(2).
#![allow(unsafe_code, reason = "perf_event_open(2) has no safe wrapper")]

use super::bpf::{address, last_errno, owned};
use rustix::io::Errno;
use std::ffi::{CStr, c_int, c_ulong};
use std::os::fd::OwnedFd;

/// `struct perf_event_attr` as of `PERF_ATTR_SIZE_VER1`.
#[derive(Default)]
#[repr(C)]
struct Attributes {
    event_type: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
}

/// `PERF_TYPE_HARDWARE`.
const HARDWARE: u32 = 0;
/// `PERF_TYPE_SOFTWARE`.
const SOFTWARE: u32 = 1;
/// `PERF_TYPE_TRACEPOINT`.
const TRACEPOINT: u32 = 2;

/// A counting event on a tracepoint, CPU 0, all processes. A BPF program behind it runs on every CPU all the same.
pub(in crate::kernel) fn open_tracepoint(id: u64) -> Result<OwnedFd, Errno> {
    let attributes = Attributes {
        event_type: TRACEPOINT,
        config: id,
        ..Attributes::default()
    };
    // SAFETY: a tracepoint's configuration holds no address.
    unsafe { open(attributes, -1, 0) }
}

/// An event that is sampled: every `sample`th, or with `frequency` so many in a second. Of one thread, or of all on one CPU.
pub(in crate::kernel) fn open_sampled(
    (event_type, config): (u32, u64),
    (sample, frequency): (u64, bool),
    pid: Option<i32>,
    cpu: Option<u32>,
) -> Result<OwnedFd, Errno> {
    /// Bit `freq` of the flags.
    const FREQUENCY: u64 = 1 << 10;
    if !matches!(event_type, HARDWARE | SOFTWARE) {
        return Err(Errno::INVAL);
    }
    let attributes = Attributes {
        event_type,
        config,
        sample_period: sample,
        flags: if frequency { FREQUENCY } else { 0 },
        ..Attributes::default()
    };
    let cpu = cpu.map_or(Ok(-1), c_int::try_from);
    let cpu = cpu.map_err(|_| Errno::INVAL)?;
    // SAFETY: the configuration of hardware and software events is a number.
    unsafe { open(attributes, pid.unwrap_or(-1), cpu) }
}

/// An event of the uprobe PMU whose type number is `pmu`: at `offset` of the file `path`.
pub(in crate::kernel) fn open_uprobe(
    pmu: u32,
    config: u64,
    path: &CStr,
    offset: u64,
    pid: Option<i32>,
) -> Result<OwnedFd, Errno> {
    let attributes = Attributes {
        event_type: pmu,
        config,
        config1: address(path.to_bytes_with_nul()),
        config2: offset,
        ..Attributes::default()
    };
    let (pid, cpu) = pid.map_or((-1, 0), |pid| (pid, -1));
    // SAFETY: `config1` is the address of a live string that ends with a NUL; a PMU which takes it for something else
    // reads it as a number.
    unsafe { open(attributes, pid, cpu) }
}

/// An event of the kprobe PMU whose type number is `pmu`: `offset` bytes into `function`, on CPU 0, for all processes. A BPF
/// program behind it runs on every CPU all the same.
pub(in crate::kernel) fn open_kprobe(
    pmu: u32,
    config: u64,
    function: &CStr,
    offset: u64,
) -> Result<OwnedFd, Errno> {
    let attributes = Attributes {
        event_type: pmu,
        config,
        config1: address(function.to_bytes_with_nul()),
        config2: offset,
        ..Attributes::default()
    };
    // SAFETY: `config1` is the address of a live string that ends with a NUL; a PMU which takes it for something else
    // reads it as a number.
    unsafe { open(attributes, -1, 0) }
}

/// # Safety
/// What the event type takes for an address is zero or that of a live string with a NUL at its end.
unsafe fn open(mut attributes: Attributes, pid: c_int, cpu: c_int) -> Result<OwnedFd, Errno> {
    const WITHOUT_GROUP: c_int = -1;
    /// `PERF_FLAG_FD_CLOEXEC`.
    const CLOSE_ON_EXEC: c_ulong = 1 << 3;
    attributes.size = u32::try_from(size_of::<Attributes>()).map_err(|_| Errno::TOOBIG)?;
    // SAFETY: `attributes` is live, `size` bytes long and free of padding; the caller vouches for the address in it.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_mut(&mut attributes),
            pid,
            cpu,
            WITHOUT_GROUP,
            CLOSE_ON_EXEC,
        )
    };
    if answer < 0 {
        return Err(last_errno());
    }
    // SAFETY: the call returned a new descriptor.
    Ok(unsafe { owned(answer) })
}
