//! Programs at hooks of netfilter: they run in their network namespace, at their hook, from the attach to the detach.

use crate::kernel_functions::load;
use bpfman_tests::ctl::Run;
use bpfman_tests::fixture::Counter;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::Netns;
use bpfman_tests::{kernel, matrix, skip};

/// Slot of the map `counters` of the object `functions`.
const SLOT: usize = 15;

/// The program; nothing where the kernel does not know the kind, which bpfman has to say.
fn counter(instance: &Instance, test: &str) -> Option<Counter> {
    let loaded = load(instance, "netfilter:netfilter_count", SLOT);
    if kernel::version() >= (6, 4) {
        return Some(loaded.expect("loaded"));
    }
    let refused = loaded.expect_err("netfilter programs came with 6.4");
    assert!(
        refused
            .contains("this kernel takes no netfilter programs: an empty one is refused as well"),
        "{refused}"
    );
    matrix::saw_refused("netfilter", &refused);
    skip::skip(test, &refused);
    None
}

/// An attach at the hook where packets for the instance arrive.
fn arguments<'a>(id: &'a str, hook: &'a str, priority: &'a str) -> [&'a str; 8] {
    [
        "netfilter",
        id,
        "--family",
        "ipv4",
        "--hook",
        hook,
        "--priority",
        priority,
    ]
}

fn try_attach(instance: &Instance, arguments: &[&str], more: &[&str]) -> Run {
    instance.ctl(&[&["link", "attach"], arguments, more].concat())
}

#[test]
fn kernel_netfilter_hooks_count_packets() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let Some(counter) = counter(&instance, "netfilter") else {
        return before.assert_unchanged(&instance, "a refused load");
    };
    let id = counter.id();
    // Nothing passes through, so forward stays silent. They are in the order of the kernel's numbers.
    let hooks = [("prerouting", 20), ("input", 20), ("forward", 0)];
    for (number, (hook, sees)) in hooks.into_iter().enumerate() {
        let start = counter.value();
        let (link, attached) = instance.attach(&arguments(&id, hook, "-50"));
        assert_eq!(attached["record"]["kind"], "netfilter");
        let kernel = &attached["status"]["kernel"];
        assert_eq!(kernel["link_type"], "netfilter");
        // NFPROTO_IPV4.
        assert_eq!(kernel["netfilter_pf"], 2);
        assert_eq!(kernel["netfilter_hooknum"], number);
        assert_eq!(kernel["netfilter_priority"], -50);
        assert_eq!(kernel["netfilter_flags"], 0);
        let details = &attached["record"]["details"];
        assert_eq!(details["family"], "ipv4");
        assert_eq!(details["hook"], hook);
        assert_eq!(details["priority"], -50);
        assert_eq!(details["defrag"], false);
        assert_eq!(details["nsid"], instance.netns().inode());
        instance.netns().send_packets(20);
        assert_eq!(counter.value(), start + sees, "{hook}");
        let listed = instance.ctl(&["link", "list"]).ok();
        assert!(
            listed.contains(&format!("ipv4 {hook} prio--50")),
            "{listed}"
        );
        instance.ctl(&["link", "detach", &link.to_string()]).ok();
        instance.netns().send_packets(5);
        assert_eq!(counter.value(), start + sees, "{hook} after the detach");
    }
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
    matrix::saw("netfilter", "counts");
}

#[test]
fn kernel_netfilter_priorities_are_given_once() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let Some(counter) = counter(&instance, "netfilter priorities") else {
        return;
    };
    let id = counter.id();
    let at = |priority| arguments(&id, "input", priority);
    instance.attach(&at("7"));
    let refused = try_attach(&instance, &at("7"), &[]).refused();
    assert!(
        refused.contains("something else runs at priority 7 of the ipv4 input hook"),
        "{refused}"
    );
    // The bounds, and one past them.
    instance.attach(&at("-2147483647"));
    instance.attach(&at("2147483646"));
    for priority in ["-2147483648", "2147483647"] {
        assert_eq!(try_attach(&instance, &at(priority), &[]).code, 80);
    }
    instance.netns().send_packets(10);
    assert_eq!(counter.value(), 30, "three links, each once per packet");
    let refused = try_attach(&instance, &at("-400"), &["--defrag"]).refused();
    assert!(refused.contains("is not after -400"), "{refused}");
    let output = try_attach(&instance, &at("-399"), &["--defrag", "-o", "json"]);
    if output.code == 0 {
        assert_eq!(output.json()["record"]["details"]["defrag"], true);
    } else {
        // What puts fragments together may be a module, which virtual machines do not have.
        let refused = output.refused();
        let reason = "this kernel puts no fragments of ipv4 packets together";
        assert!(refused.contains(reason), "{refused}");
        skip::skip("netfilter with --defrag", &refused);
    }
    // Takes all its links with it.
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

#[test]
fn kernel_netfilter_hooks_are_those_of_the_namespace() {
    let instance = Instance::start();
    let other = Netns::new();
    let before = Traces::of(&instance);
    let Some(counter) = counter(&instance, "netfilter in another namespace") else {
        return;
    };
    let (id, path) = (counter.id(), other.path());
    let input = arguments(&id, "input", "0");
    let (link, attached) = instance.attach(&[&input[..], &["--netns", &path]].concat());
    assert_eq!(attached["record"]["details"]["netns"], path);
    assert_eq!(attached["record"]["details"]["nsid"], other.inode());
    instance.netns().send_packets(20);
    assert_eq!(counter.value(), 0, "it runs in the service's namespace");
    other.send_packets(20);
    assert_eq!(counter.value(), 20);
    // The link keeps the namespace, so that the detach finds it after its name is gone.
    other.delete();
    instance.assert_no_drift();
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}

#[test]
fn kernel_netfilter_hooks_count_packets_of_ipv6() {
    let instance = Instance::start();
    instance.netns().add_ipv6();
    let before = Traces::of(&instance);
    let Some(counter) = counter(&instance, "netfilter of IPv6") else {
        return;
    };
    let id = counter.id();
    let mut input = arguments(&id, "input", "0");
    input[3] = "ipv6";
    let (link, attached) = instance.attach(&input);
    assert_eq!(attached["record"]["details"]["family"], "ipv6");
    instance.netns().send_packets(5);
    let others = counter.value();
    instance.netns().send_packets_6(20);
    // Those that find out who listens to which group come on their own.
    assert!(counter.value() >= others + 20, "{}", counter.value());
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    instance.netns().send_packets_6(5);
    assert_eq!(counter.value(), at_detach);
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}
