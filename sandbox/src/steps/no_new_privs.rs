//! No exec gives back what was given up. Landlock and seccomp demand it of a process without CAP_SYS_ADMIN.

use crate::EnterError;

pub(crate) fn set() -> Result<(), EnterError> {
    rustix::thread::set_no_new_privs(true).map_err(EnterError::refused(
        "no_new_privs",
        "set it",
        "use a kernel of 3.5 or newer",
    ))
}
