//! What a load makes: every program that is named and no other, every map of its object, in the places that others know.
//!
//! Other rules of loading have their tests where they belong: kinds and sections (`image-worker/src/compile/sections.rs`,
//! `bad_input`), batches and the verifier (`bad_input`, `main_job`), global data, maps of owners and maps by name.

use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::leftovers::Traces;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn get(instance: &Instance, id: u32) -> Value {
    instance
        .ctl(&["program", "get", &id.to_string(), "-o", "json"])
        .json()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().expect("a directory").flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_map_of_the_object_is_made_and_pinned_but_data_sections() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    // It uses none of them.
    let id = instance.load(&objects.object("maps"), "tc:uses_none", &[])[0];
    let folder = instance.fs().join("maps").join(id.to_string());
    let expected = ["events", "hash", "recent", "samples", "shared", "tables"];
    assert_eq!(names_in(&folder), expected.map(str::to_owned).into());
    let shared = names_in(&instance.fs().join("shared"));
    assert_eq!(shared, ["shared".to_owned()].into());
    let program = get(&instance, id);
    assert_eq!(
        program["record"]["handles"]["map_pin_path"],
        folder.to_string_lossy().as_ref()
    );

    // Sections of data are each program's own, and nobody's to see.
    let counter = instance.load(&objects.object("counter"), "xdp:xdp_count", &[])[0];
    let folder = instance.fs().join("maps").join(counter.to_string());
    let expected = ["counters", "traffic"];
    assert_eq!(names_in(&folder), expected.map(str::to_owned).into());
    for id in [id, counter] {
        instance.ctl(&["program", "unload", &id.to_string()]).ok();
    }
    before.assert_unchanged(&instance, "unload");
}

#[test]
fn each_program_of_a_batch_has_maps_of_its_own_in_the_order_of_the_request() {
    let instance = Instance::start();
    let before = kernel::inventory();
    let objects = Objects::new();
    let names = ["xdp_count", "tracepoint_count", "tc_count"];
    let ids = instance.load(
        &objects.object("counter"),
        "xdp:xdp_count,tracepoint:tracepoint_count,tc:tc_count",
        &["-m", "team=storage"],
    );
    let new = kernel::inventory().since(&before);
    let loaded: BTreeSet<u32> = ids.iter().copied().collect();
    assert!(loaded.is_subset(&new.programs), "{ids:?}: {new:?}");
    let mut maps = BTreeSet::new();
    for (id, name) in ids.iter().zip(names) {
        let program = get(&instance, *id);
        assert_eq!(program["record"]["load"]["program_name"], name);
        // The kernel keeps the first 15 characters.
        assert_eq!(
            program["status"]["kernel"]["name"],
            name[..name.len().min(15)]
        );
        assert_eq!(program["record"]["meta"]["metadata"]["team"], "storage");
        assert_eq!(program["status"]["map_used_by"], serde_json::json!([id]));
        let own = program["status"]["maps"].as_array().expect("maps");
        assert!(own.len() > 2, "{own:?}");
        for map in own {
            assert!(maps.insert(map["id"].as_u64()), "{map} is not its own");
        }
        let pin = instance.fs().join(format!("prog_{id}"));
        assert_eq!(
            program["record"]["handles"]["pin_path"],
            pin.to_string_lossy().as_ref()
        );
        assert!(pin.exists());
    }
    instance.assert_no_drift();
}

#[test]
fn an_optional_program_is_loaded_when_it_is_named() {
    let instance = Instance::start();
    let objects = Objects::new();
    let id = instance.load(&objects.object("counter"), "xdp:optional_count", &[])[0];
    let program = get(&instance, id);
    assert_eq!(program["record"]["load"]["program_name"], "optional_count");
    assert_eq!(program["status"]["kernel"]["name"], "optional_count");
}

#[test]
fn one_bad_value_of_a_global_refuses_the_whole_batch() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let path = objects.object("counter");
    let path = path.to_string_lossy();
    let programs = "xdp:xdp_count,tracepoint:tracepoint_count";
    let load = ["program", "load", "file", &path, "--programs", programs];
    let globals = ["-g", "step=0x0500000000000000", "-g", "enabled=00"];
    let error = instance.ctl(&[&load[..], &globals].concat()).refused();
    assert!(error.contains("enabled") && error.contains('4'), "{error}");
    before.assert_unchanged(&instance, "a global of the wrong size");
}

#[test]
fn maps_are_shared_with_owners_alone() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let owner = instance.load(&object, "xdp:xdp_count", &[])[0];
    let with = |id: u32| ["--map-owner-id".to_owned(), id.to_string()];
    let of_owner = with(owner);
    let of_owner = of_owner.each_ref().map(String::as_str);
    let user = instance.load(&object, "xdp:xdp_count", &of_owner)[0];
    let before = Traces::of(&instance);
    let path = object.to_string_lossy();
    let load = [
        "program",
        "load",
        "file",
        &path,
        "--programs",
        "xdp:xdp_count",
    ];
    for id in [user, 999_999] {
        let arguments = with(id);
        let arguments = arguments.each_ref().map(String::as_str);
        let error = instance.ctl(&[&load[..], &arguments].concat()).refused();
        let words = format!("map_owner_id {id} does not exist");
        assert!(error.contains(&words), "{error}");
    }
    // The owner lacks maps of this object.
    let path = objects.object("maps");
    let path = path.to_string_lossy();
    let load = [
        "program",
        "load",
        "file",
        &path,
        "--programs",
        "tc:uses_none",
    ];
    let error = instance.ctl(&[&load[..], &of_owner].concat()).refused();
    let words = format!("from owner {owner}: the owner has no map of this name");
    assert!(error.contains(&words), "{error}");
    before.assert_unchanged(&instance, "owners that are none");
    assert_eq!(
        get(&instance, user)["status"]["map_used_by"],
        serde_json::json!([owner, user])
    );
}
