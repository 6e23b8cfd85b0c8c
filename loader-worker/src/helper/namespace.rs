//! The way into a network namespace, which costs CAP_SYS_ADMIN and leaves it outside.

use crate::kernel::Error;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, LinkNameSpaceType, capabilities, move_into_link_name_space,
    set_capabilities,
};
use std::os::fd::BorrowedFd;

/// Moves this thread into a network namespace, then takes CAP_SYS_ADMIN away from it for ever.
#[allow(clippy::disallowed_methods, reason = "this is the one-shot helper")]
pub(super) fn enter(namespace: BorrowedFd<'_>) -> Result<(), Failure> {
    // The type makes the kernel refuse namespaces of other kinds.
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).map_err(refused)?;
    keep_net_admin().map_err(|errno| {
        let error = Error::new("capset", errno);
        error.into_failure(Stage::Attach, "giving CAP_SYS_ADMIN up")
    })
}

/// CAP_NET_ADMIN stays if it was there, and nothing else: what follows works with what the loader works with.
fn keep_net_admin() -> Result<(), Errno> {
    let kept = capabilities(None)?.permitted & CapabilitySet::NET_ADMIN;
    // The kernel takes out of the ambient set what leaves these; the bounding set has been empty since the start.
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)?;
    let left = capabilities(None)?;
    if left == sets {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

fn refused(errno: Errno) -> Failure {
    match errno {
        Errno::INVAL | Errno::BADF => Failure::new(
            FailureCode::InvalidArgument,
            Stage::Resolve,
            "the file that was given is not a network namespace",
        )
        .remedy("give a file like /run/netns/NAME or /proc/PID/ns/net"),
        Errno::PERM => Failure::new(
            FailureCode::PermissionDenied,
            Stage::Resolve,
            "the kernel does not let bpfman into the network namespace",
        )
        .remedy("run the service with CAP_SYS_ADMIN in the user namespace that owns the network namespace"),
        _ => Error::new("setns", errno).into_failure(Stage::Resolve, "the network namespace"),
    }
}
