//! Loading: from a plan to programs with pins and records.

use super::claims::{Key, Need};
use super::maps::map_forms;
use super::{Engine, now};
use crate::chains::{self, fused::HAS_FRAGS};
use crate::execute::{Executor, Loaded, Subject};
use crate::layout::Layout;
use crate::limits::PROGRAMS;
use crate::request;
use crate::room;
use crate::steps::{self, Found, Keep};
use crate::store::intents::Row;
use crate::store::records::{MemberForm, StoredProgram};
use crate::store::{Change, Store};
use crate::valid_plan::{MapRole, ValidPlan};
use ipc::messages::failure::Failure;
use ipc::messages::kernel::KernelMap;
use ipc::messages::program::{LoadOptions, Program, ProgramRecord, Uid};
use std::path::Path;

impl Engine {
    /// Loads all programs of a plan, or none.
    pub async fn load(
        &self,
        loaded_by: Uid,
        valid: &ValidPlan,
        options: &LoadOptions,
    ) -> Result<Vec<Program>, Failure> {
        request::check_load(options, valid)?;
        let _claim = self.claim(|| Ok(vec![Need::alone(Key::Programs)])).await?;
        let known = self.store.programs()?;
        request::check_room(
            "programs",
            known.len(),
            valid.plan().programs.len(),
            PROGRAMS,
        )?;
        let found = self.find_maps(valid, options, &known)?;

        let mut executor = Executor::new(Subject::Plan(valid), &*self.helpers, &self.faults);
        executor
            .run(steps::create(&self.layout, valid, &found))
            .await?;
        let loaded = executor.loaded()?;

        let ids: Vec<u32> = loaded.iter().map(|loaded| loaded.program.id).collect();
        let plan_path = self.layout.plan(valid.digest()).display().to_string();
        let steps = steps::keep(
            &self.layout,
            Keep {
                valid,
                ids: &ids,
                found: &found,
                options,
                own_gid: rustix::process::getegid().as_raw(),
                plan_is_kept: known
                    .iter()
                    .any(|program| program.record.plan_path == plan_path),
            },
        );
        let records = Records {
            valid,
            options,
            found: &found,
            layout: &self.layout,
            plan_path,
            loaded_by,
        };
        let change = Change {
            programs: loaded
                .iter()
                .enumerate()
                .map(|(index, loaded)| records.of(index, loaded))
                .collect(),
            gone: superseded(&self.store, &ids)?,
            ..Change::default()
        };
        let answer = change.programs.iter().zip(&loaded);
        let answer: Vec<Program> = answer
            .map(|(stored, loaded)| answer_of(stored, loaded, &known))
            .collect();
        room::check_answer(&answer)?;
        let others = known
            .iter()
            .filter(|program| !ids.contains(&program.record.program_id));
        room::check_programs(others.chain(&change.programs))?;
        self.keep(&mut executor, steps, change).await?;
        tracing::info!(uid = loaded_by, ?ids, "loaded");
        Ok(answer)
    }
}

/// Records that stand where new ones go. Kernel ids do not repeat while the machine is up, so these are of programs that
/// a reboot took away.
fn superseded(store: &Store, ids: &[u32]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for id in ids {
        if store.program(*id)?.is_some() {
            tracing::warn!(id, "the record of a program that is gone is replaced");
            rows.push(Row::Program(*id));
        }
    }
    let links = store.links()?;
    let theirs = links.iter().filter(|link| ids.contains(&link.program_id));
    rows.extend(theirs.map(|link| Row::Link(link.id)));
    Ok(rows)
}

/// What the records of one load have in common.
struct Records<'a> {
    valid: &'a ValidPlan,
    options: &'a LoadOptions,
    found: &'a Found,
    layout: &'a Layout,
    plan_path: String,
    loaded_by: Uid,
}

impl Records<'_> {
    fn of(&self, index: usize, loaded: &Loaded) -> StoredProgram {
        let id = loaded.program.id;
        let own_set = || self.layout.map_set(id);
        let owner = self.found.owner.as_ref();
        let maps_dir = owner.map_or_else(own_set, |owner| owner.directory.clone());
        let plan = self.valid.plan();
        let planned = &plan.programs[index];
        let record = ProgramRecord {
            program_id: id,
            name: planned.name.clone(),
            kind: planned.kind,
            section: planned.section.clone(),
            attach_function: planned.attach_function.clone(),
            license: plan.license.clone(),
            gpl_compatible: loaded.program.gpl_compatible,
            metadata: self.options.metadata.clone(),
            globals: self.options.globals.clone(),
            source: self.options.source.clone(),
            object_digest: plan.object_digest,
            plan_path: self.plan_path.clone(),
            pin_path: self.layout.program_pin(id).display().to_string(),
            maps_dir: maps_dir.display().to_string(),
            map_owner: owner.map(|owner| owner.id),
            loaded_by: self.loaded_by,
            created_at: now(),
        };
        let member = chains::takes(planned.kind).then(|| MemberForm {
            sections: (!steps::sections(self.valid).is_empty())
                .then(|| self.layout.sections(id).display().to_string()),
            own: loaded.own_form.clone(),
            has_frags: planned.flags & HAS_FRAGS != 0,
        });
        StoredProgram {
            record,
            maps: stored_maps(self.valid, loaded, &maps_dir),
            forms: map_forms(self.valid, self.found),
            member,
        }
    }
}

/// The program's maps with their pins, whatever their length: the kernel's names are cut.
fn stored_maps(valid: &ValidPlan, loaded: &Loaded, maps_dir: &Path) -> Vec<KernelMap> {
    let plans = valid.plan().maps.iter().enumerate();
    let named = plans.filter(|(index, _)| valid.role(*index) != MapRole::Template);
    let stored = named.zip(&loaded.maps).map(|((_, plan), (role, map))| {
        let pin_path = match role {
            MapRole::Public => maps_dir.join(&plan.name).display().to_string(),
            MapRole::Internal | MapRole::Template => String::new(),
        };
        KernelMap {
            pin_path,
            ..map.clone()
        }
    });
    stored.collect()
}

/// The answer to a load, which existing clients know without run statistics, links and map pins.
fn answer_of(stored: &StoredProgram, loaded: &Loaded, known: &[StoredProgram]) -> Program {
    let id = stored.record.program_id;
    let fellows = known
        .iter()
        .filter(|other| other.map_set() == stored.map_set());
    let mut map_used_by: Vec<u32> = fellows
        .map(|other| other.record.program_id)
        .chain([id])
        .collect();
    map_used_by.sort_unstable();
    map_used_by.dedup();
    Program {
        record: stored.record.clone(),
        kernel: Some(loaded.program.clone()),
        stats: None,
        links: Vec::new(),
        maps: loaded.maps.iter().map(|(_, map)| map.clone()).collect(),
        map_used_by,
    }
}
