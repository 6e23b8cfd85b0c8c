//! What is on a hook. Needs CAP_NET_ADMIN.

use super::limits::HOOK_PROGRAMS;
use super::{Error, link, sys};
use ipc::messages::attach::Direction;

/// A tcx hook at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hook {
    /// Changes with every change of the hook.
    pub revision: u64,
    /// Kernel ids of the programs, in running order.
    pub programs: Vec<u32>,
    /// Kernel ids of their links, 0 for programs attached without one.
    pub links: Vec<u32>,
}

/// The programs on a tcx hook.
pub fn tcx(ifindex: u32, direction: Direction) -> Result<Hook, Error> {
    let mut programs = vec![0; HOOK_PROGRAMS];
    let mut links = vec![0; HOOK_PROGRAMS];
    let (revision, count) = sys::program::query_tcx(
        ifindex,
        link::tcx_attach_type(direction),
        &mut programs,
        &mut links,
    )
    .map_err(|errno| Error::new("BPF_PROG_QUERY", errno))?;
    programs.truncate(count);
    links.truncate(count);
    Ok(Hook {
        revision,
        programs,
        links,
    })
}
