//! Finding an interface, and finding it gone.

use crate::kernel::{Error, interfaces, suggest, witness};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::os::fd::BorrowedFd;

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

/// Writes an interface into the map that is its witness.
pub fn note(map: BorrowedFd<'_>, ifindex: u32, interface: &str) -> Result<(), Failure> {
    witness::note(map, ifindex).map_err(|error| {
        vanished(ifindex, interface).unwrap_or_else(|| {
            error.into_failure(Stage::Attach, format!("noting interface \"{interface}\""))
        })
    })
}

/// The failure of an act at an interface that has vanished since it was found; `None` while it is there. The kernel calls that
/// an invalid argument (XDP) or no device (tcx, clsact).
pub fn vanished(ifindex: u32, interface: &str) -> Option<Failure> {
    matches!(interfaces::name(ifindex), Ok(None)).then(|| taken_away(interface))
}

/// That failure.
pub fn taken_away(interface: &str) -> Failure {
    let cause = format!("interface \"{interface}\" was taken away while attaching to it");
    Failure::new(FailureCode::NotFound, Stage::Attach, cause)
        .remedy("see `ip link` for the interfaces")
}
