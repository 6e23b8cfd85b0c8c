//! Load, attach, see it count, list, detach, unload: each kind of program, and nothing left at the end.

use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::process::call_getpid;
use bpfman_tests::uprobe_target::Target;
use bpfman_tests::{kernel, matrix, require};

#[test]
fn tcx_counts_from_attach_to_detach() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("counter"),
        "tcx:tcx_ingress_count,tcx:tcx_egress_count",
        &["--maps-mode", "0644"],
    );
    assert_eq!(ids.len(), 2);
    let ingress = Counter::of(&instance, ids[0], slot::TCX_INGRESS);
    let egress = Counter::of(&instance, ids[1], slot::TCX_EGRESS);
    assert_eq!((ingress.value(), egress.value()), (0, 0));

    let (ingress_link, attached) = instance.attach(&[
        "tcx",
        &ingress.id(),
        INTERFACE,
        "ingress",
        "--priority",
        "50",
    ]);
    assert_eq!(attached["record"]["kind"], "tcx");
    assert_eq!(attached["record"]["details"]["interface"], INTERFACE);
    assert_eq!(attached["record"]["details"]["direction"], "ingress");
    assert_eq!(attached["record"]["details"]["priority"], 50);
    assert_eq!(attached["status"]["kernel_seen"], true);
    assert_eq!(attached["status"]["kernel"]["link_type"], "tcx");
    assert_eq!(attached["status"]["kernel"]["program_id"], ingress.program);
    assert_eq!(attached["status"]["pin_present"], true);
    let (egress_link, _) =
        instance.attach(&["tcx", &egress.id(), INTERFACE, "egress", "--priority", "50"]);

    instance.netns().send_packets(20);
    assert!(ingress.value() >= 20, "counted {}", ingress.value());
    // Answers to datagrams for a port where nobody listens are rate-limited: some, not all.
    assert!(egress.value() >= 1, "counted {}", egress.value());

    let listed = instance.ctl(&["program", "list", "-o", "json"]).json();
    assert_eq!(listed["programs"][0]["program_id"], ids[0]);
    assert_eq!(listed["programs"][0]["type"], "tcx");
    assert_eq!(listed["programs"][0]["function_name"], "tcx_ingress_count");
    assert_eq!(listed["programs"][0]["links"][0], ingress_link);
    let links = instance.ctl(&["link", "list", "-o", "json"]).json();
    assert_eq!(links["links"].as_array().map(Vec::len), Some(2));
    let text = instance.ctl(&["link", "list"]).ok();
    assert!(
        text.contains(&format!("{INTERFACE} ingress pos-0")),
        "{text}"
    );

    instance
        .ctl(&["link", "detach", &ingress_link.to_string()])
        .ok();
    let at_detach = ingress.value();
    instance.netns().send_packets(20);
    assert_eq!(ingress.value(), at_detach, "counts after detach returned");
    let links = instance.ctl(&["link", "list", "-o", "json"]).json();
    assert_eq!(links["links"][0]["id"], egress_link);
    assert_eq!(links["links"].as_array().map(Vec::len), Some(1));

    // Unloading detaches what is still attached.
    instance
        .ctl(&[
            "program",
            "unload",
            &ids[0].to_string(),
            &ids[1].to_string(),
        ])
        .ok();
    before.assert_unchanged(&instance, "unload");
    matrix::saw("tcx", "counts");
    instance.assert_no_drift();
}

#[test]
fn a_tracepoint_counts_from_attach_to_detach() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let counter = Counter::load(&instance, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let (link, attached) =
        instance.attach(&["tracepoint", &counter.id(), "syscalls/sys_enter_getpid"]);
    assert_eq!(attached["record"]["details"]["group"], "syscalls");
    assert_eq!(attached["record"]["details"]["name"], "sys_enter_getpid");
    call_getpid(10);
    assert!(counter.value() >= 10, "counted {}", counter.value());
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    call_getpid(10);
    assert_eq!(counter.value(), at_detach);
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
    matrix::saw("tracepoint", "counts");
}

