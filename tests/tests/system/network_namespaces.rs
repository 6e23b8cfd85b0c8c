//! Programs in other network namespaces than the service's own: they run there and nowhere else, and when a namespace or an
//! interface vanishes nothing is left of them.

use crate::kernel_functions::load;
use bpfman_tests::ctl::Run;
use bpfman_tests::fixture::{Counter, Objects, map_pin, slot};
use bpfman_tests::instance::{Instance, ask_with};
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::{INTERFACE, Netns};
use bpfman_tests::{kernel, require, wait};
use ipc::messages::attach::AttachSpec;
use ipc::messages::client::{ClientReply, ClientRequest};
use serde_json::Value;
use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

/// Slot of sk_lookup in the map `counters` of the object `functions`.
const SK_LOOKUP: usize = 8;

/// What is loaded, and the arguments of its attach before the namespace.
struct Sample {
    kind: &'static str,
    counter: Counter,
}

impl Sample {
    fn attach(&self, instance: &Instance, netns: &str) -> (u64, Value) {
        let id = self.counter.id();
        let arguments = self.arguments(&id, INTERFACE, netns);
        instance.attach(&arguments)
    }

    fn arguments<'a>(&self, id: &'a str, interface: &'a str, netns: &'a str) -> Vec<&'a str> {
        let hook = match self.kind {
            "xdp" => vec!["xdp", id, interface, "--priority", "50"],
            "tcx" => vec!["tcx", id, interface, "ingress", "--priority", "50"],
            "tc" => vec!["tc", id, interface, "ingress", "--priority", "50"],
            kind => vec![kind, id],
        };
        [&hook[..], &["--netns", netns]].concat()
    }
}

/// One program of each kind that this kernel has.
fn samples(instance: &Instance) -> Vec<Sample> {
    let mut samples = vec![
        Sample {
            kind: "xdp",
            counter: Counter::load(instance, "xdp:xdp_count", slot::XDP),
        },
        Sample {
            kind: "sk_lookup",
            counter: load(instance, "sk_lookup:sk_lookup_count", SK_LOOKUP).expect("loaded"),
        },
        Sample {
            kind: "tc",
            counter: Counter::load(instance, "tc:tc_count", slot::TC),
        },
    ];
    if kernel::tcx().is_ok() {
        samples.push(Sample {
            kind: "tcx",
            counter: Counter::load(instance, "tcx:tcx_ingress_count", slot::TCX_INGRESS),
        });
    }
    samples
}

/// Unloads everything; nothing is left.
fn clear(instance: &Instance, samples: &[Sample], before: &Traces) {
    for sample in samples {
        instance
            .ctl(&["program", "unload", &sample.counter.id()])
            .ok();
    }
    before.assert_unchanged(instance, "unload");
    instance.assert_no_drift();
}

fn detach(instance: &Instance, link: u64) {
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
}

/// Waits until the link has no effect any more: the kernel takes a namespace apart a little after its end.
fn wait_until_idle(instance: &Instance, link: u64) -> Value {
    let idle = wait::until(Duration::from_secs(10), || {
        let link = instance.ctl(&["link", "get", &link.to_string(), "-o", "json"]);
        let link = link.json();
        let kernel = &link["status"]["kernel"];
        (kernel["ifindex"] == 0 && kernel["netns_ino"] == 0).then_some(link)
    });
    idle.expect("the kernel still has the link on its hook")
}

#[test]
fn netns_programs_run_there_and_nowhere_else() {
    let instance = Instance::start();
    let other = Netns::new();
    let before = Traces::of(&instance);
    let samples = samples(&instance);
    for sample in &samples {
        let (kind, counter) = (sample.kind, &sample.counter);
        let (link, attached) = sample.attach(&instance, &other.path());
        let details = &attached["record"]["details"];
        assert_eq!(details["netns"], other.path(), "{kind}");
        assert_eq!(details["nsid"], other.inode(), "{kind}");
        assert_eq!(attached["status"]["kernel_seen"], true, "{kind}");
        instance.netns().send_packets(20);
        assert_eq!(counter.value(), 0, "{kind} runs in the service's namespace");
        other.send_packets(20);
        assert!(counter.value() >= 20, "{kind} counted {}", counter.value());

        // A look-up of sockets is on no interface.
        if kind != "sk_lookup" {
            let shown = |more: &[&str]| {
                let all = [&["chain", "show", INTERFACE], more].concat();
                instance.ctl(&all).ok().contains(&format!("link {link}"))
            };
            assert!(shown(&["--netns", &other.path()]), "{kind} is not shown");
            assert!(!shown(&[]), "{kind} is shown of the service's namespace");
        }
        let listed = instance.ctl(&["link", "list"]).ok();
        assert!(
            listed.contains(&format!(" netns={}", other.path())),
            "{listed}"
        );
        detach(&instance, link);
        let at_detach = counter.value();
        other.send_packets(20);
        assert_eq!(counter.value(), at_detach, "{kind} after the detach");
    }
    clear(&instance, &samples, &before);
}

