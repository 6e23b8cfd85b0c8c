//! Between requests no process of the service holds anything of BPF: pins alone keep it. So what is detached when the answer
//! comes has ended in the kernel.

use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel::{inventory, open_pin};
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::uprobe_target::Target;
use bpfman_tests::wait;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What any process of the service holds of programs, maps, links, iterators, events, and pins.
fn held(instance: &Instance) -> Vec<String> {
    let (mut found, pins) = (Vec::new(), instance.fs());
    for process in instance.status() {
        let own = held_by(process.pid, &pins);
        found.extend(own.map(|target| format!("{} holds {target}", process.role)));
    }
    found
}

fn held_by(pid: u32, pins: &Path) -> impl Iterator<Item = String> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    // One that was closed meanwhile is not held.
    let targets = descriptors
        .flatten()
        .filter_map(|entry| entry.path().read_link().ok());
    targets.filter_map(move |target| {
        let text = target.to_string_lossy().into_owned();
        let is_anonymous = text.starts_with("anon_inode");
        let is_of_bpf = ["bpf", "btf", "perf_event"]
            .iter()
            .any(|sort| text.contains(sort));
        (is_anonymous && is_of_bpf || target.starts_with(pins)).then_some(text)
    })
}

/// The kernel's id of a link.
fn kernel_id(instance: &Instance, link: u64) -> Option<u64> {
    let shown = instance
        .ctl(&["link", "get", &link.to_string(), "-o", "json"])
        .json();
    shown["record"]["kernel_link_id"].as_u64()
}

/// A link of the kernel's is gone, and nothing is held, as soon as the answer is there. The link on a hook stays for the
/// members of the chain that stay.
#[track_caller]
fn detach(instance: &Instance, link: u64, others: &[u64]) {
    let kernel = kernel_id(instance, link);
    let is_shared = others
        .iter()
        .any(|other| kernel.is_some() && kernel_id(instance, *other) == kernel);
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let links = inventory().links;
    let is_there = kernel.is_some_and(|id| links.iter().any(|link| u64::from(*link) == id));
    assert_eq!(is_there, is_shared, "link {link}, {kernel:?}");
    assert_eq!(held(instance), Vec::<String>::new(), "after detach");
}

#[test]
fn no_process_holds_anything_of_bpf_between_requests() {
    let instance = Instance::start();
    let none = Vec::<String>::new();
    assert_eq!(held(&instance), none, "at the start");

    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tracepoint:tracepoint_count,uprobe:uprobe_count,xdp:xdp_count,tc:tc_count",
        &["--maps-group", "1234"],
    );
    assert_eq!(held(&instance), none, "after load");
    // It would be seen.
    let pin = instance.fs().join(format!("prog_{}", ids[0]));
    let opened = open_pin(&pin, 0).expect("the pin");
    let own: Vec<String> = held_by(std::process::id(), &pin).collect();
    assert!(
        own.iter().any(|target| target.contains("bpf-prog")),
        "{own:?}"
    );
    drop(opened);
    let second = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let names = ids.iter().map(u32::to_string).collect::<Vec<_>>();
    let target = Target::start();
    let attach = |arguments: &[&str]| {
        let (link, _) = instance.attach(arguments);
        assert_eq!(held(&instance), none, "after {arguments:?}");
        link
    };
    let links = [
        attach(&["tracepoint", &names[0], "syscalls/sys_enter_getpid"]),
        attach(&[
            "uprobe",
            &names[1],
            &target.path(),
            "--fn-name",
            "bpfman_probe_here",
        ]),
        attach(&["xdp", &names[2], INTERFACE, "-p", "10"]),
        attach(&["xdp", &second.id(), INTERFACE, "-p", "20"]),
        attach(&["tc", &names[3], INTERFACE, "ingress", "-p", "10"]),
    ];
    for arguments in [
        &["program", "get", &names[2]][..],
        &["program", "list"],
        &["dispatcher", "list"],
        &["chain", "show", INTERFACE],
        &["doctor"],
    ] {
        instance.ctl(arguments).ok();
        assert_eq!(held(&instance), none, "after {arguments:?}");
    }
    // The API worker reads iterators for a while, and answers when it is done.
    for noun in ["program", "link", "map"] {
        instance.ctl(&[noun, "list", "--all"]).ok();
        let released = wait::until(Duration::from_secs(5), || {
            held(&instance).is_empty().then_some(())
        });
        assert!(released.is_some(), "{:?}", held(&instance));
    }
    // Refusals release what they had.
    let path = objects.object("invalid");
    let path = path.to_string_lossy();
    instance
        .ctl(&[
            "program",
            "load",
            "file",
            &path,
            "--programs",
            "tcx:rejected",
        ])
        .refused();
    assert_eq!(held(&instance), none, "after a refused load");
    instance
        .ctl(&["link", "attach", "xdp", &names[2], "nowhere", "-p", "1"])
        .refused();
    assert_eq!(held(&instance), none, "after a refused attachment");

    for (position, link) in links.iter().enumerate() {
        detach(&instance, *link, &links[position + 1..]);
    }
    let before = inventory();
    for id in names.iter().chain([&second.id()]) {
        instance.ctl(&["program", "unload", id]).ok();
        assert_eq!(held(&instance), none, "after unload");
    }
    assert!(before.programs.len() > inventory().programs.len());
}
