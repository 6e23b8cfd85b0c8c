//! How many CPUs the kernel may ever have.

use rustix::io::Errno;
use std::sync::OnceLock;

const LIST: &str = "/sys/devices/system/cpu/possible";

/// Possible CPUs: as many values as a per-CPU element has, as many entries as a perf event array needs. It does not change
/// while the kernel runs, so it is read once.
pub fn possible() -> Result<u32, Errno> {
    static POSSIBLE: OnceLock<u32> = OnceLock::new();
    if let Some(count) = POSSIBLE.get() {
        return Ok(*count);
    }
    let list = std::fs::read_to_string(LIST)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let count = parse(&list).ok_or(Errno::IO)?;
    Ok(*POSSIBLE.get_or_init(|| count))
}

/// One more than the highest CPU of a list like `0-3,8`: the kernel sizes per-CPU values by the highest number.
fn parse(list: &str) -> Option<u32> {
    let last = list.trim().rsplit(',').next()?;
    let highest = last.rsplit('-').next()?;
    highest.parse::<u32>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted_to_the_highest() {
        assert_eq!(parse("0\n"), Some(1));
        assert_eq!(parse("0-63\n"), Some(64));
        assert_eq!(parse("0-3,8-11\n"), Some(12));
        assert_eq!(parse(""), None);
        assert_eq!(parse("4294967295"), None);
    }
}
