//! `--cooperate libxdp`: programs of both in one dispatcher, which both change.

use super::{PINS, id, load, load_in, status, try_xdp_loader, xdp_loader};
use bpfman_tests::ctl::Run;
use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::process;
use bpfman_tests::require;
use bpfman_tests::wait;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

const GUEST: [&str; 4] = ["-p", "50", "--cooperate", "libxdp"];

/// Whether members can be put into a dispatcher at all; where not, the refusal says so.
fn can_take_part(instance: &Instance, ours: &Counter) -> Result<(), String> {
    if kernel::must_take_trampolines() {
        return Ok(());
    }
    let refusal = refused(instance, ours);
    assert!(refusal.contains("freplace"), "{refusal}");
    Err("this kernel lets no program replace a function of another".to_owned())
}

fn attach(instance: &Instance, ours: &Counter) -> u64 {
    let id = ours.id();
    let place = [&["xdp", &id, INTERFACE], &GUEST[..]].concat();
    instance.attach(&place).0
}

fn try_attach(instance: &Instance, ours: &Counter) -> Run {
    let id = ours.id();
    let attach = [&["link", "attach", "xdp", &id, INTERFACE], &GUEST[..]].concat();
    instance.ctl(&attach)
}

fn refused(instance: &Instance, ours: &Counter) -> String {
    try_attach(instance, ours).refused()
}

fn get(instance: &Instance, link: u64) -> Value {
    instance
        .ctl(&["link", "get", &link.to_string(), "-o", "json"])
        .json()
}

fn detach(instance: &Instance, link: u64) {
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
}

/// Directories of dispatchers.
fn directories() -> Vec<PathBuf> {
    let found = std::fs::read_dir(PINS).into_iter().flatten().flatten();
    found.map(|entry| entry.path()).collect()
}

/// That bpfman tells what xdp-loader and the kernel tell: a member in this place of the one dispatcher.
#[track_caller]
fn assert_is_member(instance: &Instance, ours: &Counter, link: u64, place: usize) {
    let shown = status(instance);
    assert_eq!(id(&shown, "xdp_count"), ours.program, "{shown}");
    let members: Vec<&str> = shown.lines().filter(|line| line.contains("=>")).collect();
    assert!(members[place].contains("xdp_count"), "{shown}");
    let dispatcher = id(&shown, "xdp_dispatcher");
    let told = get(instance, link);
    let details = &told["record"]["details"];
    assert_eq!(details["cooperate"], "libxdp", "{told}");
    assert_eq!(details["position"], place, "{told}");
    assert_eq!(details["dispatcher_id"], dispatcher, "{told}");
    assert_eq!(told["status"]["kernel_seen"], true, "{told}");
    assert_eq!(told["status"]["pin_present"], true, "{told}");
    let pin = told["record"]["pin_path"].as_str().expect("a path");
    let (kernel_link, program) = kernel::link_behind(Path::new(pin)).expect("a link");
    assert_eq!(program, ours.program, "{told}");
    assert_eq!(told["record"]["kernel_link_id"], kernel_link, "{told}");
    assert_eq!(directories().len(), 1, "{:?}", directories());
    assert_runs(instance, ours);
    instance.assert_no_drift();
}

#[track_caller]
fn assert_runs(instance: &Instance, ours: &Counter) {
    let before = ours.value();
    instance.netns().send_packets(3);
    let more = wait::until(Duration::from_secs(5), || {
        (ours.value() >= before + 3).then_some(())
    });
    assert!(more.is_some(), "ours does not run");
}

