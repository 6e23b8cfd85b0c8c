//! A worker does not outlive the process that started it, even when that one is killed.
//!
//! A parent that ended before `enter` began is not noticed here; the end of file on the control socket tells.

use crate::EnterError;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The parent before anything else is done. `None` is a parent outside of the pid namespace.
pub(crate) fn current_parent() -> Option<Pid> {
    getppid()
}

pub(crate) fn follow(parent: Option<Pid>) -> Result<(), EnterError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(EnterError::refused(
        "parent death",
        "ask for the signal",
        "report the kernel version",
    ))?;
    // The signal was asked for too late if the process has been given to another parent meanwhile.
    if getppid() == parent {
        Ok(())
    } else {
        Err(EnterError::ParentGone)
    }
}
