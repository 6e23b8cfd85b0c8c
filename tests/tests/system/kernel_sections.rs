//! Sections that ask for more than a kind: programs that may sleep (`.s`), that see packets in fragments (`.frags`), and those
//! that libbpf loads only when they are asked for (`?`).

use crate::kernel_functions::{load_at_trampoline, unlink_files};
use crate::kernel_multi::{self, Target};
use bpfman_tests::fixture::{Counter, slot as plain};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::{kernel, matrix};
use std::fs;
use std::path::PathBuf;

/// Slots of the map `counters` of the object `sections`.
mod slot {
    pub(super) const FENTRY: usize = 0;
    pub(super) const FEXIT: usize = 1;
    pub(super) const LSM: usize = 2;
    pub(super) const ITER: usize = 3;
    pub(super) const UPROBE: usize = 4;
    pub(super) const XDP: usize = 5;
}

/// The function of the kernel at which programs sleep.
const PLACE: &str = "bpf_fentry_test1";

/// As written, and with the mark of the optional.
const BOTH: [&str; 2] = ["", "_optional"];

fn load(instance: &Instance, program: &str, slot: usize) -> Result<Counter, String> {
    let watched = format!("watched:u32={}", std::process::id());
    Counter::try_load(instance, "sections", program, slot, &["-g", &watched])
}

/// Detached it counts nothing more, and unloaded nothing is left.
fn ends(instance: &Instance, before: &Traces, counter: &Counter, link: u64, act: &mut dyn FnMut()) {
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    act();
    assert_eq!(counter.value(), at_detach, "counts after detach returned");
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(instance, "unload");
    instance.assert_no_drift();
}

/// Of the kernel's functions programs may sleep at those into which errors may be injected, for which Debian's kernels are not
/// built, and from 6.2 on at a few that are there for tests.
#[test]
fn kernel_sections_sleepable_at_functions() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for (kind, slot) in [("fentry", slot::FENTRY), ("fexit", slot::FEXIT)] {
        let row = format!("{kind} that sleeps");
        for optional in BOTH {
            let program = format!("{kind}:{kind}_sleeps{optional}:{PLACE}");
            let loaded = load(&instance, &program, slot);
            if let (Err(refused), (6, 1)) = (&loaded, kernel::version()) {
                let wanted = format!("{PLACE} is not sleepable");
                assert!(refused.contains(&wanted), "{refused}");
                matrix::saw(&row, &format!("refused by the verifier: {wanted}"));
                before.assert_unchanged(&instance, "a refused load");
                continue;
            }
            let Some(counter) = load_at_trampoline(loaded, kind, &program, &row) else {
                before.assert_unchanged(&instance, "a refused load");
                continue;
            };
            let pin = program_pin(&instance, &counter);
            let run = || kernel::test_run(&pin).expect("a test run");
            run();
            assert_eq!(counter.value(), 0, "{program} before the attach");
            let (link, _) = instance.attach(&[kind, &counter.id()]);
            run();
            run();
            assert_eq!(counter.value(), 2, "{program}");
            instance.ctl(&["link", "detach", &link.to_string()]).ok();
            run();
            assert_eq!(counter.value(), 2, "{program} after the detach");
            instance.ctl(&["program", "unload", &counter.id()]).ok();
            before.assert_unchanged(&instance, "unload");
            instance.assert_no_drift();
            matrix::saw(&row, "counts");
        }
    }
}

fn program_pin(instance: &Instance, counter: &Counter) -> PathBuf {
    let program = instance
        .ctl(&["program", "get", &counter.id(), "-o", "json"])
        .json();
    let pin = &program["record"]["handles"]["pin_path"];
    PathBuf::from(pin.as_str().expect("a pin"))
}

#[test]
fn kernel_sections_sleepable_at_security_hooks() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for optional in BOTH {
        let program = format!("lsm:lsm_sleeps{optional}:inode_unlink");
        let loaded = load(&instance, &program, slot::LSM);
        let row = "lsm that sleeps";
        let Some(counter) = load_at_trampoline(loaded, "lsm", &program, row) else {
            before.assert_unchanged(&instance, "a refused load");
            continue;
        };
        let (link, _) = instance.attach(&["lsm", &counter.id()]);
        unlink_files(7);
        assert_eq!(counter.value(), 7, "{program}");
        ends(&instance, &before, &counter, link, &mut || unlink_files(2));
        matrix::saw(row, "counts");
    }
}

