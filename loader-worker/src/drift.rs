//! Where records and kernel differ. Pure: what is wanted and what was seen, to a list of differences.

use self::place::{interface_at, interface_of, lost_place};
use crate::layout::Layout;
use crate::limits::FINDINGS;
use crate::store::records::{StoredHook, StoredProgram};
use ipc::messages::attach::LinkRecord;
use ipc::messages::chain::{Dispatcher, HookKey, HookKind};
use ipc::messages::kernel::KernelLink;
use ipc::messages::loader::DoctorReport;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

mod place;

/// What the store says.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Where pins are.
    pub layout: &'a Layout,
    /// Programs.
    pub programs: &'a [StoredProgram],
    /// Links.
    pub links: &'a [LinkRecord],
    /// Hooks.
    pub hooks: &'a [StoredHook],
    /// Intents that could not be finished yet.
    pub unfinished: usize,
}

/// What is behind a pin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Behind<T> {
    /// There is no pin.
    Nothing,
    /// This.
    Found(T),
    /// It cannot be told.
    Unknown(String),
}

/// What bpffs and the kernel say.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By program of the store: the kernel id behind its pin.
    pub programs: BTreeMap<u32, Behind<u32>>,
    /// By link of the store: the link behind its pin.
    pub links: BTreeMap<u64, Behind<KernelLink>>,
    /// By hook of the store: whether what it says is there.
    pub hooks: BTreeMap<HookKey, Behind<()>>,
    /// Pins of links whose interface has moved to another network namespace or number.
    pub moved: BTreeSet<PathBuf>,
    /// By pin of a program's maps: the kernel id behind it.
    pub maps: BTreeMap<PathBuf, Behind<u32>>,
    /// Every pin in bpfman's subtree.
    pub pins: BTreeSet<PathBuf>,
    /// Every stored plan.
    pub plans: BTreeSet<PathBuf>,
    /// There are more pins than were looked at.
    pub truncated: bool,
}

/// One difference.
#[allow(
    missing_docs,
    reason = "the sentences that they become say what the fields are"
)]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Drift {
    /// A program's pin is gone, and the program with it.
    ProgramGone { id: u32, name: String, pin: String },
    /// A program's pin is gone; its links still hold the program.
    ProgramPinGone { id: u32, name: String, pin: String },
    /// Another program is behind a program's pin.
    ProgramReplaced { id: u32, found: u32, pin: String },
    /// The maps of a program have lost pins.
    MapGone { program: u32, pin: String },
    /// Another map is behind the pin of a program's map.
    MapReplaced {
        program: u32,
        id: u32,
        found: u32,
        pin: String,
    },
    /// The plan of a program is gone.
    PlanGone { program: u32, path: String },
    /// A link's pin is gone, and the link with it.
    LinkGone { id: u64, pin: String },
    /// Another link is behind a link's pin.
    LinkReplaced {
        id: u64,
        found: u32,
        program: u32,
        pin: String,
    },
    /// A link is at no interface or network namespace any more: it is there but has no effect.
    LinkIdle { id: u64, place: String },
    /// A link, or the one of a chain, is on an interface that has moved since.
    Moved { what: String, place: String },
    /// Nothing of bpfman's is on a hook with members.
    HookIdle {
        hook: HookKind,
        place: String,
        links: String,
    },
    /// A hook with members whose network namespace is not found, though it exists.
    HookUnreachable {
        hook: HookKind,
        links: String,
        reason: String,
    },
    /// A link's program has no record.
    LinkAlone { id: u64, program: u32 },
    /// A pin that cannot be opened.
    Unreadable { pin: String, reason: String },
    /// A pin without a record.
    Orphan { pin: PathBuf },
    /// Changes that were begun and could not be finished.
    Unfinished { count: usize },
    /// Not everything was looked at.
    Truncated,
}

