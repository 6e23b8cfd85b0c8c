//! Perf events for BPF programs to sit behind.

use super::link::descriptor_path;
use super::sampled_events::SampledEvent;
use super::{Error, sys};
use ipc::messages::attach::Sampling;
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

const UPROBE_PMU: &str = "/sys/bus/event_source/devices/uprobe";

/// Where the kernel shows that it can probe its own functions.
pub const KPROBE_PMU: &str = "/sys/bus/event_source/devices/kprobe";

/// The event of a tracepoint, for all processes on all CPUs. Needs CAP_PERFMON, where `perf_event_paranoid` is above 2
/// CAP_SYS_ADMIN.
pub fn open_tracepoint(id: u64) -> Result<OwnedFd, Error> {
    sys::perf::open_tracepoint(id).map_err(opened)
}

/// An event that is sampled, of one thread or of all on one CPU. Needs CAP_PERFMON, where `perf_event_paranoid` is above 2
/// CAP_SYS_ADMIN. `ENOENT`: this machine does not have it.
pub fn open_sampled(
    event: &SampledEvent,
    sampling: Sampling,
    pid: Option<i32>,
    cpu: Option<u32>,
) -> Result<OwnedFd, Error> {
    let sample = match sampling {
        Sampling::Period(period) => (period, false),
        Sampling::Frequency(frequency) => (frequency, true),
    };
    sys::perf::open_sampled((event.event_type, event.config), sample, pid, cpu).map_err(opened)
}

/// The event of one uprobe, on the file behind a descriptor. Needs CAP_SYS_ADMIN.
pub fn open_uprobe(
    target: BorrowedFd<'_>,
    file_offset: u64,
    retprobe: bool,
    pid: Option<i32>,
) -> Result<OwnedFd, Error> {
    let (pmu, config) = pmu(UPROBE_PMU, retprobe)?;
    sys::perf::open_uprobe(pmu, config, &descriptor_path(target), file_offset, pid).map_err(opened)
}

/// Whether the kernel was built with kprobes.
pub fn has_kprobes() -> bool {
    Path::new(KPROBE_PMU).exists()
}

/// The event of one kprobe, for all processes. Needs CAP_SYS_ADMIN.
pub fn open_kprobe(function: &str, offset: u64, retprobe: bool) -> Result<OwnedFd, Error> {
    let function =
        CString::new(function).map_err(|_| Error::new("a kernel function's name", Errno::INVAL))?;
    let (pmu, config) = pmu(KPROBE_PMU, retprobe)?;
    sys::perf::open_kprobe(pmu, config, &function, offset).map_err(opened)
}

/// The number of a PMU, and the configuration that asks for the return.
fn pmu(pmu: &str, retprobe: bool) -> Result<(u32, u64), Error> {
    let number = read(pmu, "type")?
        .trim()
        .parse()
        .map_err(|_| Error::new("the type of the PMU", Errno::INVAL))?;
    let config = if retprobe {
        retprobe_bit(&read(pmu, "format/retprobe")?)?
    } else {
        0
    };
    Ok((number, config))
}

/// `config:N` says which bit of the configuration asks for the return.
fn retprobe_bit(format: &str) -> Result<u64, Error> {
    let unknown = || Error::new("the format of the PMU", Errno::INVAL);
    let bit: u32 = format
        .trim()
        .strip_prefix("config:")
        .ok_or_else(unknown)?
        .parse()
        .map_err(|_| unknown())?;
    1_u64.checked_shl(bit).ok_or_else(unknown)
}

fn read(pmu: &str, file: &str) -> Result<String, Error> {
    std::fs::read_to_string(format!("{pmu}/{file}"))
        .map_err(|error| Error::from_io("reading the PMU", &error))
}

fn opened(errno: Errno) -> Error {
    Error::new("perf_event_open", errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retprobe_bit_is_read() {
        assert_eq!(retprobe_bit("config:0\n").unwrap(), 1);
        assert_eq!(retprobe_bit("config:63\n").unwrap(), 1 << 63);
        for wrong in ["", "config:64", "config1:0", "config:0-1"] {
            assert!(retprobe_bit(wrong).is_err(), "{wrong:?}");
        }
    }
}
