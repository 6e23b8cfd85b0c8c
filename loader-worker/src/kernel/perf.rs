//! Perf events for BPF programs to sit behind.

use super::link::descriptor_path;
use super::{Error, sys};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

const PMU: &str = "/sys/bus/event_source/devices/uprobe";

/// The event of a tracepoint, for all processes on all CPUs. Needs CAP_PERFMON, where `perf_event_paranoid` is above 2
/// CAP_SYS_ADMIN.
pub fn open_tracepoint(id: u64) -> Result<OwnedFd, Error> {
    sys::perf::open_tracepoint(id).map_err(opened)
}

/// The event of one uprobe, on the file behind a descriptor. Needs CAP_SYS_ADMIN.
pub fn open_uprobe(
    target: BorrowedFd<'_>,
    file_offset: u64,
    retprobe: bool,
    pid: Option<i32>,
) -> Result<OwnedFd, Error> {
    let pmu = read("type")?
        .trim()
        .parse()
        .map_err(|_| Error::new("the type of the uprobe PMU", Errno::INVAL))?;
    let config = if retprobe {
        retprobe_bit(&read("format/retprobe")?)?
    } else {
        0
    };
    sys::perf::open_uprobe(pmu, config, &descriptor_path(target), file_offset, pid).map_err(opened)
}

/// `config:N` says which bit of the configuration asks for the return.
fn retprobe_bit(format: &str) -> Result<u64, Error> {
    let unknown = || Error::new("the format of the uprobe PMU", Errno::INVAL);
    let bit: u32 = format
        .trim()
        .strip_prefix("config:")
        .ok_or_else(unknown)?
        .parse()
        .map_err(|_| unknown())?;
    1_u64.checked_shl(bit).ok_or_else(unknown)
}

fn read(file: &str) -> Result<String, Error> {
    std::fs::read_to_string(format!("{PMU}/{file}"))
        .map_err(|error| Error::from_io("reading the uprobe PMU", &error))
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