#[test]
fn uprobe_and_uretprobe_count_each_call() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut target = Target::start();
    for (kind, name, slot) in [
        ("uprobe", "uprobe_count", slot::UPROBE),
        ("uretprobe", "uretprobe_count", slot::URETPROBE),
    ] {
        let counter = Counter::load(&instance, &format!("{kind}:{name}"), slot);
        let (link, attached) = instance.attach(&[
            "uprobe",
            &counter.id(),
            &target.path(),
            "--fn-name",
            "bpfman_probe_here",
        ]);
        assert_eq!(attached["record"]["kind"], kind);
        assert_eq!(
            attached["record"]["details"]["retprobe"],
            kind == "uretprobe"
        );
        target.call(7);
        assert_eq!(counter.value(), 7, "{kind}");
        instance.ctl(&["link", "detach", &link.to_string()]).ok();
        target.call(3);
        assert_eq!(counter.value(), 7, "{kind} counts after detach returned");
        instance.ctl(&["program", "unload", &counter.id()]).ok();
        matrix::saw(kind, "counts");
    }
    before.assert_unchanged(&instance, "unload");
}

#[test]
fn a_uprobe_of_one_process_does_not_count_others() {
    let instance = Instance::start();
    let (mut watched, mut other) = (Target::start(), Target::start());
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let pid = watched.pid().to_string();
    instance.attach(&[
        "uprobe",
        &counter.id(),
        &watched.path(),
        "-f",
        "bpfman_probe_here",
        "--pid",
        &pid,
    ]);
    other.call(5);
    assert_eq!(counter.value(), 0);
    watched.call(4);
    assert_eq!(counter.value(), 4);
}

#[test]
fn a_uprobe_finds_a_library_by_name() {
    let instance = Instance::start();
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let pid = std::process::id().to_string();
    let (_, attached) = instance.attach(&[
        "uprobe",
        &counter.id(),
        "libc",
        "-f",
        "getpid",
        "--pid",
        &pid,
    ]);
    assert_eq!(attached["record"]["details"]["target"], "libc");
    let before = counter.value();
    call_getpid(6);
    assert!(
        counter.value() >= before + 6,
        "counted {} after {before}",
        counter.value()
    );
}

#[test]
fn xdp_counts_alone_and_beside_another() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let counter = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let (link, attached) = instance.attach(&["xdp", &counter.id(), INTERFACE, "--priority", "50"]);
    assert_eq!(attached["record"]["details"]["interface"], INTERFACE);
    instance.netns().send_packets(20);
    assert!(counter.value() >= 20, "counted {}", counter.value());

    let text = instance.ctl(&["link", "get", &link.to_string()]).ok();
    assert!(
        text.contains("native") || text.contains("generic"),
        "the mode is not reported: {text}"
    );

    let second = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    instance.attach(&["xdp", &second.id(), INTERFACE, "-p", "10"]);
    instance.netns().send_packets(20);
    assert!(second.value() >= 20, "counted {}", second.value());

    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    instance.netns().send_packets(5);
    assert_eq!(counter.value(), at_detach);
    instance
        .ctl(&["program", "unload", &counter.id(), &second.id()])
        .ok();
    before.assert_unchanged(&instance, "unload");
    matrix::saw("xdp", "counts, alone and beside others");
}

#[test]
fn only_the_requested_program_of_an_object_is_loaded() {
    let instance = Instance::start();
    let before = kernel::inventory();
    let objects = Objects::new();
    // A sibling in the object that the verifier would reject does not matter.
    let ids = instance.load(&objects.object("invalid"), "tcx:accepted", &[]);
    let now = kernel::inventory();
    let new: Vec<u32> = now.programs.difference(&before.programs).copied().collect();
    assert_eq!(new, ids);
}

#[test]
fn a_core_object_with_subprograms_runs() {
    let instance = Instance::start();
    let objects = Objects::new();
    let ids = instance.load(
        &objects.object("core"),
        "tracepoint:core_task",
        &["--maps-mode", "0644"],
    );
    instance.attach(&[
        "tracepoint",
        &ids[0].to_string(),
        "syscalls/sys_enter_getpid",
    ]);
    let pid = u64::from(std::process::id());
    let seen = bpfman_tests::fixture::map_pin(&instance, ids[0], "seen");
    let numbers = bpfman_tests::maps::read_as(0, &seen).expect("the map can be read");
    // struct seen: events, pid and tgid in one word, what the helper says of the same.
    assert!(numbers[0] >= 1);
    let (read_pid, read_tgid) = (numbers[1] & 0xffff_ffff, numbers[1] >> 32);
    assert_eq!(
        read_tgid,
        numbers[2] >> 32,
        "the relocated field is not the thread group"
    );
    assert_eq!(
        read_pid,
        numbers[2] & 0xffff_ffff,
        "the relocated field is not the thread"
    );
    assert!(pid > 0);
}
