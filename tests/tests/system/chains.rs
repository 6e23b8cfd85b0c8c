//! Programs of several owners on one XDP or clsact hook, as users see them.

use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::{INTERFACE, Netns};
use bpfman_tests::{maps, matrix};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Members that leave their tags in one trail.
pub(crate) struct Members {
    object: PathBuf,
    program: &'static str,
    owner: Option<u32>,
    trail: PathBuf,
}

impl Members {
    pub(crate) fn of(objects: &Objects, program: &'static str) -> Self {
        Self {
            object: objects.object("chain"),
            program,
            owner: None,
            trail: PathBuf::new(),
        }
    }

    pub(crate) fn load(&mut self, instance: &Instance, tag: u8, verdict: u8) -> String {
        let globals = format!("tag={tag:02x}000000,verdict={verdict:02x}000000");
        let owner = self.owner.map(|owner| owner.to_string());
        let mut more = vec!["--global", &globals];
        if let Some(owner) = &owner {
            more.extend(["--map-owner-id", owner]);
        }
        let id = instance.load(&self.object, self.program, &more)[0];
        if self.owner.is_none() {
            self.owner = Some(id);
            self.trail = map_pin(instance, id, "trail");
        }
        id.to_string()
    }

    /// Who ran for the packets since, at least one: the same for each.
    fn run(&self, instance: &Instance) -> Vec<u32> {
        self.run_in(instance.netns())
    }

    /// The same in another network namespace.
    pub(crate) fn run_in(&self, netns: &Netns) -> Vec<u32> {
        let seen = trail(&self.trail).len();
        netns.send_packets(1);
        std::thread::sleep(std::time::Duration::from_millis(50));
        trail(&self.trail)[seen..].to_vec()
    }
}

fn trail(pin: &Path) -> Vec<u32> {
    let numbers = maps::read_as(0, pin).expect("the trail can be read");
    let words: Vec<u32> = numbers
        .iter()
        .flat_map(|number| [*number as u32, (*number >> 32) as u32])
        .collect();
    words[1..=words[0] as usize].to_vec()
}

/// Whether this is how packets are seen: whole rounds of it.
pub(crate) fn assert_rounds(found: &[u32], expected: &[u32], what: &str) {
    assert!(!found.is_empty(), "{what}: nothing ran");
    for round in found.chunks(expected.len()) {
        assert_eq!(round, expected, "{what}: {found:?}");
    }
}

/// In alphabetical order.
fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().expect("an object");
    object.keys().map(String::as_str).collect()
}

fn tc(instance: &Instance, arguments: &str) -> String {
    tc_in(instance.netns(), arguments)
}

