//! What the kinds on network interfaces share: finding the interface.

use super::{Hook, invalid};
use crate::kernel::{interfaces, suggest};
use ipc::messages::failure::{Failure, Stage};

/// The interface of this name in the process's own network namespace.
pub(super) fn find(name: &str) -> Result<Hook, Failure> {
    if name.is_empty() {
        return Err(invalid(Stage::Request, "interface name is empty"));
    }
    let failed = |error: crate::kernel::Error| {
        error.into_failure(Stage::Resolve, format!("interface \"{name}\""))
    };
    let nsid = interfaces::own_namespace().map_err(failed)?;
    match interfaces::index(name).map_err(failed)? {
        Some(ifindex) => Ok(Hook::Interface { ifindex, nsid }),
        None => Err(
            invalid(Stage::Resolve, format!("interface \"{name}\" not found")).remedy(
                suggest::remedy(&interfaces::near(name), "see `ip link` for the interfaces"),
            ),
        ),
    }
}

/// Refuses priorities below zero.
pub(super) fn check_priority(priority: i32) -> Result<(), Failure> {
    if priority < 0 {
        return Err(invalid(
            Stage::Request,
            format!("priority {priority} is negative"),
        ));
    }
    Ok(())
}
