//! Interfaces that move to another network namespace take along what links hold on them.

use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::Netns;
use bpfman_tests::{kernel, require};
use serde_json::Value;

const MOVING: &str = "moving0";
const NOTE: &str =
    "attached when the interface was in another network namespace or had another number";

/// Programs of a hook of [`MOVING`], where it is now.
fn on(shown: &Value, hook: &str) -> Vec<Value> {
    let hooks = shown["hooks"].as_array().expect("hooks");
    let hook = hooks.iter().find(|found| found["hook"] == hook);
    let programs = hook.expect("the hook")["programs"].as_array();
    programs.expect("programs").clone()
}

/// With the number that it had, or with another one.
fn programs_stay_known(instance: &Instance, other: &Netns, number: Option<u32>) {
    let own = instance.netns();
    own.ip(&format!("link add {MOVING} type veth peer name staying0"));
    own.ip(&format!("link set {MOVING} up"));
    let xdp = Counter::load(instance, "xdp:xdp_count", slot::XDP);
    let tcx = Counter::load(instance, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
    let on_xdp = ["xdp", &xdp.id(), MOVING, "--priority", "50"].map(str::to_owned);
    let on_tcx = ["tcx", &tcx.id(), MOVING, "ingress", "--priority", "50"].map(str::to_owned);
    let attach = |arguments: &[String]| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        instance.attach(&arguments).0.to_string()
    };
    let (xdp_link, tcx_link) = (attach(&on_xdp), attach(&on_tcx));
    instance.assert_no_drift();

    let number = number.map_or_else(String::new, |number| format!(" index {number}"));
    own.ip(&format!("link set {MOVING} netns {}{number}", other.name()));
    let there = ["--netns", &other.path()].map(str::to_owned);
    let at = |command: &[&str]| {
        let place: Vec<&str> = there.iter().map(String::as_str).collect();
        instance.ctl(&[command, &place].concat())
    };
    let shown = at(&["chain", "show", MOVING, "-o", "json"]).json();
    for (hook, link, counter) in [("xdp", &xdp_link, &xdp), ("tcx-ingress", &tcx_link, &tcx)] {
        let programs = on(&shown, hook);
        let [program] = &programs[..] else {
            panic!("{shown:#}");
        };
        assert_eq!(program["program_id"], counter.program, "{program:#}");
        assert_eq!(program["managed"], true, "{program:#}");
        assert_eq!(program["has_moved"], true, "{program:#}");
        assert_eq!(
            program["reason"],
            format!("bpfman's, but {NOTE}; detach link {link}")
        );
    }
    for command in ["show", "explain"] {
        let text = at(&["chain", command, MOVING]).ok();
        assert!(!text.contains("not bpfman's"), "{text}");
        assert_eq!(text.matches(NOTE).count(), 2, "{text}");
    }

    for (arguments, link) in [(&on_xdp[..], &xdp_link), (&on_tcx[..], &tcx_link)] {
        let attach = ["link", "attach"].map(str::to_owned);
        let command: Vec<&str> = attach.iter().chain(arguments).map(String::as_str).collect();
        let error = at(&command).refused();
        assert!(error.contains(NOTE), "{error}");
        assert!(
            error.contains(&format!("detach link {link} first")),
            "{error}"
        );
    }
    let findings = instance.findings();
    let told = [
        format!("the chain on the xdp hook (links {xdp_link})"),
        format!("link {tcx_link}"),
    ];
    assert_eq!(findings.len(), told.len(), "{findings:#?}");
    for what in told {
        let told = format!("{what}: interface {MOVING} has moved");
        let is_told = |finding: &String| finding.starts_with(&told);
        assert!(findings.iter().any(is_told), "{told}: {findings:#?}");
    }

    for link in [&xdp_link, &tcx_link] {
        instance.ctl(&["link", "detach", link]).ok();
    }
    let shown = at(&["chain", "show", MOVING]).ok();
    assert!(shown.contains("nothing is attached"), "{shown}");
    for counter in [&xdp, &tcx] {
        instance.ctl(&["program", "unload", &counter.id()]).ok();
    }
    other.ip(&format!("link del {MOVING}"));
}

#[test]
fn moved_interfaces_keep_programs_that_are_bpfmans_still() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let other = Netns::new();
    programs_stay_known(&instance, &other, None);
    programs_stay_known(&instance, &other, Some(7777));
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

/// A program of somebody else in another network namespace is named, too.
#[test]
fn moved_or_not_an_occupant_is_named_in_other_namespaces() {
    let instance = Instance::start();
    let (folder, _) = Instance::fresh_place();
    let (_, netns) = instance.place();
    let theirs = Instance::start_in(folder, netns, &[]);
    let other = Netns::new();
    let there = other.path();
    let load = |instance: &Instance| Counter::load(instance, "xdp:xdp_count", slot::XDP);
    let (foreign, own) = (load(&theirs), load(&instance));
    let at =
        |id: &str| ["xdp", id, "veth0", "--priority", "50", "--netns", &there].map(str::to_owned);
    let foreign = at(&foreign.id());
    theirs.attach(&foreign.each_ref().map(String::as_str));
    let own = at(&own.id());
    let attach = ["link", "attach"].map(str::to_owned);
    let command: Vec<&str> = attach.iter().chain(&own).map(String::as_str).collect();
    let error = instance.ctl(&command).refused();
    assert!(
        error.contains("already has an XDP program attached: program "),
        "{error}"
    );
    assert!(!error.contains(NOTE), "{error}");
}
