//! Carries out [`Removal`]s. Each may be repeated: what is gone already is no error.

use crate::chains::libxdp::Session;
use crate::chains::reach::Way;
use crate::chains::rebuild::FilterPlace;
use crate::chains::{filter, work};
use crate::helpers::Helpers;
use crate::kernel::clsact::{self, Put};
use crate::kernel::{Error, pin};
use crate::kinds;
use crate::limits::{LIBXDP_LOCK_WAIT, PINS};
use crate::steps::Removal;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Carries out one removal. What is in another network namespace is reached with the help of `helpers`.
pub async fn remove(removal: &Removal, helpers: &dyn Helpers) -> Result<(), Failure> {
    match removal {
        Removal::RemoveLink { pin } => kinds::detach(pin)
            .map(drop)
            .map_err(|error| error.into_failure(Stage::Detach, pin.display())),
        Removal::RemovePin { path } => unlink(path),
        Removal::RemoveDirectory { path } => gone(fs::remove_dir(path), path),
        Removal::RemoveMapSet { path } => remove_map_set(path),
        Removal::ForgetPlan { path } => gone(fs::remove_file(path), path),
        Removal::RemoveRevision { path } => remove_revision(path),
        Removal::RestoreHead { link, head } => restore_head(link, head)
            .map_err(|error| error.into_failure(Stage::Detach, link.display())),
        Removal::RemoveFilter(place) => remove_filter(*place, &Way::Own),
        Removal::RestoreFilter { place, head } => restore_filter(*place, head, &Way::Own),
        Removal::RemoveFilterElsewhere { place, elsewhere } => {
            match Way::to(Some(elsewhere), helpers).await? {
                Some(way) => remove_filter(*place, &way),
                None => Ok(()),
            }
        }
        Removal::RestoreFilterElsewhere {
            place,
            head,
            elsewhere,
        } => match Way::to(Some(elsewhere), helpers).await? {
            Some(way) => restore_filter(*place, head, &way),
            None => Ok(()),
        },
        Removal::RetireLibxdp {
            ifindex,
            dispatcher,
        } => {
            let session =
                Session::open_whatever_is_there(*ifindex, LIBXDP_LOCK_WAIT, helpers).await?;
            session.retire(&[*dispatcher], helpers).await
        }
    }
}

/// Links end before the head that they are part of.
fn remove_revision(path: &Path) -> Result<(), Failure> {
    let mut pins = entries(path)?;
    pins.sort_by_key(|pin| pin.file_name().is_some_and(|name| name == "dispatcher"));
    for pin in pins {
        kinds::detach(&pin).map_err(|error| error.into_failure(Stage::Detach, pin.display()))?;
    }
    gone(fs::remove_dir(path), path)
}

/// Nothing to do where the hook is gone, or its interface.
fn restore_head(link: &Path, head: &Path) -> Result<(), Error> {
    let swapped = pin::get(head).and_then(|head| work::swap_head(link, head.as_fd(), None));
    match swapped {
        Err(error) if error.is_not_found() || error.errno == Errno::NOLINK => Ok(()),
        swapped => swapped,
    }
}

fn remove_filter(place: FilterPlace, way: &Way) -> Result<(), Failure> {
    let removed = way.with(|socket| {
        let filters = clsact::filters(socket, place.ifindex, place.direction)?;
        let is_ours = filters.iter().any(|found| {
            found.filter == place.filter && found.program_id == Some(place.program_id)
        });
        if is_ours {
            clsact::remove(socket, place.ifindex, place.direction, place.filter)?;
        }
        Ok(())
    });
    removed.map_err(of_filter)
}

fn restore_filter(place: FilterPlace, head: &Path, way: &Way) -> Result<(), Failure> {
    let head = pin::get(head);
    match head.and_then(|head| filter::put(place, head.as_fd(), Put::InPlace, way)) {
        // The filter, clsact or the interface is gone.
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NODEV | Errno::INVAL) => Ok(()),
        restored => restored.map_err(of_filter),
    }
}

fn of_filter(error: Error) -> Failure {
    error.into_failure(Stage::Detach, "the filter of a chain")
}

fn unlink(path: &Path) -> Result<(), Failure> {
    pin::unlink(path)
        .map(drop)
        .map_err(|error| error.into_failure(Stage::Unload, path.display()))
}

fn remove_map_set(path: &Path) -> Result<(), Failure> {
    for pin in entries(path)? {
        unlink(&pin)?;
    }
    gone(fs::remove_dir(path), path)
}

/// What is in a directory; nothing where there is none.
fn entries(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error, path)),
    };
    entries
        .take(PINS)
        .map(|entry| Ok(entry.map_err(|error| failed(&error, path))?.path()))
        .collect()
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
