//! What the kinds on network interfaces share.

use super::{AttachRequest, Hook, Prepared, invalid, mismatched};
use crate::network_namespace::NetworkPlace;
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};

/// Where the hook is.
pub(super) fn place<'a>(request: &AttachRequest<'a>) -> Result<&'a NetworkPlace, Failure> {
    request.network.ok_or_else(|| mismatched(request.spec))
}

/// The interface of the request. In the loader's own namespace it acts itself; elsewhere a helper gets the job, with the
/// program beside it.
pub(super) fn prepared(request: &AttachRequest<'_>, job: HelperJob) -> Result<Prepared, Failure> {
    let place = place(request)?;
    let hook = Hook::Interface {
        ifindex: place.ifindex,
        nsid: place.namespace.id(),
    };
    Ok(match place.namespace.beside(&[request.program])? {
        None => Prepared::Ready(hook),
        Some(descriptors) => Prepared::NeedsHelper {
            kind: HelperKind::NetworkNamespace,
            job,
            descriptors,
            hook,
        },
    })
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