#[test]
fn netns_order_is_that_of_the_namespace() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let other = Netns::new();
    let objects = Objects::new();
    let object = objects.order();
    let mut ids = instance.load(&object, "tcx:order_first", &[]);
    let owner = ids[0].to_string();
    let more = ["--map-owner-id", &owner];
    ids.extend(instance.load(&object, "tcx:order_second,tcx:order_third", &more));
    // The same programs, in another order in each namespace.
    for (netns, priorities) in [
        (other.path(), ["30", "10", "20"]),
        (instance.netns().path(), ["5", "6", "4"]),
    ] {
        for (id, priority) in ids.iter().zip(priorities) {
            let id = id.to_string();
            instance.attach(&[
                "tcx", &id, INTERFACE, "ingress", "-p", priority, "-n", &netns,
            ]);
        }
    }
    let listed = instance.ctl(&["link", "list", "-o", "json"]).json();
    let positions: Vec<u64> = listed["links"]
        .as_array()
        .expect("links")
        .iter()
        .map(|link| link["details"]["position"].as_u64().expect("a position"))
        .collect();
    assert_eq!(positions, [2, 0, 1, 1, 2, 0]);
    let mut explain = vec!["chain", "explain", INTERFACE, "-o", "json", "--netns"];
    let path = other.path();
    explain.push(&path);
    let shown = instance.ctl(&explain).json();
    let hooks = shown["hooks"].as_array().expect("hooks");
    let hook = hooks.iter().find(|hook| hook["hook"] == "tcx-ingress");
    let programs = hook.expect("the hook")["programs"].as_array();
    let order: Vec<_> = programs
        .expect("programs")
        .iter()
        .map(|program| program["program_id"].clone())
        .collect();
    assert_eq!(order, [ids[1], ids[2], ids[0]]);
    explain[2] = "nowhere0";
    let nowhere = instance.ctl(&explain).refused();
    assert!(nowhere.contains("\"nowhere0\" not found"), "{nowhere}");
    explain[2] = INTERFACE;
    explain.pop();
    explain.push("/etc/passwd");
    let file = instance.ctl(&explain).refused();
    assert!(file.contains("is not a network namespace"), "{file}");

    let pin = map_pin(&instance, ids[0], "trail");
    other.send_packets(3);
    let trail = crate::order::trail(&pin);
    assert!(trail.len() >= 9, "{trail:?}");
    for run in trail.chunks_exact(3) {
        assert_eq!(run, [2, 3, 1], "{trail:?}");
    }
    let twice = instance
        .ctl(&[
            "link",
            "attach",
            "tcx",
            &owner,
            INTERFACE,
            "ingress",
            "-p",
            "7",
            "-n",
            &other.path(),
        ])
        .refused();
    assert!(
        twice.contains("already attached to veth0 ingress as link 1"),
        "{twice}"
    );
}

#[test]
fn netns_that_is_deleted_leaves_nothing() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let samples = samples(&instance);
    let other = Netns::new();
    let path = other.path();
    let links: Vec<u64> = samples
        .iter()
        .map(|sample| sample.attach(&instance, &path).0)
        .collect();
    instance.assert_no_drift();
    other.delete();
    for (sample, link) in samples.iter().zip(&links) {
        // A filter is no link that could tell. What `doctor` says of it waits for the end of the namespace.
        if sample.kind == "tc" {
            continue;
        }
        let idle = wait_until_idle(&instance, *link);
        assert_eq!(idle["record"]["details"]["netns"], path, "{}", sample.kind);
        assert_eq!(idle["status"]["pin_present"], true);
    }
    let findings = instance.findings();
    assert_eq!(findings.len(), links.len(), "{findings:#?}");
    for finding in &findings {
        assert!(
            finding.contains(&format!("network namespace {path} is gone")),
            "{finding}"
        );
    }
    for link in links {
        detach(&instance, link);
    }
    instance.assert_no_drift();
    clear(&instance, &samples, &before);
}

/// Unloading detaches what is in a namespace that is gone, as it does elsewhere.
#[test]
fn netns_that_is_deleted_does_not_hinder_unloading() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let samples = samples(&instance);
    let other = Netns::new();
    for sample in &samples {
        sample.attach(&instance, &other.path());
    }
    other.delete();
    clear(&instance, &samples, &before);
}

#[test]
fn netns_interfaces_may_be_renamed_and_deleted() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let samples = samples(&instance);
    let other = Netns::new();
    let links: Vec<u64> = samples
        .iter()
        .map(|sample| sample.attach(&instance, &other.path()).0)
        .collect();
    other.ip(&format!("link set {INTERFACE} down"));
    other.ip(&format!("link set {INTERFACE} name renamed0"));
    other.ip("link set renamed0 up");
    other.send_packets(20);
    for sample in &samples {
        let counted = sample.counter.value();
        assert!(counted >= 20, "{} counted {counted}", sample.kind);
    }
    instance.assert_no_drift();
    other.ip("link del renamed0");
    let at_interface = |sample: &&Sample| sample.kind != "sk_lookup";
    let findings = instance.findings();
    assert_eq!(
        findings.len(),
        samples.iter().filter(at_interface).count(),
        "{findings:#?}"
    );
    let place = format!(
        "interface {INTERFACE} of network namespace {} is gone",
        other.path()
    );
    assert!(
        findings.iter().all(|finding| finding.contains(&place)),
        "{findings:#?}"
    );
    for link in links {
        detach(&instance, link);
    }
    clear(&instance, &samples, &before);
}

