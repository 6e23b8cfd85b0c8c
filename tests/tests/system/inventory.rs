//! What is in the kernel and not bpfman's: what one instance manages is foreign to another.

use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::maps::{NOBODY, read_as};
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::process::kill;
use bpfman_tests::wait;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

/// An instance with a program that is attached, and another to which it is foreign.
struct Two {
    owner: Instance,
    other: Instance,
    program: u32,
}

impl Two {
    fn start() -> Self {
        let owner = Instance::start();
        let other = Instance::start();
        let objects = Objects::new();
        let object = objects.object("counter");
        let program = owner.load(&object, "tracepoint:tracepoint_count", &[])[0];
        Self {
            owner,
            other,
            program,
        }
    }
}

/// Rows of a list, the first that fits.
fn row(list: &Value, fits: impl Fn(&Value) -> bool) -> &Value {
    let mut rows = list.as_array().expect("a list").iter();
    rows.find(|row| fits(row))
        .unwrap_or_else(|| panic!("no such row in {list:#}"))
}

fn ids(list: &Value, key: &str) -> BTreeSet<u32> {
    let id = |row: &Value| u32::try_from(row[key].as_u64().expect("an id")).expect("an id");
    list.as_array().expect("a list").iter().map(id).collect()
}

#[test]
fn inventory_has_every_program_as_the_kernel_tells_it_to_its_owner() {
    let two = Two::start();
    let all = || {
        two.other
            .ctl(&["program", "list", "--all", "-o", "json"])
            .json()
    };
    // The first list installs the iterators, the second has them in it.
    all();
    let before = kernel::inventory().programs;
    let list = all();
    assert_eq!(ids(&list["programs"], "program_id"), before);

    let id = two.program.to_string();
    let owned = two.owner.ctl(&["program", "get", &id, "-o", "json"]).json();
    let found = row(&list["programs"], |row| row["program_id"] == two.program);
    assert_eq!(found["managed"], false);
    assert_eq!(found["type"], "tracepoint");
    assert_eq!(found["function_name"], "tracepoint_coun");
    assert_eq!(found["record"], Value::Null);
    assert_eq!(found["links"], serde_json::json!([]));
    assert_eq!(found["kernel"], owned["status"]["kernel"]);

    let theirs = two
        .owner
        .ctl(&["program", "list", "--all", "-o", "json"])
        .json();
    let found = row(&theirs["programs"], |row| row["program_id"] == two.program);
    assert_eq!(found["managed"], true);
    let text = two.other.ctl(&["program", "list", "--all"]).ok();
    assert!(text.contains("tracepoint_coun"), "{text}");
    assert_eq!(
        two.other.ctl(&["program", "list"]).ok(),
        "",
        "without --all"
    );
    two.other.assert_no_drift();
}

#[test]
fn inventory_rows_are_chosen_by_type_and_excluded_by_what_is_not_known() {
    let two = Two::start();
    let listed = |more: &[&str]| {
        let arguments = [&["program", "list", "--all", "-q"], more].concat();
        let ids = two.other.ctl(&arguments).ok();
        ids.lines().any(|id| id == two.program.to_string())
    };
    assert!(listed(&[]));
    assert!(listed(&["--type", "tracepoint"]));
    assert!(listed(&["--type", "xdp,tracepoint"]));
    for excluding in [
        &["--type", "xdp"][..],
        &["--attached"],
        &["--unattached"],
        &["--application", "shop"],
        &["-m", "owner=acme"],
        &["-l", "!owner"],
    ] {
        assert!(!listed(excluding), "{excluding:?}");
    }
}

#[test]
fn inventory_has_every_map_and_link() {
    let two = Two::start();
    let id = two.program.to_string();
    let place = ["tracepoint", &id, "syscalls/sys_enter_getpid"];
    let (_, attached) = two.owner.attach(&place);
    let owned = two.owner.ctl(&["program", "get", &id, "-o", "json"]).json();
    let other = |arguments: &[&str]| two.other.ctl(arguments).json();

    other(&["map", "list", "--all", "-o", "json"]);
    let maps = other(&["map", "list", "--all", "-o", "json"]);
    assert_eq!(ids(&maps["maps"], "map_id"), kernel::inventory().maps);
    for theirs in owned["status"]["maps"].as_array().expect("maps") {
        let found = row(&maps["maps"], |row| row["map_id"] == theirs["id"]);
        assert_eq!(found["managed"], false);
        assert_eq!(found["program_ids"], serde_json::json!([two.program]));
        let mut expected = theirs.clone();
        // What an iterator does not tell, and where it is pinned.
        for (key, value) in [
            ("memlock", Value::from(0)),
            ("has_memlock", false.into()),
            ("pin_path", "".into()),
            ("present", false.into()),
        ] {
            expected[key] = value;
        }
        assert_eq!(found["kernel"], expected);
    }
    let managed = two.owner.ctl(&["map", "list", "-o", "json"]).json();
    let counters = row(&managed["maps"], |row| row["name"] == "counters");
    assert_eq!(counters["kernel"]["present"], true);

    let links = other(&["link", "list", "--all", "-o", "json"]);
    assert_eq!(links["links"], serde_json::json!([]));
    let mut found = BTreeSet::new();
    for link in links["kernel_links"].as_array().expect("links") {
        found.insert(u32::try_from(link["kernel"]["id"].as_u64().expect("an id")).expect("an id"));
    }
    assert_eq!(found, kernel::inventory().links);
    let theirs = &attached["status"]["kernel"];
    let found = row(&links["kernel_links"], |row| {
        row["kernel"]["id"] == theirs["id"]
    });
    assert_eq!(found["kernel"], *theirs);
    assert_eq!(found["program_name"], "tracepoint_coun");
    let attachment = found["attachment"].as_str().expect("a place");
    assert!(attachment.starts_with("syscalls/#"), "{attachment}");
    let own = row(&links["kernel_links"], |row| {
        row["program_name"] == "list_links"
    });
    assert_eq!(own["attachment"], "bpf_link");
    let text = two.other.ctl(&["link", "list", "--all"]).ok();
    assert!(text.contains("perf_event"), "{text}");
}

