//! bpfman and the real xdp-loader (libxdp), alternating on one interface: each leaves alone what the other has there, unless
//! bpfman is asked to take part in it.

mod cooperation;

use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::wait;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Where libxdp pins.
const PINS: &str = "/sys/fs/bpf/xdp";

/// Runs xdp-loader in the instance's network namespace.
fn try_xdp_loader(instance: &Instance, arguments: &[&str]) -> Output {
    let mut command = Command::new("xdp-loader");
    command
        .args(arguments)
        // Where systemd has not done it.
        .env("LIBXDP_BPFFS_AUTOMOUNT", "1");
    instance
        .netns()
        .inside(|| command.output().expect("xdp-loader is installed"))
}

#[track_caller]
fn xdp_loader(instance: &Instance, arguments: &[&str]) -> String {
    let output = try_xdp_loader(instance, arguments);
    assert!(
        output.status.success(),
        "xdp-loader {arguments:?}: {output:?}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Has xdp-loader load a program of the object `counter`; its kernel id.
#[track_caller]
fn load(instance: &Instance, object: &Path, program: &str, priority: &str) -> u32 {
    load_in(instance, "skb", object, program, priority)
}

/// The same in this mode, which all programs of an interface have in common.
#[track_caller]
fn load_in(instance: &Instance, mode: &str, object: &Path, program: &str, priority: &str) -> u32 {
    let object = object.to_string_lossy();
    xdp_loader(
        instance,
        &[
            "load", "-m", mode, "-P", priority, "-n", program, INTERFACE, &object,
        ],
    );
    id(&status(instance), program)
}

fn status(instance: &Instance) -> String {
    xdp_loader(instance, &["status", INTERFACE])
}

/// Of a program that `status` shows.
#[track_caller]
fn id(status: &str, program: &str) -> u32 {
    let line = status.lines().find(|line| line.contains(program));
    let mut numbers = line
        .unwrap_or_else(|| panic!("no {program} in {status}"))
        .split_whitespace()
        .skip_while(|word| *word != program)
        .filter_map(|word| word.parse().ok());
    numbers.next().expect("an id")
}

/// What xdp-loader has on the interface, and what bpfman has beside it.
struct Scene {
    theirs: Theirs,
    traces: Traces,
}

#[derive(Debug, Eq, PartialEq)]
struct Theirs {
    /// Ids and tags of the dispatcher and its members, modes, priorities, verdicts.
    status: String,
    /// Paths, with the ids of the links and their programs.
    pins: BTreeSet<String>,
}

impl Theirs {
    fn of(instance: &Instance) -> Self {
        let folders = std::fs::read_dir(PINS).into_iter().flatten().flatten();
        let files =
            folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten());
        let pins = files.flatten().map(|file| {
            let path = file.path();
            let is_link = path.to_string_lossy().ends_with("-link");
            let ids = is_link.then(|| kernel::link_behind(&path).expect("a link"));
            format!("{} {ids:?}", path.display())
        });
        Self {
            status: status(instance),
            pins: pins.collect(),
        }
    }
}

impl Scene {
    fn of(instance: &Instance) -> Self {
        Self {
            theirs: Theirs::of(instance),
            traces: Traces::of(instance),
        }
    }

    #[track_caller]
    fn assert_undisturbed(&self, instance: &Instance) {
        assert_eq!(Theirs::of(instance), self.theirs);
        self.traces.assert_unchanged(instance, "a refused attach");
    }
}

/// What bpfman says instead of attaching.
#[track_caller]
fn refused(instance: &Instance, ours: &Counter) -> String {
    instance
        .ctl(&["link", "attach", "xdp", &ours.id(), INTERFACE, "-p", "50"])
        .refused()
}

#[test]
fn what_xdp_loader_has_on_an_interface_is_named_and_never_disturbed() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let ours = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let empty = Traces::of(&instance);

    let first = load(&instance, &object, "xdp_count", "20");
    let before = Scene::of(&instance);
    // Where the kernel refuses freplace, xdp-loader does without a dispatcher.
    let has_dispatcher = before.theirs.status.contains("xdp_dispatcher");
    assert!(has_dispatcher || !kernel::must_take_trampolines());
    let refusal = refused(&instance, &ours);
    assert!(
        refusal.contains("interface already has an XDP program attached"),
        "{refusal}"
    );
    let shown = instance.ctl(&["chain", "show", INTERFACE]).ok();
    if has_dispatcher {
        let dispatcher = id(&before.theirs.status, "xdp_dispatcher");
        let words = format!(
            "program {dispatcher}, a dispatcher of libxdp's protocol, version 2, with 1 member (\"xdp_count\", program {first})"
        );
        assert!(refusal.contains(&words), "{refusal}");
        assert!(
            refusal.contains("xdp-loader unload veth0 --all"),
            "{refusal}"
        );
        assert!(shown.contains("not bpfman's"), "{shown}");
    } else {
        let words = format!("program {first} \"xdp_count\"");
        assert!(refusal.contains(&words), "{refusal}");
    }
    assert!(shown.contains("xdp_count"), "{shown}");
    assert!(shown.contains(&format!("program {first}")), "{shown}");
    before.assert_undisturbed(&instance);

    if has_dispatcher {
        let second = load(&instance, &objects.object("chain"), "xdp_member", "10");
        let before = Scene::of(&instance);
        assert_eq!(before.theirs.pins.len(), 4, "{:?}", before.theirs);
        let refusal = refused(&instance, &ours);
        let words = format!(
            "with 2 members (\"xdp_member\", program {second}, \"xdp_count\", program {first})"
        );
        assert!(refusal.contains(&words), "{refusal}");
        let shown = instance
            .ctl(&["chain", "show", INTERFACE, "-o", "json"])
            .json();
        let members = &shown["hooks"][0]["foreign_dispatcher"]["members"];
        assert_eq!(members[0]["program_id"], second, "{shown}");
        assert_eq!(members[0]["priority"], 10, "{shown}");
        assert_eq!(members[1]["function_name"], "xdp_count", "{shown}");
        before.assert_undisturbed(&instance);
    }
    xdp_loader(&instance, &["unload", "--all", INTERFACE]);
    empty.assert_unchanged(&instance, "xdp-loader's unload");
}

#[test]
fn xdp_loader_and_bpfman_take_turns_on_an_interface() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let ours = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let empty = Traces::of(&instance);
    for turn in 0..2 {
        let (link, _) = instance.attach(&["xdp", &ours.id(), INTERFACE, "-p", "50"]);
        let attached = Traces::of(&instance);
        let counted = ours.value();
        let theirs = try_xdp_loader(
            &instance,
            &[
                "load",
                "-m",
                "skb",
                "-n",
                "xdp_count",
                INTERFACE,
                &object.to_string_lossy(),
            ],
        );
        assert!(!theirs.status.success(), "turn {turn}: {theirs:?}");
        let _ = try_xdp_loader(&instance, &["unload", "--all", INTERFACE]);
        attached.assert_unchanged(&instance, "what xdp-loader was refused");
        instance.netns().send_packets(3);
        let more = wait::until(Duration::from_secs(5), || {
            (ours.value() >= counted + 3).then_some(())
        });
        assert!(more.is_some(), "turn {turn}: ours does not run any more");
        instance.assert_no_drift();
        instance.ctl(&["link", "detach", &link.to_string()]).ok();

        load(&instance, &object, "xdp_count", "50");
        refused(&instance, &ours);
        xdp_loader(&instance, &["unload", "--all", INTERFACE]);
        empty.assert_unchanged(&instance, "a turn of each");
    }
}