#[test]
fn a_program_takes_part_in_what_xdp_loader_has_and_both_change_it() {
    let instance = Instance::start();
    let objects = Objects::new();
    let chain = objects.object("chain");
    let ours = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    require!(can_take_part(&instance, &ours));
    let empty = Traces::of(&instance);

    let first = load(&instance, &chain, "xdp_member", "20");
    let link = attach(&instance, &ours);
    assert_is_member(&instance, &ours, link, 1);
    assert_eq!(id(&status(&instance), "xdp_member"), first);
    let shown = instance.ctl(&["chain", "show", INTERFACE]).ok();
    assert!(
        shown.contains(&format!("program {first}, not bpfman's")),
        "{shown}"
    );
    assert!(
        shown.contains(&format!("program {}, link {link}", ours.program)),
        "{shown}"
    );
    let twice = refused(&instance, &ours);
    assert!(twice.contains(&format!("already (link {link})")), "{twice}");

    // xdp-loader adds one after ours, and takes its first one off.
    let last = load(&instance, &chain, "xdp_deep", "90");
    assert_is_member(&instance, &ours, link, 1);
    assert_eq!(id(&status(&instance), "xdp_deep"), last);
    xdp_loader(
        &instance,
        &["unload", INTERFACE, "--id", &first.to_string()],
    );
    assert_is_member(&instance, &ours, link, 0);
    // Ours is alone where it calls no function of the dispatcher's own any more.
    xdp_loader(&instance, &["unload", INTERFACE, "--id", &last.to_string()]);
    assert_is_member(&instance, &ours, link, 0);

    // The last one takes the dispatcher with it, and whoever comes first makes it.
    detach(&instance, link);
    assert_eq!(directories(), [] as [PathBuf; 0]);
    empty.assert_unchanged(&instance, "what both did");
    let link = attach(&instance, &ours);
    assert_is_member(&instance, &ours, link, 0);
    assert_eq!(get(&instance, link)["record"]["details"]["mode"], "native");
    let first = load_in(&instance, "native", &chain, "xdp_member", "20");
    assert_is_member(&instance, &ours, link, 1);
    detach(&instance, link);
    assert_eq!(id(&status(&instance), "xdp_member"), first);
    assert!(!status(&instance).contains("xdp_count"));

    // xdp-loader takes ours off: it is gone, and the record goes by a detach.
    let link = attach(&instance, &ours);
    assert_eq!(directories().len(), 1);
    xdp_loader(&instance, &["unload", INTERFACE, "--id", &ours.id()]);
    let told = get(&instance, link);
    assert_eq!(told["status"]["kernel_seen"], false, "{told}");
    assert_eq!(told["status"]["pin_present"], false, "{told}");
    assert_eq!(told["record"]["kernel_link_id"], Value::Null, "{told}");
    let findings = instance.findings();
    assert!(
        findings[0].starts_with(&format!("link {link} is gone")),
        "{findings:?}"
    );
    detach(&instance, link);
    // The dispatcher was made anew, what it has is the same.
    assert_eq!(instance.findings(), [] as [String; 0]);
    assert!(instance.ctl(&["link", "list"]).ok().is_empty());
    assert_eq!(directories().len(), 1);

    // An unload takes the guest off, too.
    attach(&instance, &ours);
    instance.ctl(&["program", "unload", &ours.id()]).ok();
    assert_eq!(id(&status(&instance), "xdp_member"), first);
    assert!(!status(&instance).contains("xdp_count"));
    assert_eq!(directories().len(), 1);
    xdp_loader(&instance, &["unload", "--all", INTERFACE]);
    assert_eq!(directories(), [] as [PathBuf; 0]);
}

#[test]
fn priorities_decide_who_runs_and_the_lock_of_libxdp_is_waited_for() {
    let instance = Instance::start();
    let objects = Objects::new();
    let chain = objects.object("chain");
    let ours = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    require!(can_take_part(&instance, &ours));
    // bpfman's own chain is none of libxdp's.
    let (link, _) = instance.attach(&["xdp", &ours.id(), INTERFACE, "-p", "50"]);
    let other = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let refusal = refused(&instance, &other);
    assert!(refusal.contains("has a chain of bpfman's own"), "{refusal}");
    detach(&instance, link);

    // One that drops everything, before theirs or after it, and ours in the end.
    let dropping = instance.load(&chain, "xdp:xdp_member", &["--global", "verdict:i32=1"])[0];
    load(
        &instance,
        &objects.object("counter"),
        "optional_count",
        "20",
    );
    let link = attach(&instance, &ours);
    let drop_at = |priority: &str| {
        let id = dropping.to_string();
        let place = [
            "xdp",
            &id,
            INTERFACE,
            "-p",
            priority,
            "--cooperate",
            "libxdp",
        ];
        instance.attach(&place).0
    };
    let before = drop_at("10");
    let counted = ours.value();
    instance.netns().send_packets(5);
    assert_eq!(ours.value(), counted, "a member before ours drops");
    detach(&instance, before);
    assert_runs(&instance, &ours);
    let after = drop_at("60");
    assert_runs(&instance, &ours);
    detach(&instance, after);

    // As long as somebody else holds the lock, nothing is changed.
    let lock = std::fs::File::open(PINS).expect("libxdp's directory");
    lock.lock().expect("the lock");
    let waiting = Traces::of(&instance);
    let refusal = instance
        .ctl(&["link", "detach", &link.to_string()])
        .refused();
    assert!(refusal.contains("libxdp's lock"), "{refusal}");
    waiting.assert_unchanged(&instance, "a detach without the lock");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| drop_at("60"));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished(), "it does not wait for the lock");
        lock.unlock().expect("the lock");
        let late = waiting.join().expect("the attach");
        detach(&instance, late);
    });

    // Whatever is no dispatcher, and who does without one.
    xdp_loader(&instance, &["unload", "--all", INTERFACE]);
    detach(&instance, link);
    let object = objects.object("counter");
    let object = object.to_string_lossy();
    let direct = instance.netns().inside(|| {
        std::process::Command::new("xdp-loader")
            .env("LIBXDP_SKIP_DISPATCHER", "1")
            .args(["load", "-m", "skb", "-n", "xdp_count", INTERFACE, &object])
            .output()
            .expect("xdp-loader is installed")
    });
    assert!(direct.status.success(), "{direct:?}");
    let refusal = refused(&instance, &ours);
    assert!(refusal.contains("no dispatcher of libxdp"), "{refusal}");
    let _ = try_xdp_loader(&instance, &["unload", "--all", INTERFACE]);
}

