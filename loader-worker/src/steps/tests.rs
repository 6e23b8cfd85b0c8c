use super::*;
use crate::undo;
use crate::valid_plan::sample;
use ipc::messages::program::Source;
use ipc::plan::{Element, Elements, LoadPlan, MapPlan};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a file system would hold: enough to see what remains.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct World {
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl World {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::KeepPlan { path }
            | Step::PinMap { path, .. }
            | Step::PinProgram { path, .. }
            | Step::PinLink { path } => {
                assert!(self.files.insert(path.clone()), "{path:?} is there")
            }
            Step::MakeDirectory { path } => assert!(self.directories.insert(path.clone())),
            Step::GiveToGroup { paths, .. } | Step::SetMode { paths, .. } => {
                assert!(paths.iter().all(|path| self.files.contains(path)));
            }
            _ => {}
        }
        for file in self
            .files
            .iter()
            .filter(|file| file.starts_with("/r/fs/maps"))
        {
            assert!(
                self.directories.contains(file.parent().unwrap()),
                "{file:?} has no directory"
            );
        }
    }

    fn remove(&mut self, removal: &Removal) {
        match removal {
            Removal::RemoveLink { pin: path }
            | Removal::RemovePin { path }
            | Removal::ForgetPlan { path } => {
                self.files.remove(path);
            }
            Removal::RemoveDirectory { path } => {
                assert!(
                    !self.files.iter().any(|file| file.starts_with(path)),
                    "{path:?} not empty"
                );
                self.directories.remove(path);
            }
            Removal::RemoveMapSet { path } => {
                self.files.retain(|file| !file.starts_with(path));
                self.directories.remove(path);
            }
            Removal::RemoveRevision { .. }
            | Removal::RestoreHead { .. }
            | Removal::RemoveFilter(_)
            | Removal::RestoreFilter { .. }
            | Removal::RemoveFilterElsewhere { .. }
            | Removal::RestoreFilterElsewhere { .. }
            | Removal::RetireLibxdp { .. } => panic!("{removal:?} is of no load"),
        }
    }
}

fn layout() -> Layout {
    Layout::new(Path::new("/r"), Path::new("/s"))
}

fn options(mode: Option<u32>, group: Option<u32>) -> LoadOptions {
    LoadOptions {
        programs: vec![],
        metadata: BTreeMap::new(),
        globals: vec![],
        map_owner: None,
        maps_mode: mode,
        maps_group: group,
        source: Source::File("x.o".into()),
    }
}

fn with_owner(id: u32) -> Found {
    Found {
        owner: Some(Owner {
            id,
            directory: format!("/r/fs/maps/{id}").into(),
            forms: vec![],
        }),
        by_name: vec![],
    }
}

fn shaped(programs: usize, publics: usize, internals: usize) -> LoadPlan {
    let mut plan = sample::plan();
    let map = plan.maps[0].clone();
    plan.maps = (0..publics)
        .map(|index| MapPlan {
            name: format!("map_{index}"),
            ..map.clone()
        })
        .chain((0..internals).map(|index| MapPlan {
            name: format!(".data.{index}"),
            internal: true,
            initial: Some(vec![0; 8]),
            freeze: index % 2 == 0,
            ..map.clone()
        }))
        .collect();
    let mut program = plan.programs[0].clone();
    program.map_slots.clear();
    // Only the last two of its instructions, which name no map.
    program.instructions.drain(..32);
    plan.programs = vec![program; programs];
    plan
}

#[test]
fn a_load_creates_maps_before_their_program_and_pins_them_before_it() {
    let valid = sample::valid(sample::plan()).unwrap();
    let steps = create(&layout(), &valid, &Found::default());
    let instance = |program, map| MapInstance { program, map };
    assert_eq!(
        steps[..8],
        [
            Step::LoadBtf,
            Step::CreateMap(instance(0, 0)),
            Step::CreateMap(instance(0, 1)),
            Step::FillMap(instance(0, 1)),
            Step::FreezeMap(instance(0, 1)),
            Step::CreateMap(instance(0, 3)),
            Step::CreateMap(instance(0, 2)),
            Step::LoadProgram(0),
        ]
    );
    assert_eq!(
        steps[8],
        Step::CreateMap(instance(1, 0)),
        "the second program has its own maps"
    );

    let options = options(Some(0o640), Some(42));
    let steps = keep(
        &layout(),
        Keep {
            valid: &valid,
            ids: &[7, 9],
            found: &Found::default(),
            options: &options,
            own_gid: 0,
            plan_is_kept: false,
        },
    );
    let counters = PathBuf::from("/r/fs/maps/7/counters");
    let outer = PathBuf::from("/r/fs/maps/7/outer");
    assert_eq!(
        steps[1..7],
        [
            Step::MakeDirectory {
                path: "/r/fs/maps/7".into()
            },
            Step::PinMap {
                instance: instance(0, 0),
                path: counters.clone()
            },
            Step::PinMap {
                instance: instance(0, 2),
                path: outer.clone()
            },
            Step::GiveToGroup {
                paths: vec![counters.clone(), outer.clone()],
                gid: 42
            },
            Step::SetMode {
                paths: vec![counters, outer],
                mode: 0o640
            },
            Step::PinProgram {
                program: 0,
                path: "/r/fs/prog_7".into()
            },
        ]
    );
}

