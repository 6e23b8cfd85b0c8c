//! Capabilities, Landlock and seccomp act on the calling thread: there must be no other.

use crate::EnterError;
use crate::status::ProcessStatus;

pub(crate) fn assert_single() -> Result<(), EnterError> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(EnterError::refused(
        "threads",
        "read /proc/self/status",
        "mount /proc",
    ))?;
    match ProcessStatus::parse(&status) {
        Ok(ProcessStatus { threads: 1, .. }) => Ok(()),
        Ok(ProcessStatus { threads, .. }) => Err(EnterError::NotSingleThreaded { found: threads }),
        Err(error) => Err(EnterError::Refused {
            step: "threads",
            what: "parse /proc/self/status".into(),
            source: std::io::Error::other(error),
            remedy: "report the kernel version",
        }),
    }
}