/// The open file keeps a namespace alive that has lost its name between the client's open and the attach; it ends after.
#[test]
fn netns_that_loses_its_name_between_the_steps_is_still_the_one_that_was_opened() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let counter = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let other = Netns::new();
    let file = File::open(other.path()).expect("the namespace");
    other.delete();
    let request = ClientRequest::AttachInNamespace {
        program_id: counter.program,
        spec: AttachSpec::Xdp {
            interface: "lo".to_owned(),
            priority: 50,
            proceed_on: Vec::new(),
            strategy: None,
        },
        netns: other.path(),
        metadata: Default::default(),
    };
    let link = match ask_with(&mut instance.client(), &request, &[file.as_fd()]) {
        ClientReply::Link(link) => link.record.id,
        other => panic!("{other:?}"),
    };
    drop(file);
    wait_until_idle(&instance, link);
    detach(&instance, link);
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
}

/// The kernel numbers a new namespace like one that is gone. Links that are still on record must not be taken for its own.
#[test]
fn netns_numbers_are_used_again() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let samples = samples(&instance);
    let first = Netns::new();
    let number = first.inode();
    let old: Vec<u64> = samples
        .iter()
        .map(|sample| sample.attach(&instance, &first.path()).0)
        .collect();
    first.delete();
    for (sample, link) in samples.iter().zip(&old) {
        if sample.kind != "tc" {
            wait_until_idle(&instance, *link);
        }
    }
    let mut others = Vec::new();
    let again = wait::until(Duration::from_secs(5), || {
        let other = Netns::new();
        if other.inode() == number {
            return Some(other);
        }
        others.push(other);
        None
    });
    let second = again.ok_or_else(|| format!("this kernel does not use number {number} again"));
    require!(&second);
    let second = second.expect("it is there");
    let new: Vec<u64> = samples
        .iter()
        .map(|sample| sample.attach(&instance, &second.path()).0)
        .collect();
    // Either may go first.
    detach(&instance, old[0]);
    for (sample, link) in samples.iter().zip(&new) {
        second.send_packets(20);
        let counted = sample.counter.value();
        assert!(counted >= 20, "{} counted {counted}", sample.kind);
        detach(&instance, *link);
    }
    for link in &old[1..] {
        detach(&instance, *link);
    }
    clear(&instance, &samples, &before);
}

#[test]
fn netns_mistakes_are_told_and_leave_nothing() {
    let instance = Instance::start();
    let other = Netns::new();
    let samples = samples(&instance);
    let before = Traces::of(&instance);
    let attempt = |sample: &Sample, interface: &str, netns: &str| -> Run {
        let id = sample.counter.id();
        let arguments = sample.arguments(&id, interface, netns);
        instance.ctl(&[&["link", "attach"], &arguments[..]].concat())
    };
    for sample in &samples {
        for (netns, cause) in [
            ("/run/netns/nowhere", "does not exist"),
            ("/run/netns", "is a directory"),
            ("/dev/null", "is not a regular file"),
            ("/etc/passwd", "is not a network namespace"),
            ("/proc/self/ns/mnt", "is not a network namespace"),
            ("/proc/self/ns/user", "is not a network namespace"),
        ] {
            let error = attempt(sample, INTERFACE, netns).refused();
            assert!(error.contains("resolve: "), "{error}");
            assert!(error.contains(&format!("\"{netns}\" {cause}")), "{error}");
            assert!(error.contains("give a file like /run/netns/"), "{error}");
        }
        if sample.kind != "sk_lookup" {
            let error = attempt(sample, "veth1", &other.path()).refused();
            assert!(
                error.contains("resolve: interface \"veth1\" not found; did you mean: veth0"),
                "{error}"
            );
        }
    }
    // Of a process of root's nobody else may open the namespace: the right is the user's, not the service's.
    let forbidden = format!("/proc/{}/ns/net", instance.pid());
    let id = samples[0].counter.id();
    let arguments = samples[0].arguments(&id, INTERFACE, &forbidden);
    let error = instance
        .ctl_as(65534, &[&["link", "attach"], &arguments[..]].concat())
        .refused();
    assert!(
        error.contains("cannot be opened: Permission denied"),
        "{error}"
    );
    // A hook outside of the network has no namespace, whoever asks.
    let request = ClientRequest::AttachInNamespace {
        program_id: samples[0].counter.program,
        spec: AttachSpec::Fentry,
        netns: other.path(),
        metadata: Default::default(),
    };
    let file = File::open(other.path()).expect("the namespace");
    match ask_with(&mut instance.client(), &request, &[file.as_fd()]) {
        ClientReply::Failed(failure) => {
            assert!(
                failure.cause.contains("in no network namespace"),
                "{failure}"
            );
        }
        other => panic!("{other:?}"),
    }
    before.assert_unchanged(&instance, "mistakes");
}