#[test]
fn a_loader_that_is_killed_while_it_takes_part_leaves_the_old_or_the_new() {
    let mut instance = Instance::start();
    let objects = Objects::new();
    let ours = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    require!(can_take_part(&instance, &ours));
    let first = load(&instance, &objects.object("chain"), "xdp_member", "20");
    let mut link = None;
    for round in 0..6_u64 {
        let loader = instance.process("loader").pid;
        std::thread::scope(|scope| {
            scope.spawn(|| match link {
                None => try_attach(&instance, &ours),
                Some(link) => instance.ctl(&["link", "detach", &u64::to_string(&link)]),
            });
            std::thread::sleep(Duration::from_millis(40 + 90 * (round / 2)));
            process::kill(loader);
        });
        instance.wait_for_successor("loader", loader);
        // What takes a helper is finished right after the start, and before the next change.
        instance.assert_no_drift();
        let links = instance.ctl(&["link", "list", "-o", "json"]).json();
        link = links["links"][0]["id"].as_u64();
        let shown = status(&instance);
        assert_eq!(id(&shown, "xdp_member"), first, "{shown}");
        match link {
            Some(link) => assert_is_member(&instance, &ours, link, 1),
            None => assert!(!shown.contains("xdp_count"), "round {round}: {shown}"),
        }
        assert_eq!(directories().len(), 1, "round {round}: {:?}", directories());
    }
    if let Some(link) = link {
        detach(&instance, link);
    }
    xdp_loader(&instance, &["unload", "--all", INTERFACE]);
    assert_eq!(directories(), [] as [PathBuf; 0]);
}

#[test]
fn ten_of_both_fill_a_dispatcher_and_run_and_neither_adds_an_eleventh() {
    let instance = Instance::start();
    let objects = Objects::new();
    let chain = objects.object("chain");
    let mut ours = vec![Counter::load(&instance, "xdp:xdp_count", slot::XDP)];
    require!(can_take_part(&instance, &ours[0]));
    load(&instance, &chain, "xdp_member", "20");
    ours.extend((1..9).map(|_| Counter::load(&instance, "xdp:xdp_count", slot::XDP)));
    let links: Vec<u64> = ours.iter().map(|ours| attach(&instance, ours)).collect();
    let members = |shown: &str| shown.matches("=>").count();
    assert_eq!(members(&status(&instance)), 10);
    for (place, (ours, link)) in ours.iter().zip(&links).enumerate() {
        assert_runs(&instance, ours);
        // Of one name and priority: who came later runs later.
        let told = get(&instance, *link);
        assert_eq!(told["record"]["details"]["position"], 1 + place, "{told}");
    }

    let eleventh = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let refusal = refused(&instance, &eleventh);
    assert!(refusal.contains("(all 10 occupied)"), "{refusal}");
    let theirs = || {
        let object = chain.to_string_lossy().into_owned();
        let load = ["load", "-m", "skb", "-n", "xdp_deep", INTERFACE, &object];
        try_xdp_loader(&instance, &load)
    };
    assert!(!theirs().status.success());
    assert_eq!(members(&status(&instance)), 10);
    instance.assert_no_drift();
    // The place that one leaves is anybody's.
    detach(&instance, links[4]);
    assert!(theirs().status.success());
    assert_eq!(members(&status(&instance)), 10);
    assert!(refused(&instance, &eleventh).contains("(all 10 occupied)"));
    assert_runs(&instance, &ours[8]);

    for ours in &ours {
        instance.ctl(&["program", "unload", &ours.id()]).ok();
    }
    assert_eq!(members(&status(&instance)), 2);
    xdp_loader(&instance, &["unload", "--all", INTERFACE]);
    assert_eq!(directories(), [] as [PathBuf; 0]);
}
