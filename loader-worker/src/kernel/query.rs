//! What is on a hook. Needs CAP_NET_ADMIN.

use super::limits::HOOK_PROGRAMS;
use super::{Error, sys};
use ipc::messages::mprog::MprogHook;

/// A hook of tcx or netkit at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hook {
    /// Changes with every change of the hook.
    pub revision: u64,
    /// Kernel ids of the programs, in running order.
    pub programs: Vec<u32>,
    /// Kernel ids of their links, 0 for programs attached without one.
    pub links: Vec<u32>,
}

/// The programs on a hook of tcx or netkit.
pub fn mprog(ifindex: u32, hook: MprogHook) -> Result<Hook, Error> {
    let mut programs = vec![0; HOOK_PROGRAMS];
    let mut links = vec![0; HOOK_PROGRAMS];
    let (revision, count) =
        sys::program::query_mprog(ifindex, hook.attach_type(), &mut programs, &mut links)
            .map_err(|errno| Error::new("BPF_PROG_QUERY", errno))?;
    programs.truncate(count);
    links.truncate(count);
    Ok(Hook {
        revision,
        programs,
        links,
    })
}