#[test]
fn kernel_sections_sleepable_iterators() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for optional in BOTH {
        let program = format!("iter:iter_sleeps{optional}");
        let counter = load(&instance, &program, slot::ITER).expect("loaded");
        let (link, attached) = instance.attach(&["iter", &counter.id()]);
        let pin = attached["record"]["pin_path"].as_str().expect("a pin");
        fs::read(pin).expect("the iterator can be read");
        let once = counter.value();
        // This process, the one that started it, and the call at the end.
        assert!(once >= 3, "{program} counted {once}");
        ends(&instance, &before, &counter, link, &mut || {
            fs::read(pin).expect_err("the iterator is gone");
        });
        matrix::saw("iter that sleeps", "runs when its pin is read");
    }
}

#[test]
fn kernel_sections_sleepable_uprobes() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut target = Target::start();
    let (pid, path) = (target.pid(), kernel_multi::path());
    for optional in BOTH {
        let program = format!("uprobe:uprobe_sleeps{optional}");
        let counter = load(&instance, &program, slot::UPROBE).expect("loaded");
        let function = "probe_target_first";
        let id = counter.id();
        let attach = ["uprobe", &id, &path, "--fn-name", function, "--pid", &pid];
        let (link, _) = instance.attach(&attach);
        target.round();
        target.round();
        assert_eq!(counter.value(), 2, "{program}");
        ends(&instance, &before, &counter, link, &mut || {
            target.round();
        });
        matrix::saw("uprobe that sleeps", "counts");
    }
}

/// The kernel takes an XDP program into the driver of an interface with frames larger than a page only if the program can see
/// them in fragments: there the mode tells what the head of a chain was loaded with.
#[test]
fn kernel_sections_fragments_are_for_chains_of_which_all_members_take_them() {
    let instance = Instance::start();
    instance.netns().set_mtu(9000);
    let before = Traces::of(&instance);
    let all = BOTH.map(|optional| {
        load(&instance, &format!("xdp:xdp_frags{optional}"), slot::XDP).expect("loaded")
    });
    let whole = Counter::load(&instance, "xdp:xdp_count", plain::XDP);
    let attach = |counter: &Counter, priority| {
        let (link, attached) = instance.attach(&["xdp", &counter.id(), INTERFACE, "-p", priority]);
        let mode = attached["record"]["details"]["mode"].clone();
        (link.to_string(), mode)
    };
    // One that takes none: only in the kernel's generic code.
    let (link, mode) = attach(&whole, "50");
    assert_eq!(mode, "generic");
    instance.ctl(&["link", "detach", &link]).ok();

    let links = [attach(&all[0], "50"), attach(&all[1], "60")];
    assert!(links.iter().all(|(_, mode)| mode == "native"), "{links:?}");
    instance.netns().send_datagram(5000);
    let seen = [all[0].value(), all[1].value()];
    assert!(seen[0] >= 1 && seen[0] == seen[1], "{seen:?}");

    // With it the head would have to give them up, which the kernel refuses; the chain is as before.
    let chain = instance.ctl(&["chain", "show", INTERFACE]).ok();
    let refused = instance.ctl(&["link", "attach", "xdp", &whole.id(), INTERFACE, "-p", "70"]);
    refused.refused();
    assert_eq!(instance.ctl(&["chain", "show", INTERFACE]).ok(), chain);
    instance.netns().send_datagram(5000);
    assert!(all[1].value() > seen[1], "the chain does not run any more");
    matrix::saw(
        "xdp with fragments",
        "counts; a chain has them while all its members take them",
    );
    instance.assert_no_drift();
    for counter in all.iter().chain([&whole]) {
        instance.ctl(&["program", "unload", &counter.id()]).ok();
    }
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
}
