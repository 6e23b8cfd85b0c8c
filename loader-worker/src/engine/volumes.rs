//! Volumes of pods: which maps they are made of is decided here; a one-shot helper makes them.
//!
//! Nothing of a volume is on record. What is mounted tells what there is, and outlives every process of bpfman.

use super::Engine;
use super::claims::{Key, Need};
use crate::drift::Behind;
use crate::kernel::pin;
use crate::observe;
use crate::request;
use crate::store::records::StoredProgram;
use ipc::limits::{METADATA_BYTES, VOLUME_MAPS, VOLUME_NAME_BYTES};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::volume::{VolumeAccess, VolumePlace};
use std::os::fd::OwnedFd;

/// The label by which whoever loads a program names it for volumes.
const PROGRAM_NAME: &str = "bpfman.io/ProgramName";

/// A volume to be made.
#[derive(Debug)]
pub struct VolumeCommand {
    /// Which, and where.
    pub place: VolumePlace,
    /// What the program is called.
    pub program: String,
    /// Names of its maps.
    pub maps: Vec<String>,
    /// Who may do what.
    pub access: VolumeAccess,
}

impl Engine {
    /// Has a volume made. One that is there already, the same, is left as it is.
    pub(super) async fn publish_volume(&self, command: VolumeCommand) -> Result<(), Failure> {
        check_place(&command.place)?;
        check_maps(&command)?;
        let program = self.program_called(&command.program)?;
        let set = self.layout.map_set(program.map_set());
        let open = |name: &String| -> Result<OwnedFd, Failure> {
            // What a pin is made of does not depend on how the descriptor may be used.
            pin::get_to_read(&set.join(name)).map_err(|error| match error.is_not_found() {
                true => no_map(name, &command.program, &program),
                false => error.into_failure(Stage::Pin, format!("map \"{name}\"")),
            })
        };
        let maps = command
            .maps
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, Failure>>()?;
        let job = HelperJob::PublishVolume {
            place: command.place,
            maps: command.maps,
            access: command.access,
        };
        self.run_alone(job, maps).await
    }

    /// Has a volume taken away. One that is not there is no failure.
    pub(super) async fn unpublish_volume(&self, place: VolumePlace) -> Result<(), Failure> {
        check_place(&place)?;
        let job = HelperJob::UnpublishVolume { place };
        self.run_alone(job, Vec::new()).await
    }

    /// One at a time: a helper takes what has no id yet for the rest of one that was killed. Nothing else waits for volumes.
    async fn run_alone(&self, job: HelperJob, maps: Vec<OwnedFd>) -> Result<(), Failure> {
        let alone = vec![Need::alone(Key::Volumes)];
        let _claim = self.claims.claim(alone).await;
        self.helpers.run(HelperKind::MountVolume, job, maps).await?;
        Ok(())
    }

    /// Of several programs of this name the one with the lowest id. All that one request has loaded share their maps.
    fn program_called(&self, name: &str) -> Result<StoredProgram, Failure> {
        let is_called = |program: &StoredProgram| {
            program
                .record
                .metadata
                .get(PROGRAM_NAME)
                .map(String::as_str)
                == Some(name)
        };
        let is_in_kernel = |program: &StoredProgram| {
            let found = observe::program(&program.record.pin_path, &self.memlocks);
            matches!(found, Behind::Found((kernel, _)) if kernel.id == program.record.program_id)
        };
        let programs = self.store.programs()?.into_iter();
        programs
            .filter(is_called)
            .filter(is_in_kernel)
            .min_by_key(|program| program.record.program_id)
            .ok_or_else(|| {
                let cause = format!("no program in the kernel has the label {PROGRAM_NAME}={name}");
                Failure::new(FailureCode::NotFound, Stage::Query, cause).remedy(
                    "see `bpfmanctl program list`; load it with this label, as the operator does",
                )
            })
    }
}

fn check_place(place: &VolumePlace) -> Result<(), Failure> {
    request::check_path(&place.target)?;
    request::bound(
        "bytes in the id of a volume",
        place.volume_id.len(),
        VOLUME_NAME_BYTES,
    )?;
    // It becomes the name of a directory of root's.
    let is_name = !matches!(place.volume_id.as_str(), "" | "." | "..");
    if is_name && !place.volume_id.contains(['/', '\0']) {
        return Ok(());
    }
    let cause = format!("{:?} is no id of a volume", place.volume_id);
    Err(Failure::new(
        FailureCode::InvalidArgument,
        Stage::Request,
        cause,
    ))
}

fn check_maps(command: &VolumeCommand) -> Result<(), Failure> {
    request::bound(
        "bytes in the name of a program",
        command.program.len(),
        METADATA_BYTES,
    )?;
    request::bound("maps of a volume", command.maps.len(), VOLUME_MAPS)?;
    let is_name = |name: &String| {
        !name.is_empty() && name.len() <= VOLUME_NAME_BYTES && !name.contains(['/', '\0', '.'])
    };
    match command.maps.iter().find(|name| !is_name(name)) {
        None if command.maps.is_empty() => Err(Failure::new(
            FailureCode::InvalidArgument,
            Stage::Request,
            "a volume without maps",
        )),
        None => Ok(()),
        // bpffs has no such names, so no map is pinned under one.
        Some(name) => Err(Failure::new(
            FailureCode::NotFound,
            Stage::Query,
            format!("no map can be called {name:?}"),
        )),
    }
}

fn no_map(name: &str, called: &str, program: &StoredProgram) -> Failure {
    let id = program.record.program_id;
    let cause = format!("program {id} ({called}) has no map \"{name}\"");
    let known: Vec<&str> = program
        .forms
        .iter()
        .map(|form| form.name.as_str())
        .collect();
    let remedy = match known.is_empty() {
        true => "it has no maps that applications may open".to_owned(),
        false => format!("it has: {}", known.join(", ")),
    };
    Failure::new(FailureCode::NotFound, Stage::Query, cause).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(maps: usize) -> VolumeCommand {
        VolumeCommand {
            place: place("csi-1"),
            program: "counter".to_owned(),
            maps: (0..maps).map(|number| number.to_string()).collect(),
            access: VolumeAccess {
                group: None,
                read_only: false,
            },
        }
    }

    fn place(volume_id: &str) -> VolumePlace {
        VolumePlace {
            volume_id: volume_id.to_owned(),
            target: "/var/lib/kubelet/pods/a".to_owned(),
        }
    }

    #[test]
    fn a_volume_has_one_name_and_a_bounded_number_of_maps() {
        let longest = "x".repeat(VOLUME_NAME_BYTES);
        assert!(check_place(&place(&longest)).is_ok());
        for wrong in ["", ".", "..", "a/b", "a\0", &format!("{longest}x")] {
            assert!(check_place(&place(wrong)).is_err(), "{wrong}");
        }
        assert!(check_maps(&command(VOLUME_MAPS)).is_ok());
        assert!(check_maps(&command(VOLUME_MAPS + 1)).is_err());
        assert!(check_maps(&command(0)).is_err());
        for wrong in ["", "a/b", "..", "maps.debug", &format!("{longest}x")] {
            let mut command = command(1);
            command.maps = vec![wrong.to_owned()];
            assert!(check_maps(&command).is_err(), "{wrong}");
        }
    }
}
