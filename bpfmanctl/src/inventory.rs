//! What bpfman manages and what else is in the kernel, put side by side. Pure.

use ipc::messages::attach::LinkEntry;
use ipc::messages::chain::HookView;
use ipc::messages::kernel::{ForeignLink, KernelMap, KernelProgram};
use ipc::messages::program::{Program, ProgramEntry};
use std::collections::{BTreeMap, BTreeSet};

/// A row of `program list`.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "most rows are of the larger one")]
pub(crate) enum ProgramRow {
    /// bpfman's.
    Managed(ProgramEntry),
    /// Somebody else's.
    Foreign(KernelProgram),
}

impl ProgramRow {
    pub(crate) fn id(&self) -> u32 {
        match self {
            ProgramRow::Managed(entry) => entry.record.program_id,
            ProgramRow::Foreign(program) => program.id,
        }
    }
}

/// A link that is not bpfman's, with the name of its program.
#[derive(Clone, Debug)]
pub(crate) struct ForeignLinkRow {
    pub(crate) link: ForeignLink,
    /// Empty when the link has none.
    pub(crate) program_name: String,
}

/// A row of `map list`.
#[derive(Clone, Debug)]
pub(crate) struct MapRow {
    /// Whether a program that bpfman manages uses it.
    pub(crate) managed: bool,
    /// As its author wrote it where that is known; the kernel keeps 15 characters.
    pub(crate) name: String,
    pub(crate) map: KernelMap,
    /// Programs that use it, ascending.
    pub(crate) programs: Vec<u32>,
}

/// Programs that are not among those that bpfman manages.
pub(crate) fn foreign_programs(
    managed: &[ProgramEntry],
    kernel: Vec<KernelProgram>,
) -> Vec<KernelProgram> {
    let managed: BTreeSet<u32> = managed
        .iter()
        .map(|entry| entry.record.program_id)
        .collect();
    let is_foreign = |program: &KernelProgram| !managed.contains(&program.id);
    kernel.into_iter().filter(is_foreign).collect()
}

/// Links that are not among those that bpfman manages.
pub(crate) fn foreign_links(
    managed: &[LinkEntry],
    kernel: Vec<ForeignLink>,
    programs: &[KernelProgram],
) -> Vec<ForeignLinkRow> {
    let managed: BTreeSet<u32> = managed
        .iter()
        .filter_map(|entry| entry.record.kernel_link_id)
        .collect();
    let name = |id: u32| programs.iter().find(|program| program.id == id);
    kernel
        .into_iter()
        .filter(|row| !managed.contains(&row.link.id))
        .map(|link| ForeignLinkRow {
            program_name: name(link.link.program_id)
                .map_or_else(String::new, |program| program.name.clone()),
            link,
        })
        .collect()
}

/// Whether a program on a hook is known by its number alone.
pub(crate) fn is_nameless(hooks: &[HookView]) -> bool {
    let mut entries = hooks.iter().flat_map(|view| &view.entries);
    entries.any(|entry| entry.name.is_empty() && entry.program_id != 0)
}

/// Gives programs on hooks the names that the kernel has for them.
pub(crate) fn name(hooks: &mut [HookView], programs: &[KernelProgram]) {
    let entries = hooks.iter_mut().flat_map(|view| &mut view.entries);
    for entry in entries.filter(|entry| entry.name.is_empty()) {
        let found = programs
            .iter()
            .find(|program| program.id == entry.program_id);
        entry.name = found.map_or_else(String::new, |program| program.name.clone());
    }
}

