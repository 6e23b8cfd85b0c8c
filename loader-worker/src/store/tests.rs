use super::*;
use crate::steps::Removal;
use intents::Part;
use ipc::messages::attach::LinkDetails;
use ipc::messages::program::{ProgramKind, ProgramRecord, Source};
use std::collections::BTreeMap;

fn program(id: u32) -> StoredProgram {
    StoredProgram {
        record: ProgramRecord {
            program_id: id,
            name: format!("program_{id}"),
            kind: ProgramKind::Tcx,
            section: "tcx/ingress".into(),
            attach_function: None,
            license: "GPL".into(),
            gpl_compatible: true,
            metadata: BTreeMap::from([("key".into(), "value".into())]),
            globals: vec![],
            source: Source::File("count.o".into()),
            object_digest: [1; 32],
            plan_path: "/s/plans/x.plan".into(),
            pin_path: format!("/r/fs/prog_{id}"),
            maps_dir: format!("/r/fs/maps/{id}"),
            map_owner: None,
            loaded_by: 0,
            created_at: 1_700_000_000,
        },
        maps: vec![],
        forms: vec![],
        member: None,
    }
}

fn link(id: u64, program_id: u32) -> LinkRecord {
    LinkRecord {
        id,
        program_id,
        kernel_link_id: Some(5),
        kind: ProgramKind::Tracepoint,
        pin_path: format!("/r/fs/links/{id}"),
        details: LinkDetails::Tracepoint {
            group: "g".into(),
            name: "n".into(),
        },
        created_at: 0,
        metadata: BTreeMap::new(),
    }
}

fn back(path: &str) -> Intent {
    Intent::Back {
        removals: vec![Removal::RemovePin { path: path.into() }],
    }
}

#[test]
fn records_survive_and_are_listed_by_number() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let programs = vec![program(9), program(10), program(100), program(u32::MAX)];
    let change = Change {
        programs: programs.clone(),
        links: vec![link(2, 9)],
        ..Change::default()
    };
    store.commit(&change).unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.programs().unwrap(), programs);
    assert_eq!(store.program(10).unwrap(), Some(program(10)));
    assert_eq!(store.program(11).unwrap(), None);
    assert_eq!(store.links().unwrap(), [link(2, 9)]);
    assert_eq!(store.link(2).unwrap(), Some(link(2, 9)));
}

#[test]
fn an_intent_lasts_until_its_commit() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let first = store.begin(&back("/a")).unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.intents().unwrap(), [(first, back("/a"))]);
    let forward = Intent::Forward {
        parts: vec![Part {
            row: Row::Link(2),
            removals: vec![],
        }],
    };
    let second = store.begin(&forward).unwrap();
    assert!(second > first);
    let change = Change {
        programs: vec![program(1)],
        gone: vec![Row::Link(2)],
        finished: Some(first),
        ..Change::default()
    };
    store.commit(&change).unwrap();
    assert_eq!(store.intents().unwrap(), [(second, forward)]);
    assert_eq!(store.programs().unwrap(), [program(1)]);
}

#[test]
fn link_ids_are_never_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.take_link_id(), 1);
    let number = store.begin(&back("/links/1")).unwrap();
    // The attachment failed: its id stays used.
    store
        .commit(&Change {
            finished: Some(number),
            ..Change::default()
        })
        .unwrap();
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.take_link_id(), 2);
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut batch = WriteBatch::default();
    put(&mut batch, SCHEMA_KEY, &(SCHEMA + 1)).unwrap();
    put(
        &mut batch,
        "program/0000000001",
        &"of a future kind".to_owned(),
    )
    .unwrap();
    store.write(batch, true).unwrap();
    drop(store);
    for _ in 0..2 {
        let error = Store::open(directory.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::Newer { found, known } if found == known + 1),
            "{error}"
        );
    }
}

#[test]
fn an_unreadable_record_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store
        .database
        .put("program/0000000004", [VERSION_OF_TOMORROW, 1, 2, 3])
        .unwrap();
    let error = store.programs().unwrap_err();
    assert!(error.to_string().contains("program/0000000004"), "{error}");
    assert!(error.to_string().contains("version 2"), "{error}");
    store.database.put("program/0000000004", b"").unwrap();
    assert!(store.program(4).unwrap_err().to_string().contains("empty"));
}

const VERSION_OF_TOMORROW: u8 = 2;

#[test]
fn a_store_without_a_version_is_not_taken_for_new() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit_raw(&[("program/0000000001", b"x")]);
    store.database.delete(SCHEMA_KEY).unwrap();
    drop(store);
    assert!(matches!(
        Store::open(directory.path()).unwrap_err(),
        StoreError::Corrupt { .. }
    ));
}

impl Store {
    fn commit_raw(&self, pairs: &[(&str, &[u8])]) {
        for (key, value) in pairs {
            self.database.put(key, value).unwrap();
        }
    }
}

#[test]
fn two_owners_are_one_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let _store = Store::open(directory.path()).unwrap();
    assert!(matches!(
        Store::open(directory.path()).unwrap_err(),
        StoreError::Open { .. }
    ));
}

#[test]
fn a_record_one_byte_too_large_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut large = program(1);
    large
        .record
        .metadata
        .insert("k".into(), "v".repeat(limits::RECORD_BYTES));
    let change = Change {
        programs: vec![program(2), large],
        ..Change::default()
    };
    assert!(matches!(
        store.commit(&change).unwrap_err(),
        StoreError::TooLarge { .. }
    ));
    assert!(
        store.programs().unwrap().is_empty(),
        "nothing of the batch was written"
    );
}

#[test]
fn users_of_a_map_set_are_known_after_every_change_and_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let mut second = program(8);
    second.record.map_owner = Some(7);
    let programs = vec![program(7), second, program(9)];
    let change = Change {
        programs,
        ..Change::default()
    };
    store.commit(&change).unwrap();
    let users = |store: &Store| [7, 8, 9].map(|set| store.map_set_users(set));
    assert_eq!(users(&store), [vec![7, 8], vec![], vec![9]]);
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(users(&store), [vec![7, 8], vec![], vec![9]]);
    // A set outlives its first user; the id of a program that is gone may come back with maps of its own.
    let change = Change {
        gone: vec![Row::Program(7), Row::Program(9), Row::Program(8)],
        programs: vec![program(8)],
        ..Change::default()
    };
    store.commit(&change).unwrap();
    assert_eq!(users(&store), [vec![], vec![8], vec![]]);
}