impl fmt::Display for Drift {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Drift::ProgramGone { id, name, pin } => write!(
                out,
                "program {id} ({name}) is gone from the kernel: there is no {pin}; unload it and load it again"
            ),
            Drift::ProgramPinGone { id, name, pin } => write!(
                out,
                "the pin {pin} of program {id} ({name}) is gone; its links run it, but no more can be made: \
                 unload it and load it again"
            ),
            Drift::ProgramReplaced { id, found, pin } => write!(
                out,
                "{pin} holds program {found} instead of {id}; unload {id} and load it again"
            ),
            Drift::MapGone { program, pin } => write!(
                out,
                "the map pin {pin} of program {program} is gone; applications cannot open the map, \
                 unload the program and load it again"
            ),
            Drift::MapReplaced {
                program,
                id,
                found,
                pin,
            } => write!(
                out,
                "{pin} holds map {found} instead of map {id}, which program {program} uses; applications read \
                 another map, unload the program and load it again"
            ),
            Drift::PlanGone { program, path } => write!(
                out,
                "the stored plan {path} of program {program} is gone; it cannot be brought back after a reboot, \
                 load it again"
            ),
            Drift::LinkGone { id, pin } => write!(
                out,
                "link {id} is gone from the kernel: there is no {pin}; detach it and attach again"
            ),
            Drift::LinkReplaced {
                id,
                found,
                program,
                pin,
            } => write!(
                out,
                "{pin} holds another link (kernel id {found}, to program {program}) than link {id}; detach {id} \
                 and attach again"
            ),
            Drift::LinkIdle { id, place } => {
                write!(
                    out,
                    "link {id} has no effect: {place} is gone, or somebody took the link off it; \
                     detach it, and attach again if {place} is there"
                )
            }
            Drift::Moved { what, place } => write!(
                out,
                "{what}: {place} has moved to another network namespace or number and took its programs along, which go on \
                 running there; detach what is not wanted, and attach again where the interface is now"
            ),
            Drift::HookIdle { hook, place, links } => write!(
                out,
                "the chain on the {hook} hook (links {links}) has no effect: {place} is gone, or somebody took the chain \
                 off it; detach these links, and attach again if the interface is there"
            ),
            Drift::HookUnreachable {
                hook,
                links,
                reason,
            } => write!(
                out,
                "the chain on the {hook} hook (links {links}) cannot be looked at or changed: {reason}"
            ),
            Drift::LinkAlone { id, program } => {
                write!(
                    out,
                    "link {id} belongs to program {program}, which is not managed; detach it"
                )
            }
            Drift::Unreadable { pin, reason } => {
                write!(
                    out,
                    "{pin} cannot be opened ({reason}); see its owner and mode"
                )
            }
            Drift::Orphan { pin } => write!(
                out,
                "{} is pinned but not managed; remove the file if nothing uses it",
                pin.display()
            ),
            Drift::Unfinished { count } => write!(
                out,
                "{count} changes could not be finished or taken back; the log says why, \
                 they are tried again with the next change"
            ),
            Drift::Truncated => write!(out, "there are more pins than were compared"),
        }
    }
}

