//! Maps that are shared by name (`LIBBPF_PIN_BY_NAME`), by objects that know nothing of one another.

use crate::crashes::kill;
use crate::host::{Host, now, other_tracepoint, tracepoint, with_host};
use crate::kernel_support::plan;
use crate::switch::Mode;
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::{Program, ProgramKind};
use ipc::plan::{LoadPlan, MapPlan};
use loader_worker::engine::Engine;
use loader_worker::kernel::{map, pin};
use loader_worker::steps::Removal;
use loader_worker::store::Store;
use loader_worker::store::intents::Intent;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The objects of one test, whose maps have names of their own host.
struct Tallies {
    first: LoadPlan,
    second: LoadPlan,
    other: LoadPlan,
    pin: PathBuf,
}

impl Tallies {
    fn new(host: &Host) -> Self {
        let marked = |object, program| {
            let planned = plan(object, &[(program, ProgramKind::Tracepoint)]);
            let shared = planned.maps.iter().position(|map| map.name == "tally");
            let mut marked = host.marked(planned);
            // The same name in all of them, wherever it stands.
            let name = marked.programs[0].name.replace("p0", "tally");
            marked.maps[shared.unwrap()].name = name.clone();
            (marked, name)
        };
        let (first, name) = marked(bpf::TALLY, "tally_first");
        Self {
            first,
            second: marked(bpf::TALLY_TOO, "tally_second").0,
            other: marked(bpf::TALLY_OTHER, "tally_other").0,
            pin: host.layout.shared(&name),
        }
    }

    /// Events that are counted in a slot of the map behind a pin.
    fn events(pin: &Path, slot: u32) -> u64 {
        let shared = pin::get(pin).unwrap();
        let value = map::lookup(shared.as_fd(), &slot.to_ne_bytes()).unwrap();
        u64::from_ne_bytes(value[..8].try_into().unwrap())
    }
}

fn id(programs: &[Program]) -> u32 {
    programs[0].record.program_id
}

fn assert_no_drift(engine: &Engine) {
    assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
}

fn call_getpid() {
    // Once per call, whatever else the machine does.
    let _ = rustix::process::getpid();
}

#[test]
fn two_objects_count_in_one_map_until_the_last_of_them_goes() {
    with_host(|host| {
        let mut engine = host.open();
        let tallies = Tallies::new(host);
        let first = host.load(&mut engine, &tallies.first).unwrap();
        let second = host.load(&mut engine, &tallies.second).unwrap();
        let (first, second) = (id(&first), id(&second));
        let shared = |engine: &Engine, id| {
            let maps = engine.program(id).unwrap().maps;
            let name = tallies.pin.file_name().unwrap();
            let found = maps
                .into_iter()
                .find(|map| Path::new(&map.pin_path).file_name() == Some(name));
            let found = found.unwrap();
            assert!(
                found.present
                    && found
                        .pin_path
                        .ends_with(&format!("maps/{id}/{}", name.to_str().unwrap()))
            );
            found.id
        };
        assert_eq!(shared(&engine, first), shared(&engine, second), "one map");
        assert_ne!(
            engine.program(first).unwrap().record.maps_dir,
            engine.program(second).unwrap().record.maps_dir
        );

        host.attach(&mut engine, first, tracepoint()).unwrap();
        host.attach(&mut engine, second, tracepoint()).unwrap();
        let before = [0, 1].map(|slot| Tallies::events(&tallies.pin, slot));
        (0..3).for_each(|_| call_getpid());
        for slot in [0, 1] {
            let seen = Tallies::events(&tallies.pin, slot);
            assert!(seen >= before[slot as usize] + 3, "slot {slot}: {seen}");
        }
        assert_no_drift(&engine);

        now(engine.unload(first)).unwrap();
        let counted = Tallies::events(&tallies.pin, 0);
        assert!(counted >= 3, "what was counted stays: {counted}");
        let before = Tallies::events(&tallies.pin, 1);
        call_getpid();
        assert!(Tallies::events(&tallies.pin, 1) > before);
        assert_no_drift(&engine);

        // Who comes back finds what was counted, also after a restart of the process.
        drop(engine);
        let mut engine = host.open();
        let again = id(&host.load(&mut engine, &tallies.first).unwrap());
        assert_eq!(shared(&engine, again), shared(&engine, second));
        assert_eq!(Tallies::events(&tallies.pin, 0), counted);
        now(engine.unload(second)).unwrap();
        assert!(tallies.pin.exists());
        now(engine.unload(again)).unwrap();
        assert!(!tallies.pin.exists());
        host.assert_clean(&engine);
    });
}

