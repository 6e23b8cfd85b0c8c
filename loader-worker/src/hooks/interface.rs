//! Finding an interface.

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
