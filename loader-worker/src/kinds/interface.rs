//! What the kinds on network interfaces share: finding the interface.

use super::{Hook, invalid};
use crate::hooks;
use crate::kernel::interfaces;
use ipc::messages::failure::{Failure, Stage};

/// The interface of this name in the process's own network namespace.
pub(super) fn find(name: &str) -> Result<Hook, Failure> {
    if name.is_empty() {
        return Err(invalid(Stage::Request, "interface name is empty"));
    }
    let nsid = interfaces::own_namespace()
        .map_err(|error| error.into_failure(Stage::Resolve, "the service's network namespace"))?;
    let ifindex = hooks::interface::find(name)?;
    Ok(Hook::Interface { ifindex, nsid })
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
