//! The kernel's signal when the process that started this one has died.
//!
//! A help, not a promise: the signal obeys the permissions of kill(2), seen from the dead parent's capabilities at that
//! time. The spawner, whose CAP_KILL is not effective between two calls, may not signal a worker of another user, so
//! nothing comes. What ends workers is the end of file on their control socket, and for one that does not heed it the
//! service manager, which ends all of the service. A parent that ended before `enter` began is not noticed here either.

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