#[test]
fn inventory_knows_interfaces_of_other_namespaces() {
    let two = Two::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let program = two.owner.load(&object, "xdp:xdp_count", &[])[0].to_string();
    let (_, attached) = two
        .owner
        .attach(&["xdp", &program, INTERFACE, "--priority", "50"]);
    let links = two
        .other
        .ctl(&["link", "list", "--all", "-o", "json"])
        .json();
    // The program's own link may be to a dispatcher; that one's is at the interface.
    let dispatchers = two.owner.ctl(&["dispatcher", "list", "-o", "json"]).json();
    let id = &dispatchers["dispatchers"][0]["runtime"]["kernel_link_id"];
    assert!(id.is_u64(), "{dispatchers}");
    let found = row(&links["kernel_links"], |row| row["kernel"]["id"] == *id);
    let inode = attached["record"]["details"]["nsid"].to_string();
    assert_eq!(found["attachment"], format!("{INTERFACE} netns={inode}"));
    let ifindex = &attached["record"]["details"]["ifindex"];
    assert_eq!(found["kernel"]["ifindex"], *ifindex);
}

#[test]
fn inventory_tells_a_foreign_program_from_none() {
    let two = Two::start();
    let id = two.program.to_string();
    let unmanaged = format!("program {id} exists in kernel but is not managed by bpfman");
    for command in ["unload", "get"] {
        let refused = two.other.ctl(&["program", command, &id]).refused();
        assert!(refused.contains(&unmanaged), "{refused}");
    }
    let ignoring = ["program", "unload", "--ignore-missing"];
    let refused = two.other.ctl(&[&ignoring[..], &[&id]].concat()).refused();
    assert!(refused.contains(&unmanaged), "{refused}");
    two.other
        .ctl(&[&ignoring[..], &["4294967294"]].concat())
        .ok();
    let refused = two
        .other
        .ctl(&["program", "unload", "4294967294"])
        .refused();
    assert!(
        refused.contains("program 4294967294 does not exist"),
        "{refused}"
    );
    // It is still there.
    two.owner.ctl(&["program", "get", &id]).ok();
}

#[test]
fn inventory_is_the_loaders_alone_and_outlives_it() {
    let mut instance = Instance::start();
    instance.ctl(&["program", "list", "--all"]).ok();
    let pins = || -> BTreeSet<(PathBuf, u64)> {
        let builds = std::fs::read_dir(instance.fs().join("iterators")).expect("a directory");
        let builds = builds.map(|build| build.expect("a build").path());
        builds
            .flat_map(|build| std::fs::read_dir(build).expect("pins"))
            .map(|pin| pin.expect("a pin"))
            .map(|pin| (pin.path(), pin.metadata().expect("its metadata").ino()))
            .collect()
    };
    let before = pins();
    assert_eq!(before.len(), 3, "{before:?}");
    let loader = instance.process("loader");
    for (pin, _) in &before {
        let metadata = pin.metadata().expect("metadata");
        assert_eq!(metadata.mode() & 0o7777, 0o400);
        assert_eq!(metadata.uid(), loader.uid);
        assert!(read_as(NOBODY, pin).is_err());
    }
    kill(loader.pid);
    let restarted = wait::until(Duration::from_secs(10), || {
        (instance.process("loader").generation > loader.generation).then_some(())
    });
    assert!(restarted.is_some(), "the loader was not restarted");
    instance.ctl(&["program", "list", "--all"]).ok();
    assert_eq!(pins(), before, "no iterator was made anew");
    // What somebody removes comes back.
    for (pin, _) in &before {
        std::fs::remove_file(pin).expect("removed");
    }
    instance.ctl(&["map", "list", "--all"]).ok();
    assert_eq!(pins().len(), 3);
    instance.assert_no_drift();
    instance.stop();
}