/// Runs tc(8) in a network namespace.
pub(crate) fn tc_in(netns: &Netns, arguments: &str) -> String {
    let mut words = vec!["-n", netns.name()];
    words.extend(arguments.split(' '));
    let output = Command::new("tc").args(words).output().expect("tc(8)");
    assert!(output.status.success(), "tc {arguments}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn xdp_programs_of_two_owners_share_an_interface() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let mut members = Members::of(&objects, "xdp:xdp_member");
    let late = members.load(&instance, 30, 2);
    let early = members.load(&instance, 10, 2);
    let (late_link, attached) = instance.attach(&["xdp", &late, INTERFACE, "-p", "300"]);
    let details = &attached["record"]["details"];
    assert_eq!(
        keys(details),
        [
            "dispatcher_id",
            "ifindex",
            "interface",
            "mode",
            "netns",
            "nsid",
            "position",
            "priority",
            "proceed_on",
            "revision",
            "strategy"
        ]
    );
    assert_eq!(attached["status"]["kernel_seen"], true);
    assert_rounds(&members.run(&instance), &[30], "one member");
    let (early_link, _) = instance.attach(&["xdp", &early, INTERFACE, "-p", "100"]);
    assert_rounds(&members.run(&instance), &[10, 30], "two members");
    let strategy = details["strategy"].as_str().expect("a strategy");
    matrix::saw("xdp in chains", &format!("in order: {strategy}"));

    let listed = instance.ctl(&["dispatcher", "list", "-o", "json"]).json();
    let dispatcher = &listed["dispatchers"][0];
    assert_eq!(dispatcher["member_count"], 2);
    assert_eq!(dispatcher["revision"], 2);
    assert_eq!(keys(&dispatcher["key"]), ["ifindex", "nsid", "type"]);
    assert_eq!(
        keys(&dispatcher["runtime"]),
        ["kernel_link_id", "netns_path", "program_id"]
    );
    let (nsid, ifindex) = (
        dispatcher["key"]["nsid"].to_string(),
        dispatcher["key"]["ifindex"].to_string(),
    );
    let chain = instance
        .ctl(&["dispatcher", "get", "xdp", &nsid, &ifindex, "-o", "json"])
        .json();
    let found = chain["members"].as_array().expect("members");
    assert_eq!(found.len(), 2);
    assert_eq!(found[0]["link_id"], early_link);
    assert_eq!(found[0]["proceed_on"], 0x8000_0004_u32);
    assert_eq!(found[1]["link_id"], late_link);
    assert_eq!(found[1]["position"], 1);
    let drawn = instance.ctl(&["chain", "show", INTERFACE]).ok();
    assert!(drawn.contains("priority 100"), "{drawn}");
    let explained = instance.ctl(&["chain", "explain", INTERFACE]).ok();
    assert!(
        explained.contains(&format!(
            "behind link {early_link}: priority 300 is greater than 100"
        )),
        "{explained}"
    );

    // Fused, and back to what bpfman chooses, under one link on the hook.
    let hook = dispatcher["runtime"]["kernel_link_id"].clone();
    let fused = instance
        .ctl(&["chain", "convert", "xdp", INTERFACE, "fused", "-o", "json"])
        .json();
    assert_eq!(fused["strategy"], "fused");
    assert_eq!(fused["runtime"]["kernel_link_id"], hook);
    assert_rounds(&members.run(&instance), &[10, 30], "fused");
    matrix::saw("xdp in chains", "in order: fused");
    let fused = instance
        .ctl(&["dispatcher", "get", "xdp", &nsid, &ifindex, "-o", "json"])
        .json();
    let counters = &fused["members"][0]["counters"];
    assert!(counters["packets"].as_u64() >= Some(1), "{fused}");
    assert_eq!(counters["packets"], counters["verdicts"]["2"]);
    instance
        .ctl(&["chain", "convert", "xdp", INTERFACE, "auto"])
        .ok();
    assert_rounds(&members.run(&instance), &[10, 30], "auto");
    let refused = instance
        .ctl(&["chain", "convert", "xdp", INTERFACE, "direct"])
        .refused();
    assert!(refused.contains("one program alone"), "{refused}");
    instance.assert_no_drift();

    instance
        .ctl(&["link", "detach", &early_link.to_string()])
        .ok();
    assert_rounds(&members.run(&instance), &[30], "one has left");
    let direct = instance
        .ctl(&["chain", "convert", "xdp", INTERFACE, "direct", "-o", "json"])
        .json();
    assert_eq!(direct["strategy"], "direct");
    assert_rounds(&members.run(&instance), &[30], "direct");
    let error = instance
        .ctl(&["link", "attach", "xdp", &early, INTERFACE, "-p", "1"])
        .refused();
    assert!(error.contains("one program alone"), "{error}");
    for id in [&late, &early] {
        instance.ctl(&["program", "unload", id]).ok();
    }
    assert_eq!(
        instance.ctl(&["dispatcher", "list", "-o", "json"]).json()["dispatchers"],
        Value::Array(vec![])
    );
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

#[test]
fn tc_programs_leave_what_others_have_on_clsact() {
    let instance = Instance::start();
    let objects = Objects::new();
    tc(&instance, &format!("qdisc add dev {INTERFACE} clsact"));
    tc(
        &instance,
        &format!(
            "filter add dev {INTERFACE} ingress protocol ip pref 10 u32 match ip dst 203.0.113.9/32 flowid 1:1"
        ),
    );
    let before = Traces::of(&instance);
    let mut members = Members::of(&objects, "tc:tc_member");
    let first = members.load(&instance, 1, 3);
    let second = members.load(&instance, 2, 3);
    let attach = |id: &str, direction: &str, priority: &str| {
        instance.attach(&["tc", id, INTERFACE, direction, "-p", priority])
    };
    attach(&second, "egress", "20");
    let (_, attached) = attach(&first, "egress", "10");
    assert_eq!(attached["record"]["details"]["direction"], "egress");
    attach(&first, "ingress", "10");
    let ran = members.run(&instance);
    assert!(ran.contains(&1), "{ran:?}");
    let strategy = attached["record"]["details"]["strategy"].as_str();
    let strategy = strategy.expect("a strategy");
    matrix::saw("tc", &format!("runs in chains: {strategy}"));
    let listed = instance.ctl(&["dispatcher", "list", "-o", "json"]).json();
    let types: Vec<&str> = listed["dispatchers"]
        .as_array()
        .expect("dispatchers")
        .iter()
        .filter_map(|dispatcher| dispatcher["key"]["type"].as_str())
        .collect();
    assert_eq!(types, ["tc-egress", "tc-ingress"]);
    let runtime = &listed["dispatchers"][0]["runtime"];
    assert_eq!(runtime["filter_priority"], 50);
    assert_eq!(runtime["filter_handle"], 1);
    let drawn = instance.ctl(&["chain", "show", INTERFACE]).ok();
    let (u32, member) = (drawn.find("u32"), drawn.find("tc_member"));
    assert!(u32.is_some() && u32 < drawn.rfind("tc_member"), "{drawn}");
    assert!(member.is_some(), "{drawn}");
    for id in [&first, &second] {
        instance.ctl(&["program", "unload", id]).ok();
    }
    let filters = tc(&instance, &format!("filter show dev {INTERFACE} ingress"));
    assert!(filters.contains("u32"), "{filters}");
    assert!(!filters.contains("tc_dispatcher"), "{filters}");
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

/// A filter is no link: its program is pinned still, but nothing calls it.
#[test]
fn a_filter_that_somebody_took_away_is_no_attachment_any_more() {
    let instance = Instance::start();
    let objects = Objects::new();
    let mut members = Members::of(&objects, "tc:tc_member");
    let id = members.load(&instance, 1, 3);
    let before = Traces::of(&instance);
    let (link, _) = instance.attach(&["tc", &id, INTERFACE, "ingress", "-p", "1"]);
    let link = link.to_string();
    let status = || {
        let told = instance.ctl(&["link", "get", &link, "-o", "json"]).json();
        let attached = instance.ctl(&["program", "list", "--attached", "-q"]).ok();
        let status = &told["status"];
        let attached = attached.split_whitespace().any(|listed| listed == id);
        (
            status["kernel_seen"] == true,
            attached,
            status["pin_present"] == true,
        )
    };
    assert_eq!(status(), (true, true, true));
    tc(&instance, &format!("qdisc del dev {INTERFACE} clsact"));
    assert_eq!(status(), (false, false, true));
    instance.ctl(&["link", "detach", &link]).ok();
    before.assert_unchanged(&instance, "detach");
}

#[test]
fn another_qdisc_in_the_place_of_clsact_is_refused_and_kept() {
    let instance = Instance::start();
    let objects = Objects::new();
    tc(&instance, &format!("qdisc add dev {INTERFACE} ingress"));
    let mut members = Members::of(&objects, "tc:tc_member");
    let id = members.load(&instance, 1, 3);
    let before = Traces::of(&instance);
    let error = instance
        .ctl(&["link", "attach", "tc", &id, INTERFACE, "ingress", "-p", "1"])
        .refused();
    assert!(error.contains("qdisc of kind \"ingress\""), "{error}");
    let kept = tc(&instance, &format!("qdisc show dev {INTERFACE} ingress"));
    assert!(kept.contains("qdisc ingress"), "{kept}");
    before.assert_unchanged(&instance, "a refused attach");

    // Filters that interfaces share, in one direction.
    tc(&instance, &format!("qdisc del dev {INTERFACE} ingress"));
    tc(
        &instance,
        &format!("qdisc add dev {INTERFACE} ingress_block 7 clsact"),
    );
    let error = instance
        .ctl(&["link", "attach", "tc", &id, INTERFACE, "ingress", "-p", "1"])
        .refused();
    assert!(error.contains("block 7"), "{error}");
    assert!(error.contains("tcx"), "{error}");
    instance.attach(&["tc", &id, INTERFACE, "egress", "-p", "1"]);
}

#[test]
fn an_interface_that_vanishes_takes_its_chain_along_and_detach_succeeds() {
    let instance = Instance::start();
    let objects = Objects::new();
    let mut members = Members::of(&objects, "xdp:xdp_member");
    let ids = [members.load(&instance, 1, 2), members.load(&instance, 2, 2)];
    let before = Traces::of(&instance);
    let links = [1, 2].map(|priority: i32| {
        let id = &ids[usize::try_from(priority).unwrap_or_default() - 1];
        let priority = priority.to_string();
        instance.attach(&["xdp", id, INTERFACE, "-p", &priority]).0
    });
    let deleted = Command::new("ip")
        .args(["-n", instance.netns().name(), "link", "del", INTERFACE])
        .status()
        .expect("ip(8)");
    assert!(deleted.success());
    let findings = instance.findings();
    assert!(
        findings
            .iter()
            .any(|finding| finding.contains("has no effect")),
        "{findings:?}"
    );
    for link in links {
        instance.ctl(&["link", "detach", &link.to_string()]).ok();
    }
    before.assert_unchanged(&instance, "detach");
    instance.assert_no_drift();
}

#[test]
fn chains_are_as_they_were_after_the_service_was_killed() {
    let mut instance = Instance::start();
    let objects = Objects::new();
    let mut members = Members::of(&objects, "xdp:xdp_member");
    let ids = [members.load(&instance, 1, 2), members.load(&instance, 2, 2)];
    instance.attach(&["xdp", &ids[0], INTERFACE, "-p", "1"]);
    let (link, _) = instance.attach(&["xdp", &ids[1], INTERFACE, "-p", "2"]);
    let place = instance.place();
    instance.crash();
    assert_rounds(&members.run(&instance), &[1, 2], "without a service");
    let (folder, netns) = place;
    let instance = Instance::start_in(folder, netns, &[]);
    instance.assert_no_drift();
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    assert_rounds(&members.run(&instance), &[1], "managed again");
}
