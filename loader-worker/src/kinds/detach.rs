//! Detaching: after it the program does not run through the link any more.
//!
//! Links of interfaces know `BPF_LINK_DETACH`: the kernel has taken the program off before the call returns, whoever else
//! holds the link.
//!
//! Links of perf events and uprobes end with their last reference, and only the close of a descriptor ends them before the
//! call returns; a reference that a pin held last is dropped by a worker of the kernel, later. So the order is: open, remove
//! the pin, close. On the kernels that were measured (6.1, 6.12, 6.18) the pin's reference goes with the pin, so the close
//! is the last. Looking for the link's id afterwards would prove less, because the kernel gives the id up before it stops
//! the program, and takes CAP_SYS_ADMIN. A link that another process holds open goes on until that closes it; only
//! processes with access to bpfman's pins can.

use crate::kernel::{Error, link, pin};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::path::Path;

/// How a link ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Release {
    /// It is off its hook.
    Detached,
    /// The pin was gone already, and with it the link.
    WasGone,
}

/// Takes a pinned link off its hook and removes the pin. Blocks: for links of perf events and uprobes some tens of
/// milliseconds, which the kernel takes to be sure that no CPU is in the program any more.
pub fn detach(path: &Path) -> Result<Release, Error> {
    let link = match pin::get(path) {
        Ok(link) => link,
        Err(error) if error.is_not_found() => return Ok(Release::WasGone),
        Err(error) => return Err(error),
    };
    match link::detach(link.as_fd()) {
        Err(error) if !ends_with_last_reference(error.errno) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    pin::unlink(path)?;
    drop(link);
    Ok(Release::Detached)
}

/// `EOPNOTSUPP`: this type of link knows no detach. `EINVAL`: this kernel does not. `ENOLINK`, `ENODEV`: what it was
/// attached to is gone.
fn ends_with_last_reference(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::OPNOTSUPP | Errno::INVAL | Errno::NOLINK | Errno::NODEV
    )
}
