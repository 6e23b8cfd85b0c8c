//! What a request comes to, as plain data: [`Step`]s make things, [`Removal`]s take them away. Pure; carried out by
//! [`crate::execute`].
//!
//! Nothing that a step makes outlives the process before the first pin: descriptors vanish with it. Loads and
//! attachments are therefore planned in two parts: [`create`] and [`attach`] (descriptors only), and, once it is known
//! what the kernel gave and hence the paths, [`keep`] and [`keep_link`] (pins and files), which an intent covers.

use crate::chains;
use crate::chains::reach::Elsewhere;
use crate::chains::rebuild::{ChainStep, FilterPlace};
use crate::layout::Layout;
use crate::store::records::MapForm;
use crate::valid_plan::{MapRole, ValidPlan};
use bincode::{Decode, Encode};
use ipc::messages::program::LoadOptions;
use ipc::plan::Elements;
use std::path::PathBuf;

/// A map instance of a load: each program has its own instances of the plan's maps.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct MapInstance {
    /// Index of the program in the plan.
    pub program: usize,
    /// Index of the map in the plan.
    pub map: usize,
}

/// Whose a map is that a load did not make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sharing {
    /// Of the map set of this program.
    Owner(u32),
    /// Of all who name it.
    Name,
}

/// Makes one thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Load the plan's BTF.
    LoadBtf,
    /// Create a map.
    CreateMap(MapInstance),
    /// Take a map that is there already, if it is compatible.
    ShareMap {
        /// In the place of.
        instance: MapInstance,
        /// Its pin.
        pin: PathBuf,
        /// Whose it is.
        with: Sharing,
        /// What is known of it beside what the kernel tells.
        form: Option<MapForm>,
    },
    /// Take the map that was made for an earlier program of the same load.
    SameMap {
        /// In the place of.
        instance: MapInstance,
        /// The earlier one.
        of: MapInstance,
    },
    /// Write the first contents of a data section.
    FillMap(MapInstance),
    /// Make a data section read-only for user space.
    FreezeMap(MapInstance),
    /// Set the elements that the source sets: to maps and programs of the same load.
    SetElements(MapInstance),
    /// Load the program with this index through the verifier.
    LoadProgram(usize),
    /// Write the plan beside the store.
    KeepPlan {
        /// Its file.
        path: PathBuf,
    },
    /// Make a directory in bpffs.
    MakeDirectory {
        /// Its path.
        path: PathBuf,
    },
    /// Pin a map.
    PinMap {
        /// Which.
        instance: MapInstance,
        /// Where.
        path: PathBuf,
    },
    /// Give pins to a group, by the helper that has the capability for it.
    GiveToGroup {
        /// The pins.
        paths: Vec<PathBuf>,
        /// The group.
        gid: u32,
    },
    /// Set the permission bits of pins.
    SetMode {
        /// The pins.
        paths: Vec<PathBuf>,
        /// The bits.
        mode: u32,
    },
    /// Pin the program with this index.
    PinProgram {
        /// Which.
        program: usize,
        /// Where.
        path: PathBuf,
    },
    /// Have done what takes a helper: a perf event opened, a link made in another network namespace.
    AskHelper,
    /// Create the link.
    CreateLink,
    /// Pin the link.
    PinLink {
        /// Where.
        path: PathBuf,
    },
    /// Make a part of a chain.
    Chain(ChainStep),
}

/// Takes one thing away. Doing it again, or when the thing is gone, succeeds: what is stored in an intent is replayed.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Removal {
    /// Take a pinned link off its hook and remove the pin.
    RemoveLink {
        /// Its pin.
        pin: PathBuf,
    },
    /// Remove a pin.
    RemovePin {
        /// Its path.
        path: PathBuf,
    },
    /// Remove an empty directory.
    RemoveDirectory {
        /// Its path.
        path: PathBuf,
    },
    /// Remove a directory and the pins in it.
    RemoveMapSet {
        /// Its path.
        path: PathBuf,
    },
    /// Remove a stored plan.
    ForgetPlan {
        /// Its file.
        path: PathBuf,
    },
    /// Remove the pins of a revision of a chain, and with them what they hold.
    RemoveRevision {
        /// Its directory.
        path: PathBuf,
    },
    /// Put the program that was on a hook back on it.
    RestoreHead {
        /// Pin of the link on the hook.
        link: PathBuf,
        /// Pin of the program.
        head: PathBuf,
    },
    /// Take a filter off its hook, if it is bpfman's.
    RemoveFilter(FilterPlace),
    /// Put the program that was in a filter back in it.
    RestoreFilter {
        /// Where.
        place: FilterPlace,
        /// Pin of the program.
        head: PathBuf,
    },
    /// Take a filter off its hook in another network namespace, if it is bpfman's.
    RemoveFilterElsewhere {
        /// Where.
        place: FilterPlace,
        /// In which namespace.
        elsewhere: Elsewhere,
    },
    /// Put the program that was in a filter in another network namespace back in it.
    RestoreFilterElsewhere {
        /// Where.
        place: FilterPlace,
        /// Pin of the program.
        head: PathBuf,
        /// In which namespace.
        elsewhere: Elsewhere,
    },
    /// Take away the pins of a dispatcher of libxdp's that was replaced.
    RetireLibxdp {
        /// Interface.
        ifindex: u32,
        /// The dispatcher; its pins stay if it is on the interface.
        dispatcher: u32,
    },
}

