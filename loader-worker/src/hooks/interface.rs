//! Finding an interface, and finding it gone.

use crate::kernel::{Error, interfaces, suggest};
use ipc::messages::failure::{Failure, FailureCode, Stage};

/// Index of the interface of this name. One that does not exist comes back with suggestions.
pub fn find(name: &str) -> Result<u32, Failure> {
    let failed = |error: Error| error.into_failure(Stage::Resolve, format!("interface \"{name}\""));
    interfaces::index(name).map_err(failed)?.ok_or_else(|| {
        let cause = format!("interface \"{name}\" not found");
        Failure::new(FailureCode::InvalidArgument, Stage::Resolve, cause).remedy(suggest::remedy(
            &interfaces::near(name),
            "see `ip link` for the interfaces",
        ))
    })
}

/// The failure of an act at an interface that has vanished since it was found; `None` while it is there. The kernel calls that
/// an invalid argument (XDP) or no device (tcx, clsact).
pub fn vanished(ifindex: u32, interface: &str) -> Option<Failure> {
    matches!(interfaces::name(ifindex), Ok(None)).then(|| {
        let cause = format!("interface \"{interface}\" was taken away while attaching to it");
        Failure::new(FailureCode::NotFound, Stage::Attach, cause)
            .remedy("see `ip link` for the interfaces")
    })
}
