//! Programs at the ends of a pair of netkit devices: they see what leaves there, in the order of their priorities, from the
//! attach to the detach.

use crate::kernel_functions::load;
use crate::order::trail;
use bpfman_tests::fixture::{Counter, Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::{INTERFACE, NETKIT, Netns};
use bpfman_tests::{kernel, matrix, skip};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Slots of the map `counters` of the object `functions`.
const PRIMARY: usize = 16;
const PEER: usize = 17;

fn counter(instance: &Instance, hook: &str, slot: usize) -> Counter {
    let program = format!("netkit:netkit_{hook}_count");
    load(instance, &program, slot).expect("to load one takes no netkit")
}

/// Whether the kernel has netkit, with a pair of devices in the namespace. Where it has none bpfman has to say so.
fn has_pair(instance: &Instance, netns: &Netns) -> bool {
    let Err(error) = netns.add_netkit() else {
        return true;
    };
    assert!(
        !kernel::must_have_netkit(),
        "this kernel has netkit: {error}"
    );
    let before = Traces::of(instance);
    let counter = counter(instance, "peer", PEER);
    let arguments = attach_at(&counter.id(), INTERFACE, "peer", "50");
    let refused = instance
        .ctl(&[&["link", "attach"][..], &strings(&arguments)].concat())
        .refused();
    assert!(
        refused.contains("this kernel has no netkit: BPF_PROG_QUERY: "),
        "{refused}"
    );
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(instance, "a refused attach");
    matrix::saw_refused("netkit", &refused);
    // The thread has the name of the test.
    let thread = std::thread::current();
    skip::skip(thread.name().unwrap_or("netkit"), &refused);
    false
}

fn attach_at(id: &str, interface: &str, hook: &str, priority: &str) -> Vec<String> {
    ["netkit", id, interface, "--hook", hook, "-p", priority]
        .map(str::to_owned)
        .to_vec()
}

fn strings(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[test]
fn kernel_netkit_ends_count_what_leaves_by_them() {
    let instance = Instance::start();
    if !has_pair(&instance, instance.netns()) {
        return;
    }
    let before = Traces::of(&instance);
    for (hook, slot, number) in [("primary", PRIMARY, "54"), ("peer", PEER, "55")] {
        let counter = counter(&instance, hook, slot);
        let send = |count| match slot {
            PRIMARY => instance.netns().send_by_netkit(count),
            _ => instance.netns().send_by_netkit_peer(count),
        };
        send(3);
        assert_eq!(counter.value(), 0, "{hook} before the attach");
        let (link, attached) =
            instance.attach(&strings(&attach_at(&counter.id(), NETKIT, hook, "50")));
        assert_eq!(attached["record"]["kind"], "netkit");
        assert_eq!(attached["status"]["kernel"]["link_type"], "netkit");
        let details = &attached["record"]["details"];
        assert_eq!(details["interface"], NETKIT);
        assert_eq!(details["hook"], hook);
        assert_eq!(details["priority"], 50);
        assert_eq!(details["position"], 0);
        assert_eq!(details["nsid"], instance.netns().inode());
        let link = link.to_string();
        let shown = instance.ctl(&["link", "get", &link, "-o", "json"]).json();
        assert_eq!(shown["status"]["kernel"]["attach_type"], number);
        send(20);
        assert_eq!(counter.value(), 20, "{hook}");
        let listed = instance.ctl(&["link", "list", "--kind", "netkit"]).ok();
        assert!(
            listed.contains(&format!("{NETKIT} {hook} pos-0")),
            "{listed}"
        );
        instance.ctl(&["link", "detach", &link]).ok();
        send(5);
        assert_eq!(counter.value(), 20, "{hook} after the detach");
        instance.ctl(&["program", "unload", &counter.id()]).ok();
        before.assert_unchanged(&instance, "unload");
        instance.assert_no_drift();
        matrix::saw("netkit", "counts");
    }
}

/// Puts a program on the primary hook behind another by a link that bpfman does not know.
fn attach_foreign(program: &Path, ifindex: u32, behind: u32) -> OwnedFd {
    const PRIMARY: u32 = 54;
    kernel::attach_behind(program, ifindex, PRIMARY, behind)
        .expect("the kernel takes a foreign program")
}

#[test]
fn kernel_netkit_priorities_give_the_order() {
    let instance = Instance::start();
    if !has_pair(&instance, instance.netns()) {
        return;
    }
    let objects = Objects::new();
    let object = objects.order();
    let mut ids = instance.load(&object, "netkit:order_first", &[]);
    let owner = ids[0].to_string();
    let owned = ["--map-owner-id", &owner];
    ids.extend(instance.load(&object, "netkit:order_second,netkit:order_third", &owned));
    let tagged = [&owned[..], &["-g", "tag:u32=10"]].concat();
    ids.extend(instance.load(&object, "netkit:order_first", &tagged));
    let [first, second, third, foreign] = ids[..] else {
        panic!("four programs: {ids:?}");
    };
    let attach = |id: u32, priority| {
        let arguments = attach_at(&id.to_string(), NETKIT, "primary", priority);
        instance.attach(&strings(&arguments))
    };
    let (link, attached) = attach(first, "30");
    attach(second, "10");
    let ifindex = attached["record"]["details"]["ifindex"].as_u64();
    let ifindex = u32::try_from(ifindex.expect("an index")).expect("an index");
    let program = instance
        .ctl(&["program", "get", &foreign.to_string(), "-o", "json"])
        .json();
    let pin = program["record"]["handles"]["pin_path"]
        .as_str()
        .expect("a pin");
    let guest = instance
        .netns()
        .inside(|| attach_foreign(Path::new(pin), ifindex, second));
    // The foreign program keeps its place behind the second.
    attach(third, "20");
    instance.netns().send_by_netkit(3);
    let trail = trail(&map_pin(&instance, first, "trail"));
    assert_eq!(trail.len() % 4, 0, "{trail:?}");
    assert!(trail.len() >= 12, "{trail:?}");
    for run in trail.chunks_exact(4) {
        assert_eq!(run, [2, 11, 3, 1], "{trail:?}");
    }
    let shown = instance
        .ctl(&["chain", "show", NETKIT, "-o", "json"])
        .json();
    let hooks = shown["hooks"].as_array().expect("hooks");
    let on = |name: &str| {
        let hook = hooks.iter().find(|hook| hook["hook"] == name);
        let programs = hook.expect("the hook")["programs"].as_array().expect("it");
        let row = |entry: &serde_json::Value| {
            let id = entry["program_id"].as_u64().expect("an id") as u32;
            (id, entry["managed"] == true)
        };
        programs.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(
        on("netkit-primary"),
        [
            (second, true),
            (foreign, false),
            (third, true),
            (first, true)
        ]
    );
    assert_eq!(on("netkit-peer"), []);
    let explained = instance.ctl(&["chain", "explain", NETKIT]).ok();
    assert!(explained.contains("netkit-primary"), "{explained}");
    assert!(
        explained.contains("it keeps the place that its owner gave it"),
        "{explained}"
    );
    // A veth interface has no such hooks.
    let plain = instance.ctl(&["chain", "show", INTERFACE]).ok();
    assert!(!plain.contains("netkit"), "{plain}");

    let arguments = attach_at(&first.to_string(), NETKIT, "primary", "1");
    let twice = instance
        .ctl(&[&["link", "attach"][..], &strings(&arguments)].concat())
        .refused();
    assert!(
        twice.contains(&format!(
            "already attached to {NETKIT} primary as link {link}"
        )),
        "{twice}"
    );
    drop(guest);
}

#[test]
fn kernel_netkit_devices_are_those_of_the_namespace() {
    let instance = Instance::start();
    let other = Netns::new();
    if !has_pair(&instance, &other) {
        return;
    }
    let before = Traces::of(&instance);
    let counter = counter(&instance, "peer", PEER);
    let (id, path) = (counter.id(), other.path());
    let at = |interface: &str, netns: &str| {
        let mut arguments = attach_at(&id, interface, "peer", "0");
        arguments.extend(["--netns".to_owned(), netns.to_owned()]);
        arguments
    };
    for (interface, netns, cause) in [
        (INTERFACE, path.clone(), "is no netkit device"),
        (
            NETKIT,
            format!("{path}-peer"),
            "is the peer of a netkit pair",
        ),
    ] {
        let arguments = at(interface, &netns);
        let refused = instance
            .ctl(&[&["link", "attach"][..], &strings(&arguments)].concat())
            .refused();
        let wanted = format!("interface \"{interface}\" {cause}");
        assert!(refused.contains(&wanted), "{refused}");
    }
    let (link, attached) = instance.attach(&strings(&at(NETKIT, &path)));
    assert_eq!(attached["record"]["details"]["netns"], path);
    assert_eq!(attached["record"]["details"]["nsid"], other.inode());
    other.send_by_netkit_peer(20);
    assert_eq!(counter.value(), 20);
    instance.assert_no_drift();
    // With the device the kernel takes the program off the hook; the link stays until it is detached.
    other.ip(&format!("link delete {NETKIT}"));
    let report = instance.ctl(&["doctor"]);
    let said = format!("{}{}", report.stdout, report.stderr);
    assert!(
        said.contains(&format!("interface {NETKIT} of network namespace {path}")),
        "{said}"
    );
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}
