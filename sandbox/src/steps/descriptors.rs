//! Adopts the descriptors that the spawner passed; closes every other one.

use crate::{EnterError, kernel};
use std::os::fd::RawFd;

const STEP: &str = "descriptors";
const REMEDY: &str = "use a kernel of 5.9 or newer";

/// Keeps exactly these. The caller owns no other: what it opened earlier is closed under it.
pub(crate) fn keep_only(role: &'static str, descriptors: &[RawFd]) -> Result<(), EnterError> {
    for &descriptor in descriptors {
        if !kernel::is_open(descriptor) {
            return Err(EnterError::DescriptorMissing { role, descriptor });
        }
        if descriptor > libc::STDERR_FILENO {
            kernel::set_close_on_exec(descriptor).map_err(EnterError::refused(
                STEP,
                format!("set FD_CLOEXEC of {descriptor}"),
                REMEDY,
            ))?;
        }
    }
    for (first, last) in gaps(descriptors) {
        kernel::close_range(first, last).map_err(EnterError::refused(
            STEP,
            format!("close {first} to {last}"),
            REMEDY,
        ))?;
    }
    Ok(())
}

/// The ranges between the kept ones, both ends included.
fn gaps(kept: &[RawFd]) -> Vec<(u32, u32)> {
    let mut kept: Vec<u32> = kept
        .iter()
        .filter_map(|&fd| u32::try_from(fd).ok())
        .collect();
    kept.sort_unstable();
    kept.dedup();
    let mut gaps = Vec::with_capacity(kept.len() + 1);
    let mut next = 0;
    for descriptor in kept {
        if descriptor > next {
            gaps.push((next, descriptor - 1));
        }
        next = descriptor + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_between_is_a_gap() {
        assert_eq!(gaps(&[0, 1, 2, 3]), [(4, u32::MAX)]);
        assert_eq!(gaps(&[7, 2, 0, 2]), [(1, 1), (3, 6), (8, u32::MAX)]);
        assert_eq!(gaps(&[]), [(0, u32::MAX)]);
    }

    #[test]
    fn a_missing_descriptor_is_named() {
        let error = keep_only("test", &[0, 987_654]).unwrap_err();
        assert!(matches!(
            error,
            EnterError::DescriptorMissing {
                descriptor: 987_654,
                ..
            }
        ));
    }
}
