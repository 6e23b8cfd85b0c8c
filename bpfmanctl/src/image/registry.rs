//! The way to a registry, for what is done without the service.

use oci::registry::{Client, Repository, Settings};
use oci::{Error, Reference};

/// The repository of a reference.
pub(crate) fn repository(reference: &Reference) -> Result<Repository, Error> {
    Client::new(Settings::default())?.repository(reference, None)
}