/// All differences, in the order programs, links, pins.
pub fn compare(wanted: Wanted<'_>, seen: &Seen) -> Vec<Drift> {
    let mut drift = Vec::new();
    for program in wanted.programs {
        compare_program(program, wanted, seen, &mut drift);
    }
    let managed: BTreeSet<u32> = wanted
        .programs
        .iter()
        .map(|program| program.record.program_id)
        .collect();
    for link in wanted.links {
        compare_link(link, seen, &mut drift);
        if !managed.contains(&link.program_id) {
            drift.push(Drift::LinkAlone {
                id: link.id,
                program: link.program_id,
            });
        }
    }
    for hook in wanted.hooks {
        compare_hook(hook, wanted, seen, &mut drift);
    }
    let known = known_pins(wanted);
    // A map set stays whole while one program uses any of it, so maps that only an unloaded owner used are no orphans.
    let sets: BTreeSet<&Path> = wanted
        .programs
        .iter()
        .flat_map(|program| {
            let form = program.member.as_ref();
            let sections = form.and_then(|form| form.sections.as_deref());
            sections
                .into_iter()
                .chain([program.record.maps_dir.as_str()])
        })
        .map(Path::new)
        .collect();
    let orphans = seen.pins.iter().filter(|pin| {
        !known.contains(*pin) && !pin.parent().is_some_and(|parent| sets.contains(parent))
    });
    drift.extend(orphans.map(|pin| Drift::Orphan { pin: pin.clone() }));
    if wanted.unfinished > 0 {
        drift.push(Drift::Unfinished {
            count: wanted.unfinished,
        });
    }
    if seen.truncated {
        drift.push(Drift::Truncated);
    }
    drift
}

/// Whether a link in the kernel is the one that a record is of.
pub fn is_recorded(found: &KernelLink, record: &LinkRecord) -> bool {
    // A filter in the place of a link has no id.
    record.kernel_link_id.unwrap_or_default() == found.id
        && found.program_id == record.details.carrier().unwrap_or(record.program_id)
}

/// Whether a link in the kernel holds the program, pinned or not.
fn is_held(program_id: u32, links: &[LinkRecord], seen: &Seen) -> bool {
    links.iter().any(|link| {
        matches!(seen.links.get(&link.id), Some(Behind::Found(found)) if found.program_id == program_id)
    })
}

fn compare_program(
    program: &StoredProgram,
    wanted: Wanted<'_>,
    seen: &Seen,
    drift: &mut Vec<Drift>,
) {
    let record = &program.record;
    let (id, pin) = (record.program_id, record.pin_path.clone());
    match seen.programs.get(&id).unwrap_or(&Behind::Nothing) {
        // Its maps are no more interesting than the program itself.
        Behind::Nothing => {
            let name = record.name.clone();
            return drift.push(if is_held(id, wanted.links, seen) {
                Drift::ProgramPinGone { id, name, pin }
            } else {
                Drift::ProgramGone { id, name, pin }
            });
        }
        Behind::Unknown(reason) => {
            drift.push(Drift::Unreadable {
                pin,
                reason: reason.clone(),
            });
        }
        Behind::Found(found) if *found != id => {
            drift.push(Drift::ProgramReplaced {
                id,
                found: *found,
                pin,
            });
        }
        Behind::Found(_) => {}
    }
    let own = program.maps.iter().filter(|map| !map.pin_path.is_empty());
    for map in own {
        compare_map(id, Path::new(&map.pin_path), Some(map.id), seen, drift);
    }
    for name in program.shared_by_name() {
        let map = program.map_id(name);
        compare_map(id, &wanted.layout.shared(name), map, seen, drift);
    }
    if !seen.plans.contains(Path::new(&record.plan_path)) {
        drift.push(Drift::PlanGone {
            program: id,
            path: record.plan_path.clone(),
        });
    }
}

/// `map` is the kernel id that a program's map has, if the program uses the map itself.
fn compare_map(program: u32, path: &Path, map: Option<u32>, seen: &Seen, drift: &mut Vec<Drift>) {
    let pin = path.display().to_string();
    match (seen.maps.get(path).unwrap_or(&Behind::Nothing), map) {
        (Behind::Nothing, _) => drift.push(Drift::MapGone { program, pin }),
        (Behind::Unknown(reason), _) => drift.push(Drift::Unreadable {
            pin,
            reason: reason.clone(),
        }),
        (Behind::Found(found), Some(id)) if *found != id => drift.push(Drift::MapReplaced {
            program,
            id,
            found: *found,
            pin,
        }),
        (Behind::Found(_), _) => {}
    }
}