/// The maps of managed programs and, of the kernel's, those that are none of theirs; ascending by id.
pub(crate) fn maps(
    managed: Vec<Program>,
    kernel: Vec<KernelMap>,
    kernel_programs: &[KernelProgram],
) -> Vec<MapRow> {
    let mut rows: BTreeMap<u32, MapRow> = BTreeMap::new();
    for program in managed
        .into_iter()
        .filter(|program| program.kernel.is_some())
    {
        for map in program.maps {
            let name = match map.pin_path.rsplit_once('/') {
                Some((_, file)) => file.to_owned(),
                None => map.name.clone(),
            };
            let row = rows.entry(map.id).or_insert_with(|| MapRow {
                managed: true,
                name,
                map,
                programs: Vec::new(),
            });
            row.programs.push(program.record.program_id);
        }
    }
    for map in kernel {
        rows.entry(map.id).or_insert_with(|| MapRow {
            managed: false,
            name: map.name.clone(),
            map,
            programs: Vec::new(),
        });
    }
    for program in kernel_programs {
        for map in &program.map_ids {
            if let Some(row) = rows.get_mut(map) {
                row.programs.push(program.id);
            }
        }
    }
    let mut rows: Vec<MapRow> = rows.into_values().collect();
    for row in &mut rows {
        row.programs.sort_unstable();
        row.programs.dedup();
    }
    rows
}

#[cfg(test)]
pub(crate) mod rows;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn programs_on_hooks_get_the_names_that_they_lack() {
        let mut hooks = samples::hooks();
        assert!(is_nameless(&hooks));
        let names = |hooks: &[HookView]| -> Vec<String> {
            let entries = hooks.iter().flat_map(|view| &view.entries);
            entries.map(|entry| entry.name.clone()).collect()
        };
        let mut expected = names(&hooks);
        let kernel = |id, name: &str| KernelProgram {
            id,
            name: name.into(),
            ..KernelProgram::default()
        };
        name(&mut hooks, &[kernel(76, "other"), kernel(77, "meter")]);
        for word in expected.iter_mut().filter(|name| name.is_empty()) {
            *word = "meter".into();
        }
        assert_eq!(names(&hooks), expected);
        assert!(!is_nameless(&hooks));
        // Another classifier than bpf is no program.
        hooks[0].entries[0].name.clear();
        hooks[0].entries[0].program_id = 0;
        assert!(!is_nameless(&hooks));
    }

    #[test]
    fn what_is_managed_is_not_foreign() {
        let kernel = |id| KernelProgram {
            id,
            name: format!("p{id}"),
            map_ids: vec![88, 90],
            ..KernelProgram::default()
        };
        let foreign = foreign_programs(&[samples::program_entry()], vec![kernel(7), kernel(512)]);
        assert_eq!(foreign, [kernel(7)]);

        let mut managed = samples::link_entry();
        managed.record.kernel_link_id = Some(5);
        let link = |id, program_id| {
            let mut link = ForeignLink::default();
            (link.link.id, link.link.program_id) = (id, program_id);
            link
        };
        let kernel_links = vec![link(5, 7), link(6, 7), link(8, 9)];
        let links = foreign_links(&[managed], kernel_links, &[kernel(7)]);
        let told: Vec<_> = links
            .iter()
            .map(|row| (row.link.link.id, row.program_name.as_str()))
            .collect();
        assert_eq!(told, [(6, "p7"), (8, "")]);
    }

    #[test]
    fn maps_know_their_users() {
        let map = |id| KernelMap {
            id,
            ..KernelMap::default()
        };
        let user = |id| KernelProgram {
            id,
            map_ids: vec![88, 91],
            ..KernelProgram::default()
        };
        let managed = samples::full_program();
        let rows = maps(
            vec![managed.clone()],
            vec![map(88), map(91), map(95)],
            &[user(3), user(512)],
        );
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.map.id, row.managed, row.programs.clone()))
            .collect();
        assert_eq!(
            told,
            [
                (88, true, vec![3, 512]),
                (89, true, vec![512]),
                (91, false, vec![3, 512]),
                (95, false, vec![])
            ]
        );
        assert_eq!(rows[0].name, "xdp_stats_map");
        let gone = Program {
            kernel: None,
            ..managed
        };
        assert!(maps(vec![gone], vec![], &[]).is_empty());
    }
}