/// The map set of another program, which a load uses instead of own maps.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// The program that made the set.
    pub id: u32,
    /// Its directory.
    pub directory: PathBuf,
    /// Its maps.
    pub forms: Vec<MapForm>,
}

/// What a load finds instead of making it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// Maps shared by name that are there, of those that the plan names. With an owner they do not matter: its maps of these
    /// names are taken.
    pub by_name: Vec<MapForm>,
    /// The maps' owner, if it is another program.
    pub owner: Option<Owner>,
}

impl Found {
    fn named(&self, name: &str) -> Option<&MapForm> {
        self.by_name.iter().find(|form| form.name == name)
    }
}

/// The first part of a load: maps and programs, as descriptors. Elements are set in maps that are made here only: what is in a
/// map that others use as well is their affair.
pub fn create(layout: &Layout, valid: &ValidPlan, found: &Found) -> Vec<Step> {
    let mut steps = Vec::new();
    // What holds programs can be filled when all of them are there.
    let mut of_programs = Vec::new();
    if valid.plan().btf.is_some() {
        steps.push(Step::LoadBtf);
    }
    for program in 0..valid.plan().programs.len() {
        for map in valid.creation_order() {
            let instance = MapInstance { program, map };
            let plan = &valid.plan().maps[map];
            if let Some(step) = share(layout, valid, found, instance) {
                steps.push(step);
                continue;
            }
            steps.push(Step::CreateMap(instance));
            if plan.initial.is_some() {
                steps.push(Step::FillMap(instance));
            }
            if plan.freeze {
                steps.push(Step::FreezeMap(instance));
            }
            match plan.elements {
                Some(Elements::Maps(_)) => steps.push(Step::SetElements(instance)),
                Some(Elements::Programs(_)) => of_programs.push(Step::SetElements(instance)),
                None => {}
            }
        }
        steps.push(Step::LoadProgram(program));
    }
    steps.extend(of_programs);
    steps
}

/// How a program gets a map that is not made for it.
fn share(layout: &Layout, valid: &ValidPlan, found: &Found, instance: MapInstance) -> Option<Step> {
    let name = &valid.plan().maps[instance.map].name;
    if valid.role(instance.map) != MapRole::Public {
        return None;
    }
    if let Some(owner) = &found.owner {
        return Some(Step::ShareMap {
            instance,
            pin: owner.directory.join(name),
            with: Sharing::Owner(owner.id),
            form: owner.forms.iter().find(|form| form.name == *name).cloned(),
        });
    }
    if !valid.is_by_name(instance.map) {
        return None;
    }
    match found.named(name) {
        Some(form) => Some(Step::ShareMap {
            instance,
            pin: layout.shared(name),
            with: Sharing::Name,
            form: Some(form.clone()),
        }),
        None => (instance.program > 0).then_some(Step::SameMap {
            instance,
            of: MapInstance {
                program: 0,
                ..instance
            },
        }),
    }
}

/// What decides about the second part of a load.
#[derive(Clone, Copy, Debug)]
pub struct Keep<'a> {
    /// The plan.
    pub valid: &'a ValidPlan,
    /// Kernel ids of the programs, in the order of the plan.
    pub ids: &'a [u32],
    /// What was there instead of being made.
    pub found: &'a Found,
    /// Mode and group of the map pins.
    pub options: &'a LoadOptions,
    /// The group that new pins have by themselves.
    pub own_gid: u32,
    /// Whether the plan is stored already, for other programs.
    pub plan_is_kept: bool,
}