fn compare_link(link: &LinkRecord, seen: &Seen, drift: &mut Vec<Drift>) {
    let (id, pin) = (link.id, link.pin_path.clone());
    match seen.links.get(&id).unwrap_or(&Behind::Nothing) {
        Behind::Nothing => drift.push(Drift::LinkGone { id, pin }),
        Behind::Unknown(reason) => drift.push(Drift::Unreadable {
            pin,
            reason: reason.clone(),
        }),
        Behind::Found(found) if !is_recorded(found, link) => {
            drift.push(Drift::LinkReplaced {
                id,
                found: found.id,
                program: found.program_id,
                pin,
            });
        }
        Behind::Found(found) => {
            if let Some(place) = lost_place(&link.details, found) {
                drift.push(Drift::LinkIdle { id, place });
            } else if link.details.mprog().is_some() && seen.moved.contains(Path::new(&pin)) {
                let place = interface_of(&link.details);
                let what = format!("link {id}");
                drift.push(Drift::Moved { what, place });
            }
        }
    }
}

fn compare_hook(
    hook: &StoredHook,
    Wanted { layout, links, .. }: Wanted<'_>,
    seen: &Seen,
    drift: &mut Vec<Drift>,
) {
    let key = hook.dispatcher.key;
    let members = || {
        let members = links
            .iter()
            .filter(|link| link.details.hook() == Some(key))
            .map(|link| link.id.to_string());
        members.collect::<Vec<_>>().join(", ")
    };
    match seen.hooks.get(&key).unwrap_or(&Behind::Nothing) {
        _ if seen.moved.contains(&layout.hook_link(key)) => drift.push(Drift::Moved {
            what: format!("the chain on the {} hook (links {})", key.kind, members()),
            place: interface_at(&hook.dispatcher.interface, &hook.dispatcher.netns),
        }),
        Behind::Found(()) => {}
        Behind::Nothing => drift.push(Drift::HookIdle {
            hook: key.kind,
            place: interface_at(&hook.dispatcher.interface, &hook.dispatcher.netns),
            links: members(),
        }),
        Behind::Unknown(reason) if key.kind != HookKind::Xdp => {
            drift.push(Drift::HookUnreachable {
                hook: key.kind,
                links: members(),
                reason: reason.clone(),
            });
        }
        Behind::Unknown(reason) => drift.push(Drift::Unreadable {
            pin: format!("the {} hook of {}", key.kind, hook.dispatcher.interface),
            reason: reason.clone(),
        }),
    }
}

fn known_pins(wanted: Wanted<'_>) -> BTreeSet<PathBuf> {
    let programs = wanted.programs.iter().flat_map(|program| {
        let maps = program.maps.iter().map(|map| map.pin_path.as_str());
        let own = maps.chain([program.record.pin_path.as_str()]);
        let shared = program
            .shared_by_name()
            .map(|name| wanted.layout.shared(name));
        own.map(PathBuf::from).chain(shared)
    });
    let links = wanted
        .links
        .iter()
        .map(|link| PathBuf::from(&link.pin_path));
    let hooks = wanted.hooks.iter().flat_map(|hook| {
        let Dispatcher { key, revision, .. } = hook.dispatcher;
        [
            wanted.layout.hook_link(key),
            wanted.layout.hook_counters(key),
            wanted.layout.hook_witness(key),
            wanted.layout.head(key, revision),
        ]
    });
    programs.chain(links).chain(hooks).collect()
}

/// The differences as a report for clients.
pub fn report(wanted: Wanted<'_>, drift: &[Drift]) -> DoctorReport {
    let mut findings: Vec<String> = drift.iter().take(FINDINGS).map(Drift::to_string).collect();
    if drift.len() > FINDINGS {
        findings.push(format!("and {} more", drift.len() - FINDINGS));
    }
    let checked = wanted.programs.len() + wanted.links.len();
    DoctorReport {
        checked: u32::try_from(checked).unwrap_or(u32::MAX),
        findings,
    }
}

#[cfg(test)]
mod tests;