#[test]
fn a_batch_and_the_users_of_a_map_set_share_too() {
    with_host(|host| {
        let mut engine = host.open();
        let tallies = Tallies::new(host);
        let mut pair = tallies.first.clone();
        let mut twin = pair.programs[0].clone();
        twin.name.push('t');
        pair.programs.push(twin);
        let pair = host.load(&mut engine, &pair).unwrap();
        let ids: Vec<u32> = pair.iter().map(|one| one.record.program_id).collect();
        host.attach(&mut engine, ids[1], other_tracepoint())
            .unwrap();
        let _ = rustix::process::getppid();
        assert!(Tallies::events(&tallies.pin, 0) >= 1);

        // A program that uses the maps of another is a user of what that shares.
        let user = host
            .load_with(&mut engine, &tallies.second, |options| {
                options.map_owner = Some(ids[0]);
            })
            .unwrap();
        for id in &ids {
            now(engine.unload(*id)).unwrap();
            assert!(tallies.pin.exists());
            assert_no_drift(&engine);
        }
        now(engine.unload(id(&user))).unwrap();
        assert!(!tallies.pin.exists());
        host.assert_clean(&engine);
    });
}

/// A change of a map, and what a refusal says of it.
type Difference = (fn(&mut MapPlan), &'static str);

const DIFFERENCES: [Difference; 4] = [
    (|map| map.map_type = 1, "type is 2, the object declares 1"),
    (|map| map.value_size += 8, "value size"),
    (|map| map.max_entries += 1, "number of entries"),
    (|map| map.flags = 1 << 10, "flags"),
];

fn assert_refused(failure: &Failure, difference: &str) {
    assert_eq!(failure.code, FailureCode::FailedPrecondition, "{failure}");
    let what = format!("incompatible shared map: its {difference}");
    assert!(
        failure.cause.contains(&what) || failure.cause.contains(difference),
        "{failure}"
    );
    assert!(
        failure.cause.contains("incompatible shared map"),
        "{failure}"
    );
}

#[test]
fn what_differs_is_refused_and_leaves_nothing() {
    with_host(|host| {
        let mut engine = host.open();
        let tallies = Tallies::new(host);
        let first = id(&host.load(&mut engine, &tallies.first).unwrap());
        let name = tallies.pin.file_name().unwrap().to_str().unwrap();
        let (pins, kernel) = (host.pins(), host.in_kernel().len());
        // By name, and by owner.
        for owner in [None, Some(first)] {
            let mut refused = |plan: &LoadPlan| {
                let load = host.load_with(&mut engine, plan, |options| options.map_owner = owner);
                let failure = load.unwrap_err();
                assert_eq!(host.pins(), pins, "{failure}");
                assert_no_drift(&engine);
                failure
            };
            for (change, difference) in DIFFERENCES {
                let mut changed = tallies.second.clone();
                let shared = changed.maps.iter_mut().find(|map| map.name == name);
                change(shared.unwrap());
                assert_refused(&refused(&changed), difference);
            }
            let failure = refused(&tallies.other);
            assert_refused(
                &failure,
                "value type is struct tally { u64 events; u64 last; }, \
                 the object declares struct tally { u64 bytes; u64 packets; }",
            );
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while host.in_kernel().len() != kernel && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(host.in_kernel().len(), kernel);
        now(engine.unload(first)).unwrap();
        // The name is free.
        let other = id(&host.load(&mut engine, &tallies.other).unwrap());
        now(engine.unload(other)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn a_load_that_is_killed_or_fails_leaves_the_map_to_who_had_it() {
    with_host(|host| {
        let tallies = Tallies::new(host);
        for has_fellow in [false, true] {
            let mut engine = host.open();
            let fellow = has_fellow.then(|| id(&host.load(&mut engine, &tallies.first).unwrap()));
            drop(engine);
            for number in 0.. {
                let request = |engine: &mut Engine| {
                    let _ = host.load(engine, &tallies.second);
                };
                let Some((point, engine)) = kill(host, host.open(), number, request) else {
                    assert!(number > 8, "only {number} points");
                    break;
                };
                assert_eq!(
                    tallies.pin.exists(),
                    has_fellow || point == "Answer",
                    "{point}"
                );
                for program in engine.programs().unwrap() {
                    if Some(program.record.program_id) != fellow {
                        now(engine.unload(program.record.program_id)).unwrap();
                    }
                }
                assert_eq!(tallies.pin.exists(), has_fellow, "{point}");
            }
            let mut engine = host.open();
            for program in engine.programs().unwrap() {
                now(engine.unload(program.record.program_id)).unwrap();
            }
            host.assert_clean(&engine);

            let fellow = has_fellow.then(|| id(&host.load(&mut engine, &tallies.first).unwrap()));
            for number in 0.. {
                host.switch.set(Mode::Fail(number));
                let outcome = host.load(&mut engine, &tallies.second);
                let fired = host.switch.fired();
                host.switch.set(Mode::Off);
                let Some(point) = fired else {
                    now(engine.unload(id(&outcome.unwrap()))).unwrap();
                    break;
                };
                outcome.unwrap_err();
                assert_eq!(tallies.pin.exists(), has_fellow, "{point}");
                assert_no_drift(&engine);
            }
            if let Some(fellow) = fellow {
                now(engine.unload(fellow)).unwrap();
            }
            host.assert_clean(&engine);
        }
    });
}

#[test]
fn an_unload_that_is_killed_takes_the_map_with_the_last_user_alone() {
    with_host(|host| {
        let tallies = Tallies::new(host);
        for has_fellow in [false, true] {
            for number in 0.. {
                let mut engine = host.open();
                let fellow =
                    has_fellow.then(|| id(&host.load(&mut engine, &tallies.second).unwrap()));
                let first = id(&host.load(&mut engine, &tallies.first).unwrap());
                let request = |engine: &mut Engine| {
                    let _ = now(engine.unload(first));
                };
                let killed = kill(host, engine, number, request);
                let is_last = killed.is_none();
                let (point, engine) = killed.unwrap_or_else(|| ("the end".into(), host.open()));
                let is_there = has_fellow || point == "Begin";
                assert_eq!(tallies.pin.exists(), is_there, "{point}");
                if point == "Begin" {
                    now(engine.unload(first)).unwrap();
                }
                if let Some(fellow) = fellow {
                    assert!(
                        engine
                            .program(fellow)
                            .unwrap()
                            .maps
                            .iter()
                            .all(|map| map.present)
                    );
                    now(engine.unload(fellow)).unwrap();
                }
                host.assert_clean(&engine);
                if is_last {
                    assert!(number > 3, "only {number} points");
                    break;
                }
            }
        }
    });
}

#[test]
fn the_doctor_misses_a_pin_and_names_one_that_is_nobodys() {
    with_host(|host| {
        let mut engine = host.open();
        let tallies = Tallies::new(host);
        let first = id(&host.load(&mut engine, &tallies.first).unwrap());
        pin::unlink(&tallies.pin).unwrap();
        let pin = tallies.pin.display().to_string();
        let findings = now(engine.doctor()).unwrap().findings;
        assert!(
            findings.iter().any(|finding| finding.contains(&pin)),
            "{findings:?}"
        );
        assert_eq!(findings.len(), 1, "{findings:?}");
        now(engine.unload(first)).unwrap();
        host.assert_clean(&engine);

        // A pin without a user, as a lost store leaves it, is named and taken over by the next load.
        let first = id(&host.load(&mut engine, &tallies.first).unwrap());
        let shared = pin::get(&tallies.pin).unwrap();
        now(engine.unload(first)).unwrap();
        pin::pin(shared.as_fd(), &tallies.pin).unwrap();
        drop(shared);
        let findings = now(engine.doctor()).unwrap().findings;
        assert!(
            findings.iter().any(|finding| finding.contains(&pin)),
            "{findings:?}"
        );
        let second = id(&host.load(&mut engine, &tallies.second).unwrap());
        assert_no_drift(&engine);
        now(engine.unload(second)).unwrap();
        host.assert_clean(&engine);
    });
}

/// Whoever shared the map then would lose it when the change is finished at last.
#[test]
fn a_map_that_is_still_to_be_removed_is_shared_with_nobody() {
    with_host(|host| {
        let mut engine = host.open();
        let tallies = Tallies::new(host);
        let first = id(&host.load(&mut engine, &tallies.first).unwrap());
        let shared = pin::get(&tallies.pin).unwrap();
        now(engine.unload(first)).unwrap();
        pin::pin(shared.as_fd(), &tallies.pin).unwrap();
        drop((shared, engine));

        let obstacle = host.state().join("obstacle");
        std::fs::create_dir_all(obstacle.join("within")).unwrap();
        let store = Store::open(&host.layout.store()).unwrap();
        let removals = vec![
            Removal::RemoveDirectory {
                path: obstacle.clone(),
            },
            Removal::RemovePin {
                path: tallies.pin.clone(),
            },
        ];
        store.begin(&Intent::Back { removals }).unwrap();
        drop(store);
        let (mut engine, _) = host.try_open().unwrap();
        let failure = host.load(&mut engine, &tallies.second).unwrap_err();
        assert_eq!(failure.code, FailureCode::FailedPrecondition);
        assert!(failure.cause.contains("still being removed"), "{failure}");

        std::fs::remove_dir_all(&obstacle).unwrap();
        let second = id(&host.load(&mut engine, &tallies.second).unwrap());
        assert_no_drift(&engine);
        now(engine.unload(second)).unwrap();
        host.assert_clean(&engine);
    });
}

/// Both loads look for the map before either has made it, unless one waits for the other.
#[test]
fn loads_of_one_name_at_once_make_one_map() {
    with_host(|host| {
        let engine = host.open();
        let tallies = Tallies::new(host);
        let ids: Vec<u32> = std::thread::scope(|scope| {
            let plans = [
                &tallies.first,
                &tallies.second,
                &tallies.first,
                &tallies.second,
            ];
            let loads = plans.map(|plan| {
                let engine = &engine;
                scope.spawn(move || {
                    let options = crate::host::options(plan);
                    let valid = crate::host::valid(plan);
                    now(engine.load(1000, &valid, &options)).unwrap()
                })
            });
            loads.map(|load| id(&load.join().unwrap())).to_vec()
        });
        let maps = ids.iter().map(|id| {
            let maps = engine.program(*id).unwrap().maps;
            let own = maps.iter().find(|map| map.pin_path.ends_with("tally"));
            own.unwrap().id
        });
        let maps: std::collections::BTreeSet<u32> = maps.collect();
        assert_eq!(maps.len(), 1, "one map");
        assert_no_drift(&engine);
        std::thread::scope(|scope| {
            for id in &ids {
                let engine = &engine;
                scope.spawn(move || now(engine.unload(*id)).unwrap());
            }
        });
        host.assert_clean(&engine);
    });
}
