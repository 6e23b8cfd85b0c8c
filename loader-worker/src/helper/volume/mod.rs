//! A volume of a pod: a bpffs of its own with the maps that the pod was promised, mounted in the pod's directory.
//!
//! There is no record. The file system is mounted twice, first on the target, then under the id of the volume in the runtime
//! directory; it is taken away in the opposite order. So what has an id is whole, and what is on a target without having any id
//! was left by a helper that was killed: whoever comes next takes it away. That is certain only while no other helper is at
//! work, so the loader has one at a time. Nothing is mounted but beneath the kubelet's directory, whatever the loader asks for
//! ([`places`]).

mod mounts;
mod places;
mod undo;

use crate::helpers::Done;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperResult};
use ipc::messages::volume::{VolumeAccess, VolumePlace};
use mounts::Access;
use places::{Entry, Mount, Place};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use undo::Undo;

pub(super) use places::Roots;

/// Does a job of this kind; `None` when it is of another one.
pub(super) fn perform(
    roots: &Roots,
    job: &HelperJob,
    descriptors: &[OwnedFd],
) -> Option<Result<Done, Failure>> {
    let outcome = match job {
        HelperJob::PublishVolume {
            place,
            maps,
            access,
        } if maps.len() == descriptors.len() => publish(roots, place, maps, descriptors, *access),
        HelperJob::UnpublishVolume { place } if descriptors.is_empty() => unpublish(roots, place),
        _ => return None,
    };
    Some(outcome.map(|()| Done {
        result: HelperResult::Volume,
        descriptors: Vec::new(),
    }))
}

fn publish(
    roots: &Roots,
    place: &VolumePlace,
    names: &[String],
    maps: &[OwnedFd],
    access: VolumeAccess,
) -> Result<(), Failure> {
    let target = roots.target(Path::new(&place.target))?.ok_or_else(|| {
        let cause = format!("the directory of target {} does not exist", place.target);
        Failure::new(FailureCode::FailedPrecondition, Stage::Resolve, cause)
            .remedy("the kubelet makes it; see that csi.kubelet_dir is its directory")
    })?;
    let own = roots.volume(&place.volume_id)?;
    let known = own.look()?;
    let seen = target.look()?;
    if let Entry::Mount(mount) = &seen
        && !mount.is_bpffs
    {
        return Err(foreign(&place.target));
    }
    match (&known, &seen) {
        (Entry::Mount(known), Entry::Mount(seen)) if known.device == seen.device => {
            return compare(known, names, access, place);
        }
        (Entry::Mount(_), _) => return Err(other(place, "on another target")),
        (_, Entry::Mount(left)) => {
            check_left(roots, left, place)?;
            mounts::detach(&left.root)?;
        }
        _ => {}
    }

    let mount = mounts::with_maps(names, maps, access)?;
    let mut undo = Undo::default();
    let point = target.directory(places::TARGET_MODE, &mut undo)?;
    mounts::attach(&mount, &point)?;
    undo.later(|| mounts::detach(&mount));
    let copy = mounts::copy(&mount)?;
    let point = own.directory(places::VOLUME_MODE, &mut undo)?;
    mounts::attach(&copy, &point)?;
    undo.forget();
    Ok(())
}

fn unpublish(roots: &Roots, place: &VolumePlace) -> Result<(), Failure> {
    let own = roots.volume(&place.volume_id)?;
    let target = roots.target(Path::new(&place.target))?;
    let known = own.look()?;
    let seen = match &target {
        Some(target) => target.look()?,
        None => Entry::Nothing,
    };
    // Before anything is taken away.
    if let Entry::Mount(seen) = &seen {
        if !seen.is_bpffs {
            return Err(foreign(&place.target));
        }
        match &known {
            Entry::Mount(known) if known.device == seen.device => {}
            known => {
                check_left(roots, seen, place)?;
                if matches!(known, Entry::Mount(_)) {
                    return Err(foreign(&place.target));
                }
            }
        }
    }
    remove(&own, &known)?;
    match target {
        Some(target) => remove(&target, &seen),
        None => Ok(()),
    }
}

fn remove(place: &Place, entry: &Entry) -> Result<(), Failure> {
    match entry {
        Entry::Nothing => return Ok(()),
        Entry::Directory => {}
        Entry::Mount(mount) => mounts::detach(&mount.root)?,
    }
    place.remove()
}

/// Whether the volume that is there is the one that is asked for.
fn compare(
    known: &Mount,
    names: &[String],
    access: VolumeAccess,
    place: &VolumePlace,
) -> Result<(), Failure> {
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let held = mounts::names(&known.root)?;
    if !wanted.iter().copied().eq(held.iter().map(String::as_str)) {
        return Err(other(place, "with other maps"));
    }
    if Access::of(&known.root)? != Access::wanted(access) {
        return Err(other(place, "for another group, or to be written or not"));
    }
    Ok(())
}

/// Whether what is on the target, and not of this volume, is of no other either.
fn check_left(roots: &Roots, seen: &Mount, place: &VolumePlace) -> Result<(), Failure> {
    let Some(owner) = roots.owner(seen)? else {
        return Ok(());
    };
    let cause = format!(
        "{} is where volume {} is published",
        place.target,
        owner.display()
    );
    Err(
        Failure::new(FailureCode::FailedPrecondition, Stage::Resolve, cause)
            .remedy("unpublish that volume first, or name the target of this one"),
    )
}

fn other(place: &VolumePlace, how: &str) -> Failure {
    let cause = format!("volume {} is published already, {how}", place.volume_id);
    Failure::new(FailureCode::AlreadyExists, Stage::Resolve, cause)
        .remedy("unpublish it from where it is, or use another volume id")
}

fn foreign(target: &str) -> Failure {
    let cause = format!("{target} is a mount of something else");
    Failure::new(FailureCode::FailedPrecondition, Stage::Resolve, cause)
        .remedy(format!("see what it is (findmnt {target}), and unmount it"))
}
