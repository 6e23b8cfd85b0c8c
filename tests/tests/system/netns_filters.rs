//! Filters of tc in other network namespaces: found again by the name of the namespace, changed after a restart, and never
//! forgotten where they run.

use crate::chains::{Members, assert_rounds, tc_in as tc};
use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::{Instance, ask_with};
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::{INTERFACE, Netns};
use bpfman_tests::require;
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::client::{ClientReply, ClientRequest};
use std::fs::File;
use std::os::fd::AsFd;

fn detach(instance: &Instance, link: u64) {
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
}

/// Members in order, a filter of somebody else that stays, changes after a restart of the service; clsact in the service's own
/// namespace is not touched.
#[test]
fn netns_filters_are_changed_after_a_restart_and_those_of_others_stay() {
    let mut instance = Instance::start();
    let other = Netns::new();
    tc(&other, &format!("qdisc add dev {INTERFACE} clsact"));
    let foreign = "protocol ip pref 10 u32 match ip dst 203.0.113.9/32 flowid 1:1";
    tc(
        &other,
        &format!("filter add dev {INTERFACE} ingress {foreign}"),
    );
    let objects = Objects::new();
    let mut members = Members::of(&objects, "tc:tc_member");
    let ids = [
        members.load(&instance, 1, 3),
        members.load(&instance, 2, 3),
        members.load(&instance, 3, 3),
    ];
    let before = Traces::of(&instance);
    let path = other.path();
    let attach = |instance: &Instance, id: &str, priority: &str| {
        let arguments = [
            "tc", id, INTERFACE, "ingress", "-p", priority, "--netns", &path,
        ];
        instance.attach(&arguments).0
    };
    attach(&instance, &ids[0], "30");
    let second = attach(&instance, &ids[1], "10");
    assert_rounds(&members.run_in(&other), &[2, 1], "two members");
    assert_eq!(
        members.run_in(instance.netns()),
        Vec::<u32>::new(),
        "in the service's namespace"
    );

    let (folder, netns) = instance.place();
    instance.stop();
    drop(instance);
    let instance = Instance::start_in(folder, netns, &[]);
    instance.assert_no_drift();
    attach(&instance, &ids[2], "20");
    assert_rounds(&members.run_in(&other), &[2, 3, 1], "three members");
    detach(&instance, second);
    assert_rounds(&members.run_in(&other), &[3, 1], "after a detach");
    let listed = instance.ctl(&["dispatcher", "list", "-o", "json"]).json();
    let runtime = &listed["dispatchers"][0]["runtime"];
    assert_eq!(runtime["netns_path"], path, "{listed}");
    let filters = tc(&other, &format!("filter show dev {INTERFACE} ingress"));
    assert!(filters.contains("tc_dispatcher"), "{filters}");
    instance.assert_no_drift();

    // Taken off by somebody: that is seen, and detach succeeds.
    tc(
        &other,
        &format!("filter del dev {INTERFACE} ingress pref 50"),
    );
    let findings = instance.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(findings[0].contains("has no effect"), "{findings:#?}");
    for id in &ids {
        instance.ctl(&["program", "unload", id]).ok();
    }
    let filters = tc(&other, &format!("filter show dev {INTERFACE} ingress"));
    assert!(filters.contains("u32"), "{filters}");
    assert!(!filters.contains("tc_dispatcher"), "{filters}");
    let own = tc(
        instance.netns(),
        &format!("qdisc show dev {INTERFACE} ingress"),
    );
    assert!(!own.contains("clsact"), "{own}");
    instance.assert_no_drift();
    drop(before);
}

/// A namespace may outlive its name. Nothing of bpfman's is forgotten there.
#[test]
fn netns_that_lives_on_without_its_name_keeps_its_filter_until_it_is_found_again() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let counter = Counter::load(&instance, "tc:tc_count", slot::TC);
    let other = Netns::new();
    let (id, path) = (counter.id(), other.path());
    let (link, _) =
        instance.attach(&["tc", &id, INTERFACE, "egress", "-p", "50", "--netns", &path]);
    let mut resident = other.resident();
    other.unname();
    let error = instance
        .ctl(&["link", "detach", &link.to_string()])
        .refused();
    assert!(
        error.contains("lives on, with bpfman's filter in it"),
        "{error}"
    );
    let place = format!("not found at {path} any more");
    assert!(error.contains(&place), "{error}");
    assert!(error.contains("ip netns attach"), "{error}");
    let findings = instance.findings();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].contains("cannot be looked at or changed: network namespace"),
        "{findings:#?}"
    );
    other.name_again(resident.id());
    instance.assert_no_drift();
    detach(&instance, link);
    let left = tc(&other, &format!("filter show dev {INTERFACE} egress"));
    assert!(!left.contains("tc_dispatcher"), "{left}");
    resident
        .kill()
        .and_then(|()| resident.wait())
        .expect("ended");
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