/// The second part of a load: files and pins. A program's pin comes after those of its maps, so that where there is a
/// program there are its maps.
pub fn keep(layout: &Layout, keep: Keep<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if !keep.plan_is_kept {
        steps.push(Step::KeepPlan {
            path: layout.plan(keep.valid.digest()),
        });
    }
    for (program, id) in keep.ids.iter().enumerate() {
        if keep.found.owner.is_none() {
            keep_maps(layout, keep, program, *id, &mut steps);
        }
        if chains::takes(keep.valid.plan().programs[program].kind) {
            keep_sections(layout, keep, program, *id, &mut steps);
        }
        steps.push(Step::PinProgram {
            program,
            path: layout.program_pin(*id),
        });
    }
    steps
}

/// Mode of map pins that are given to a group without a mode: the group could not open them otherwise.
const GROUP_READS: u32 = 0o640;

fn keep_maps(layout: &Layout, keep: Keep<'_>, program: usize, id: u32, steps: &mut Vec<Step>) {
    let directory = layout.map_set(id);
    steps.push(Step::MakeDirectory {
        path: directory.clone(),
    });
    let mut paths = Vec::new();
    for (map, plan) in keep.valid.plan().maps.iter().enumerate() {
        if keep.valid.role(map) == MapRole::Public {
            let instance = MapInstance { program, map };
            // Who makes a map that is shared by name puts it where the others find it.
            let is_new = program == 0
                && keep.valid.is_by_name(map)
                && keep.found.named(&plan.name).is_none();
            let shared = is_new.then(|| layout.shared(&plan.name));
            for path in shared.into_iter().chain([directory.join(&plan.name)]) {
                steps.push(Step::PinMap {
                    instance,
                    path: path.clone(),
                });
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        return;
    }
    // The group first: with the mode first, the pin's old group would have the new one's rights for a moment.
    if let Some(gid) = keep.options.maps_group.filter(|gid| *gid != keep.own_gid) {
        steps.push(Step::GiveToGroup {
            paths: paths.clone(),
            gid,
        });
    }
    let readable = keep.options.maps_group.map(|_| GROUP_READS);
    if let Some(mode) = keep.options.maps_mode.or(readable) {
        steps.push(Step::SetMode { paths, mode });
    }
}

/// Data sections by their index in the plan: bpffs takes no names with a dot.
fn keep_sections(layout: &Layout, keep: Keep<'_>, program: usize, id: u32, steps: &mut Vec<Step>) {
    let directory = layout.sections(id);
    let sections = sections(keep.valid);
    if !sections.is_empty() {
        steps.push(Step::MakeDirectory {
            path: directory.clone(),
        });
    }
    steps.extend(sections.into_iter().map(|map| Step::PinMap {
        instance: MapInstance { program, map },
        path: directory.join(map.to_string()),
    }));
}

/// Indices of a plan's data sections.
pub fn sections(valid: &ValidPlan) -> Vec<usize> {
    (0..valid.plan().maps.len())
        .filter(|map| valid.role(*map) == MapRole::Internal)
        .collect()
}

/// The first part of an attachment: the link, as a descriptor.
pub fn attach(needs_helper: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if needs_helper {
        steps.push(Step::AskHelper);
    }
    steps.push(Step::CreateLink);
    steps
}

/// The second part of an attachment.
pub fn keep_link(pin: PathBuf) -> Vec<Step> {
    vec![Step::PinLink { path: pin }]
}

/// Taking a link away.
pub fn detach(pin: PathBuf) -> Vec<Removal> {
    vec![Removal::RemoveLink { pin }]
}

/// Taking a program away whose links are gone, with its data sections. `shared` (pins of maps that are shared by name),
/// `map_set` and `plan` are given when nobody else uses them.
pub fn unload(
    pin: PathBuf,
    sections: Option<PathBuf>,
    shared: Vec<PathBuf>,
    map_set: Option<PathBuf>,
    plan: Option<PathBuf>,
) -> Vec<Removal> {
    let pins = [pin].into_iter().chain(shared);
    let mut removals: Vec<Removal> = pins.map(|path| Removal::RemovePin { path }).collect();
    let directories = sections.into_iter().chain(map_set);
    removals.extend(directories.map(|path| Removal::RemoveMapSet { path }));
    removals.extend(plan.map(|path| Removal::ForgetPlan { path }));
    removals
}

#[cfg(test)]
mod tests;
