//! Maps that a load finds instead of making them.

use super::Engine;
use crate::drift::Behind;
use crate::observe;
use crate::request;
use crate::steps::{Found, Owner, Removal};
use crate::store::records::{MapForm, StoredProgram};
use crate::valid_plan::{MapRole, ValidPlan};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::LoadOptions;
use std::path::{Path, PathBuf};

impl Engine {
    /// What is there of the maps that a load needs.
    pub(super) fn find_maps(
        &self,
        valid: &ValidPlan,
        options: &LoadOptions,
        known: &[StoredProgram],
    ) -> Result<Found, Failure> {
        if let Some(id) = request::owner(options) {
            return Ok(Found {
                owner: Some(self.owner(id, known)?),
                by_name: Vec::new(),
            });
        }
        let maps = valid.plan().maps.iter().enumerate();
        let mut found = Found::default();
        for (_, map) in maps.filter(|(index, _)| valid.is_by_name(*index)) {
            found.by_name.extend(self.by_name(&map.name, known)?);
        }
        Ok(found)
    }

    /// The map set that the request wants to use: it must exist, which is as long as one program uses it.
    fn owner(&self, id: u32, known: &[StoredProgram]) -> Result<Owner, Failure> {
        if let Some(user) = known.iter().find(|program| program.map_set() == id) {
            return Ok(Owner {
                id,
                directory: self.layout.map_set(id),
                forms: user.forms.clone(),
            });
        }
        Err(Failure::new(
            FailureCode::InvalidArgument,
            Stage::Maps,
            format!("map_owner_id {id} does not exist: map owner not found"),
        )
        .remedy("name a program that was itself loaded without --map-owner-id; see `bpfmanctl program list`"))
    }

    /// The map that is shared under a name, if there is one. Where no program is known to use it (a store was lost, say), it
    /// is shared all the same, for what is in it: then only its types are not known.
    fn by_name(&self, name: &str, known: &[StoredProgram]) -> Result<Option<MapForm>, Failure> {
        let pin = self.layout.shared(name);
        if self.is_being_removed(&pin)? {
            let cause = format!("share map \"{name}\" by name: its pin is still being removed");
            return Err(
                Failure::new(FailureCode::FailedPrecondition, Stage::Maps, cause)
                    .remedy("see `bpfmanctl doctor`: an earlier change could not be finished"),
            );
        }
        let id = match observe::map(&pin) {
            Behind::Nothing => return Ok(None),
            Behind::Found(id) => id,
            Behind::Unknown(reason) => {
                let cause = format!("share map \"{name}\" by name: {}: {reason}", pin.display());
                return Err(
                    Failure::new(FailureCode::FailedPrecondition, Stage::Maps, cause)
                        .remedy("remove what is pinned there, or give the map another name"),
                );
            }
        };
        // A record may be of a program that a reboot took away, when the kernel began to count from 1 again.
        let uses_it = |program: &&StoredProgram| {
            program.map_id(name).is_none_or(|own| own == id)
                && Path::new(&program.record.pin_path).exists()
        };
        let mut forms = known
            .iter()
            .filter(uses_it)
            .flat_map(|program| &program.forms);
        let form = forms.find(|form| form.by_name && form.name == name);
        Ok(Some(form.cloned().unwrap_or_else(|| MapForm {
            name: name.to_owned(),
            by_name: true,
            key: None,
            value: None,
        })))
    }

    /// Whether a change that could not be finished yet is to remove this pin. Who shared the map now would lose it then.
    fn is_being_removed(&self, pin: &Path) -> Result<bool, Failure> {
        let intents = self.store.intents()?;
        let mut removals = intents.iter().flat_map(|(_, intent)| intent.removals());
        Ok(removals.any(|removal| matches!(removal, Removal::RemovePin { path } if path == pin)))
    }

    /// Pins of the maps that this program shares by name and no other does.
    pub(super) fn shared_by_nobody_else(
        &self,
        program: &StoredProgram,
        others: &[StoredProgram],
    ) -> Vec<PathBuf> {
        let is_used = |name: &&str| {
            let mut used = others.iter().flat_map(StoredProgram::shared_by_name);
            used.any(|other| other == *name)
        };
        program
            .shared_by_name()
            .filter(|name| !is_used(name))
            .map(|name| self.layout.shared(name))
            .collect()
    }
}

/// The maps of the set that a loaded program uses.
pub(super) fn map_forms(valid: &ValidPlan, found: &Found) -> Vec<MapForm> {
    if let Some(owner) = &found.owner {
        return owner.forms.clone();
    }
    let maps = valid.plan().maps.iter().enumerate();
    let public = maps.filter(|(index, _)| valid.role(*index) == MapRole::Public);
    public
        .map(|(index, map)| {
            let known = found.by_name.iter().find(|form| form.name == map.name);
            let known = known.filter(|_| valid.is_by_name(index));
            let or_known = |own: &Option<_>, other: fn(&MapForm) -> &Option<_>| {
                own.clone().or_else(|| other(known?).clone())
            };
            MapForm {
                name: map.name.clone(),
                by_name: valid.is_by_name(index),
                key: or_known(&map.key_type, |form| &form.key),
                value: or_known(&map.value_type, |form| &form.value),
            }
        })
        .collect()
}
