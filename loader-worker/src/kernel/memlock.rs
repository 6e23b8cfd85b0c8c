//! How much memory programs take. The kernel tells it through /proc alone, which costs more than all else that is asked
//! about a program; but it does not change while the program lives, so it is remembered.

use super::info;
use super::limits::MEMLOCKS;
use crate::poison;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

/// Bytes of programs by their kernel ids. The kernel gives no id again before it has given two thousand million others.
#[derive(Debug, Default)]
pub struct Memlocks(Mutex<HashMap<u32, u64>>);

impl Memlocks {
    /// Bytes that this program takes; `None` when /proc does not tell.
    pub fn of(&self, id: u32, program: BorrowedFd<'_>) -> Option<u64> {
        if let Some(bytes) = poison::lock(&self.0).get(&id) {
            return Some(*bytes);
        }
        let bytes = info::memlock(program)?;
        let mut known = poison::lock(&self.0);
        if known.len() >= MEMLOCKS {
            known.clear();
        }
        known.insert(id, bytes);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_known_is_not_asked_again_and_is_bounded() {
        // A file of /proc, whose own fdinfo has no such field.
        let file = File::open("/proc/self/status").unwrap();
        let memlocks = Memlocks::default();
        assert_eq!(memlocks.of(1, file.as_fd()), None);
        let fill = |count: usize| {
            *poison::lock(&memlocks.0) = (0..count as u32).map(|id| (id, 4096)).collect();
        };
        fill(1);
        assert_eq!(memlocks.of(0, file.as_fd()), Some(4096));
        fill(MEMLOCKS);
        assert_eq!(memlocks.of(u32::MAX, file.as_fd()), None);
        assert_eq!(memlocks.of(0, file.as_fd()), Some(4096));
    }
}
