//! Carries out [`Removal`]s. Each may be repeated: what is gone already is no error.

use crate::kernel::pin;
use crate::kinds;
use crate::limits::PINS;
use crate::steps::Removal;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::fs;
use std::io;
use std::path::Path;

/// Carries out one removal.
pub fn remove(removal: &Removal) -> Result<(), Failure> {
    match removal {
        Removal::RemoveLink { pin } => kinds::detach(pin)
            .map(drop)
            .map_err(|error| error.into_failure(Stage::Detach, pin.display())),
        Removal::RemovePin { path } => unlink(path),
        Removal::RemoveDirectory { path } => gone(fs::remove_dir(path), path),
        Removal::RemoveMapSet { path } => remove_map_set(path),
        Removal::ForgetPlan { path } => gone(fs::remove_file(path), path),
    }
}

fn unlink(path: &Path) -> Result<(), Failure> {
    pin::unlink(path)
        .map(drop)
        .map_err(|error| error.into_failure(Stage::Unload, path.display()))
}

fn remove_map_set(path: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error, path)),
    };
    for entry in entries.take(PINS) {
        let entry = entry.map_err(|error| failed(&error, path))?;
        unlink(&entry.path())?;
    }
    gone(fs::remove_dir(path), path)
}

fn gone(outcome: io::Result<()>, path: &Path) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&error, path)),
        _ => Ok(()),
    }
}

fn failed(error: &io::Error, path: &Path) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Unload,
        format!("{}: {error}", path.display()),
    )
    .remedy("see that the loader may write there, then repeat the request")
}