#[test]
fn elements_are_set_once_in_maps_that_a_load_makes() {
    let mut plan = sample::plan();
    plan.maps[2].value_size = 4;
    plan.maps[2].elements = Some(Elements::Maps(vec![Element { key: 0, value: 0 }]));
    plan.maps.push(MapPlan {
        elements: Some(Elements::Programs(vec![Element { key: 0, value: 1 }])),
        ..MapPlan::plain("calls", 3, (4, 4), 1)
    });
    let instance = |program, map| MapInstance { program, map };
    let set = |valid: &ValidPlan, found: &Found| {
        let steps = create(&layout(), valid, found);
        let numbered = steps.iter().enumerate();
        let found: Vec<_> = numbered
            .filter_map(|(at, step)| match step {
                Step::SetElements(instance) => Some((at, *instance)),
                _ => None,
            })
            .collect();
        let last = steps
            .iter()
            .rposition(|step| matches!(step, Step::LoadProgram(_)));
        (found, last)
    };
    let valid = sample::valid(plan.clone()).unwrap();
    let (found, last) = set(&valid, &Found::default());
    let instances: Vec<_> = found.iter().map(|(_, instance)| *instance).collect();
    // Maps before their program is loaded, programs after the last one.
    assert_eq!(
        instances,
        [(0, 2), (1, 2), (0, 4), (1, 4)].map(|(program, map)| instance(program, map))
    );
    assert!(found[1].0 < last.unwrap() && found[2].0 > last.unwrap());
    assert!(set(&valid, &with_owner(3)).0.is_empty());

    // What is shared by name is made for the first program, unless it is there already.
    plan.maps[2].pin_by_name = true;
    plan.maps[4].pin_by_name = true;
    let valid = sample::valid(plan).unwrap();
    let (found, _) = set(&valid, &Found::default());
    let instances: Vec<_> = found.iter().map(|(_, instance)| *instance).collect();
    assert_eq!(instances, [instance(0, 2), instance(0, 4)]);
    let form = |name: &str| MapForm {
        name: name.into(),
        by_name: true,
        key: None,
        value: None,
    };
    let there = Found {
        owner: None,
        by_name: vec![form("outer"), form("calls")],
    };
    assert!(set(&valid, &there).0.is_empty());
}

#[test]
fn a_group_without_a_mode_may_read() {
    let valid = sample::valid(sample::plan()).unwrap();
    // Also when the group is the one that pins have by themselves.
    for (mode, group, expected) in [
        (None, None, None),
        (None, Some(42), Some(0o640)),
        (None, Some(0), Some(0o640)),
        (Some(0o660), Some(42), Some(0o660)),
        (Some(0), Some(42), Some(0)),
    ] {
        let options = options(mode, group);
        let steps = keep(
            &layout(),
            Keep {
                valid: &valid,
                ids: &[7, 9],
                found: &Found::default(),
                options: &options,
                own_gid: 0,
                plan_is_kept: true,
            },
        );
        let set = steps.iter().find_map(|step| match step {
            Step::SetMode { mode, .. } => Some(*mode),
            _ => None,
        });
        assert_eq!(set, expected, "{mode:?} {group:?}");
    }
}

#[test]
fn an_owners_maps_are_taken_and_no_directory_is_made() {
    let valid = sample::valid(sample::plan()).unwrap();
    let found = with_owner(3);
    let steps = create(&layout(), &valid, &found);
    assert!(steps.contains(&Step::ShareMap {
        instance: MapInstance { program: 1, map: 0 },
        pin: "/r/fs/maps/3/counters".into(),
        with: Sharing::Owner(3),
        form: None,
    }));
    assert!(
        steps.contains(&Step::CreateMap(MapInstance { program: 0, map: 1 })),
        "own data section"
    );
    let options = options(None, None);
    let keep_plan = Keep {
        valid: &valid,
        ids: &[7, 9],
        found: &found,
        options: &options,
        own_gid: 0,
        plan_is_kept: true,
    };
    assert_eq!(
        keep(&layout(), keep_plan),
        [
            Step::PinProgram {
                program: 0,
                path: "/r/fs/prog_7".into()
            },
            Step::PinProgram {
                program: 1,
                path: "/r/fs/prog_9".into()
            },
        ]
    );
}