/// Links of netfilter keep their namespace in the kernel, where nobody else does.
#[test]
fn netns_that_bpfmans_own_links_keep_alive_names_them() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let hook = Counter::try_load(&instance, "functions", "netfilter:netfilter_count", 15, &[]);
    require!(hook.as_ref().map(drop).map_err(Clone::clone));
    let hook = hook.expect("loaded");
    let counter = Counter::load(&instance, "tc:tc_count", slot::TC);
    let other = Netns::new();
    let path = other.path();
    let netns = ["--netns", path.as_str()];
    let (id, hook_id) = (counter.id(), hook.id());
    let place = ["tc", &id, INTERFACE, "egress", "-p", "50"];
    let (filter, _) = instance.attach(&[&place[..], &netns].concat());
    let place = ["netfilter", &hook_id, "--family", "ipv4", "--hook", "input"];
    let (keeper, _) = instance.attach(&[&place[..], &["--priority", "5"], &netns].concat());
    other.unname();
    let error = instance
        .ctl(&["link", "detach", &filter.to_string()])
        .refused();
    let words = format!("which keeps it alive (link {keeper})");
    assert!(error.contains(&words), "{error}");
    detach(&instance, keeper);
    detach(&instance, filter);
    for program in [&id, &hook_id] {
        instance.ctl(&["program", "unload", program]).ok();
    }
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

/// By a process it is found as long as that lives; then by the name under which another program comes.
#[test]
fn netns_of_a_process_keeps_its_filter_until_it_is_found_by_another_name() {
    let instance = Instance::start();
    let counters = [(); 2].map(|()| Counter::load(&instance, "tc:tc_count", slot::TC));
    let before = Traces::of(&instance);
    let other = Netns::new();
    let mut resident = other.resident();
    let attach = |counter: &Counter, path: &str| {
        let id = counter.id();
        let hook = ["link", "attach", "tc", &id, INTERFACE, "ingress"];
        instance.ctl(&[&hook[..], &["-p", "50", "--netns", path]].concat())
    };
    attach(&counters[0], &format!("/proc/{}/ns/net", resident.id())).ok();
    instance.assert_no_drift();
    resident
        .kill()
        .and_then(|()| resident.wait())
        .expect("ended");
    let error = instance.ctl(&["link", "detach", "1"]).refused();
    assert!(error.contains("lives on, with bpfman's filter"), "{error}");
    attach(&counters[1], &other.path()).ok();
    detach(&instance, 1);
    detach(&instance, 2);
    let left = tc(&other, &format!("filter show dev {INTERFACE} ingress"));
    assert!(!left.contains("tc_dispatcher"), "{left}");
    before.assert_unchanged(&instance, "detach");
    instance.assert_no_drift();
}

/// What could not be found again is not changed in the first place.
#[test]
fn netns_that_loses_its_name_between_the_steps_takes_no_filters() {
    let instance = Instance::start();
    let counter = Counter::load(&instance, "tc:tc_count", slot::TC);
    let before = Traces::of(&instance);
    let other = Netns::new();
    let file = File::open(other.path()).expect("the namespace");
    other.unname();
    let request = ClientRequest::AttachInNamespace {
        program_id: counter.program,
        spec: AttachSpec::Tc {
            interface: INTERFACE.to_owned(),
            direction: Direction::Ingress,
            priority: 50,
            proceed_on: Vec::new(),
            strategy: None,
        },
        netns: other.path(),
        metadata: Default::default(),
    };
    match ask_with(&mut instance.client(), &request, &[file.as_fd()]) {
        ClientReply::Failed(failure) => {
            let expected = format!("cannot find network namespace \"{}\" again", other.path());
            assert!(failure.cause.contains(&expected), "{failure}");
            assert!(failure.remedy.contains("ip netns attach"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
    before.assert_unchanged(&instance, "a refused attach");
}
