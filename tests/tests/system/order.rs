//! Several programs on one hook run in the order of their priorities, whatever the order in which they came.

use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::{kernel, maps, require};
use std::path::Path;

/// The tags that the programs wrote, oldest first.
pub(crate) fn trail(pin: &Path) -> Vec<u32> {
    let numbers = maps::read_as(0, pin).expect("the trail can be read");
    let words: Vec<u32> = numbers
        .iter()
        .flat_map(|number| [*number as u32, (*number >> 32) as u32])
        .collect();
    words[1..=words[0] as usize].to_vec()
}

#[test]
fn lower_priorities_run_first() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.order();
    // One map for all three: that of the first.
    let mut ids = instance.load(&object, "tcx:order_first", &[]);
    let owner = ids[0].to_string();
    ids.extend(instance.load(
        &object,
        "tcx:order_second,tcx:order_third",
        &["--map-owner-id", &owner],
    ));
    let pin = map_pin(&instance, ids[2], "trail");
    assert_eq!(pin, map_pin(&instance, ids[0], "trail"));
    let mut links = Vec::new();
    for (id, priority) in ids.iter().zip(["30", "10", "20"]) {
        let (link, _) =
            instance.attach(&["tcx", &id.to_string(), INTERFACE, "ingress", "-p", priority]);
        links.push(link);
    }
    instance.netns().send_packets(3);
    let trail = trail(&pin);
    assert!(trail.len() >= 9, "{trail:?}");
    for run in trail.chunks_exact(3) {
        assert_eq!(run, [2, 3, 1], "{trail:?}");
    }
    let listed = instance.ctl(&["link", "list", "-o", "json"]).json();
    let positions: Vec<u64> = listed["links"]
        .as_array()
        .expect("links")
        .iter()
        .map(|link| link["details"]["position"].as_u64().expect("a position"))
        .collect();
    assert_eq!(positions, [2, 0, 1]);

    // The one in the middle goes: the others keep their order.
    instance
        .ctl(&["link", "detach", &links[2].to_string()])
        .ok();
    let listed = instance.ctl(&["link", "list", "-o", "json"]).json();
    assert_eq!(listed["links"][0]["details"]["position"], 1);
    assert_eq!(listed["links"][1]["details"]["position"], 0);
}

#[test]
fn one_program_is_not_attached_twice_to_one_hook() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(&objects.order(), "tcx:order_first", &[]);
    let id = ids[0].to_string();
    let (link, _) = instance.attach(&["tcx", &id, INTERFACE, "ingress", "-p", "1"]);
    let error = instance
        .ctl(&[
            "link", "attach", "tcx", &id, INTERFACE, "ingress", "-p", "2",
        ])
        .refused();
    assert!(
        error.contains(&format!(
            "already attached to {INTERFACE} ingress as link {link}"
        )),
        "{error}"
    );
    instance.attach(&["tcx", &id, INTERFACE, "egress", "-p", "1"]);
}
