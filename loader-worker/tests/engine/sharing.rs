//! Map sets with more than one user, and the rights on map pins.

use crate::host::{now, with_host};
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const TRACEPOINT: [(&str, ProgramKind); 1] = [("tracepoint_count", ProgramKind::Tracepoint)];

#[test]
fn a_map_set_lives_as_long_as_its_last_user() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &TRACEPOINT);
        let owner = host.load(&mut engine, &plan).unwrap().remove(0).record;
        let id = owner.program_id;
        let user = host
            .load_with(&mut engine, &plan, |options| options.map_owner = Some(id))
            .unwrap()
            .remove(0);
        assert_eq!(user.record.maps_dir, owner.maps_dir);
        assert_eq!(user.record.map_owner, Some(id));
        assert_eq!(user.map_used_by, [id, user.record.program_id]);
        let maps = |engine: &loader_worker::engine::Engine, id| engine.program(id).unwrap().maps;
        let (first, second) = (maps(&engine, id), maps(&engine, user.record.program_id));
        assert_eq!(first[0].id, second[0].id, "one map");
        let internal = |maps: &[ipc::messages::kernel::KernelMap]| {
            maps.iter()
                .filter(|map| map.pin_path.is_empty())
                .map(|map| map.id)
                .collect::<Vec<_>>()
        };
        assert!(
            internal(&first)
                .iter()
                .all(|id| !internal(&second).contains(id)),
            "own data sections"
        );

        let of_user = user.record.program_id;
        let failure = host
            .load_with(&mut engine, &plan, |options| {
                options.map_owner = Some(of_user)
            })
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidArgument);
        assert_eq!(
            failure.cause,
            format!("map_owner_id {of_user} does not exist: map owner not found")
        );

        now(engine.unload(id)).unwrap();
        assert!(
            Path::new(&owner.maps_dir).is_dir(),
            "the set outlives its owner"
        );
        assert!(maps(&engine, of_user)[0].present);
        assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
        let late = host
            .load_with(&mut engine, &plan, |options| options.map_owner = Some(id))
            .unwrap()
            .remove(0);
        assert_eq!(late.map_used_by, [of_user, late.record.program_id]);
        now(engine.unload(of_user)).unwrap();
        now(engine.unload(late.record.program_id)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn maps_that_do_not_fit_are_not_shared() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &TRACEPOINT);
        let owner = host.load(&mut engine, &plan).unwrap()[0].record.program_id;
        let public = plan.maps.iter().position(|map| !map.internal).unwrap();

        let mut larger = plan.clone();
        larger.maps[public].max_entries += 1;
        let failure = host
            .load_with(&mut engine, &larger, |options| {
                options.map_owner = Some(owner)
            })
            .unwrap_err();
        assert_eq!(failure.code, FailureCode::FailedPrecondition);
        let start = format!(
            "load shared map \"{}\" from owner {owner}: ",
            larger.maps[public].name
        );
        assert!(failure.cause.starts_with(&start), "{failure}");
        assert!(failure.cause.contains("number of entries"), "{failure}");

        let mut renamed = plan.clone();
        renamed.maps[public].name.push('x');
        let failure = host
            .load_with(&mut engine, &renamed, |options| {
                options.map_owner = Some(owner)
            })
            .unwrap_err();
        assert!(failure.cause.contains("no map of this name"), "{failure}");
        now(engine.unload(owner)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn map_pins_get_the_mode_and_group_that_were_asked_for() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &TRACEPOINT);
        let loaded = host.load_with(&mut engine, &plan, |options| {
            options.maps_mode = Some(0o640);
            options.maps_group = Some(4242);
        });
        let id = loaded.unwrap()[0].record.program_id;
        let program = engine.program(id).unwrap();
        for map in program.maps.iter().filter(|map| !map.pin_path.is_empty()) {
            let metadata = std::fs::metadata(&map.pin_path).unwrap();
            assert_eq!(
                (metadata.mode() & 0o7777, metadata.gid()),
                (0o640, 4242),
                "{}",
                map.pin_path
            );
        }
        let metadata = std::fs::metadata(&program.record.pin_path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o600, 0));
        now(engine.unload(id)).unwrap();
        host.assert_clean(&engine);
    });
}
