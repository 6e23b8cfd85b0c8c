//! Processes of the same user neither trace this one nor read its memory.

use crate::EnterError;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

pub(crate) fn set() -> Result<(), EnterError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(EnterError::refused(
        "dumpable",
        "clear the flag",
        "report the kernel version",
    ))
}