#[test]
fn maps_shared_by_name_are_made_once_and_pinned_where_others_look() {
    let mut plan = sample::plan();
    plan.maps[0].pin_by_name = true;
    let valid = sample::valid(plan).unwrap();
    let instance = |program| MapInstance { program, map: 0 };
    let options = options(Some(0o640), None);
    let pins = |found: &Found, program| {
        let keep_plan = Keep {
            valid: &valid,
            ids: &[7, 9],
            found,
            options: &options,
            own_gid: 0,
            plan_is_kept: true,
        };
        let pins = keep(&layout(), keep_plan)
            .into_iter()
            .filter_map(|step| match step {
                Step::PinMap { instance: of, path } if of == instance(program) => Some(path),
                _ => None,
            });
        pins.collect::<Vec<_>>()
    };
    let own = |id: u32| PathBuf::from(format!("/r/fs/maps/{id}/counters"));
    let shared = PathBuf::from("/r/fs/shared/counters");

    let nothing = Found::default();
    let steps = create(&layout(), &valid, &nothing);
    assert!(steps.contains(&Step::CreateMap(instance(0))));
    assert!(steps.contains(&Step::SameMap {
        instance: instance(1),
        of: instance(0)
    }));
    assert_eq!(pins(&nothing, 0), [shared.clone(), own(7)]);
    assert_eq!(pins(&nothing, 1), [own(9)]);

    let form = MapForm {
        name: "counters".into(),
        by_name: true,
        key: None,
        value: None,
    };
    let there = Found {
        owner: None,
        by_name: vec![form.clone()],
    };
    let steps = create(&layout(), &valid, &there);
    for program in 0..2 {
        assert!(steps.contains(&Step::ShareMap {
            instance: instance(program),
            pin: shared.clone(),
            with: Sharing::Name,
            form: Some(form.clone()),
        }));
    }
    assert_eq!(pins(&there, 0), [own(7)], "it is pinned already");

    let steps = create(&layout(), &valid, &with_owner(3));
    assert!(steps.contains(&Step::ShareMap {
        instance: instance(0),
        pin: "/r/fs/maps/3/counters".into(),
        with: Sharing::Owner(3),
        form: None,
    }));
}

proptest! {
    /// After any number of steps, undoing those that were done leaves nothing, and so does replaying the intent,
    /// which lists the removals of all of them, even twice.
    #[test]
    fn whatever_was_done_can_be_undone(
        programs in 1usize..5, publics in 0usize..5, internals in 0usize..4,
        shared: bool, by_name: bool, kept: bool, mode: Option<bool>, group: Option<bool>,
    ) {
        let mut plan = shaped(programs, publics, internals);
        plan.maps.iter_mut().for_each(|map| map.pin_by_name = by_name);
        let valid = sample::valid(plan).unwrap();
        let found = if shared { with_owner(1) } else { Found::default() };
        let ids: Vec<u32> = (100..).take(programs).collect();
        let options = options(mode.map(|_| 0o666), group.map(u32::from));
        let steps = keep(&layout(), Keep { valid: &valid, ids: &ids, found: &found, options: &options, own_gid: 0, plan_is_kept: kept });
        let intent = undo::plan(&steps);
        for count in 0..=steps.len() {
            let mut world = World::default();
            steps[..count].iter().for_each(|step| world.apply(step));
            let mut replayed = world.clone();
            undo::plan(&steps[..count]).iter().for_each(|removal| world.remove(removal));
            prop_assert_eq!(&world, &World::default());
            intent.iter().chain(&intent).for_each(|removal| replayed.remove(removal));
            prop_assert_eq!(&replayed, &World::default());
        }
        // And unloading takes away exactly what loading made.
        let mut world = World::default();
        steps.iter().for_each(|step| world.apply(step));
        for (index, id) in ids.iter().enumerate() {
            let set = (!shared).then(|| layout().map_set(*id));
            let is_last = index + 1 == ids.len();
            let plan = (is_last && !kept).then(|| layout().plan(valid.digest()));
            let names = (0..publics).filter(|_| is_last).map(|map| layout().shared(&format!("map_{map}")));
            unload(layout().program_pin(*id), None, names.collect(), set, plan).iter().for_each(|removal| world.remove(removal));
        }
        prop_assert_eq!(&world, &World::default());
    }

    /// The first part needs no undo: it makes nothing that outlives its descriptors.
    #[test]
    fn creating_makes_only_descriptors(programs in 1usize..5, publics in 0usize..5, internals in 0usize..4, shared: bool) {
        let valid = sample::valid(shaped(programs, publics, internals)).unwrap();
        let found = if shared { with_owner(1) } else { Found::default() };
        let steps = create(&layout(), &valid, &found);
        prop_assert!(undo::plan(&steps).is_empty());
        // Every program finds all its maps made before it.
        let mut made = BTreeSet::new();
        for step in &steps {
            match step {
                Step::CreateMap(instance) | Step::ShareMap { instance, .. } => prop_assert!(made.insert(*instance)),
                Step::FillMap(instance) | Step::FreezeMap(instance) => prop_assert!(made.contains(instance)),
                Step::LoadProgram(program) => {
                    for map in 0..publics + internals {
                        let instance = MapInstance { program: *program, map };
                        prop_assert!(made.contains(&instance));
                    }
                }
                _ => {}
            }
        }
    }
}
