//! Programs at several places by one link: kprobe_multi, uprobe_multi, usdt.

use crate::kernel_functions::{load, unlink_files};
use bpfman_tests::binaries::program;
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::{matrix, skip};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// Slots of the map `counters` of the object `functions`.
mod slot {
    pub(super) const KPROBE_MULTI: usize = 10;
    pub(super) const KRETPROBE_MULTI: usize = 11;
    pub(super) const UPROBE_MULTI: usize = 12;
    pub(super) const URETPROBE_MULTI: usize = 13;
    pub(super) const USDT: usize = 14;
}

const FUNCTIONS: [&str; 2] = ["do_unlinkat", "do_mkdirat"];

/// The program whose functions and probes are looked at; ended with it.
pub(crate) struct Target(Child);

impl Target {
    pub(crate) fn start() -> Self {
        let target = Command::new(program("probe-target"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(target.expect("cannot start probe-target"))
    }

    /// Has it pass everything once; what it sees of its semaphore.
    pub(crate) fn round(&mut self) -> String {
        let input = self.0.stdin.as_mut().expect("its input");
        input.write_all(b"\n").expect("write");
        let output = self.0.stdout.as_mut().expect("its output");
        let mut line = String::new();
        BufReader::with_capacity(1, output)
            .read_line(&mut line)
            .expect("read");
        line.trim().to_owned()
    }

    pub(crate) fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where it lies.
pub(crate) fn path() -> String {
    program("probe-target").to_string_lossy().into_owned()
}

/// Attaches, or checks that bpfman has found out why not.
fn attach(
    instance: &Instance,
    before: &Traces,
    arguments: &[&str],
    kind: &str,
    (supported, reason): (bool, &str),
) -> Option<(u64, Value)> {
    if supported {
        return Some(instance.attach(arguments));
    }
    let all: Vec<&str> = ["link", "attach"]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    let refused = instance.ctl(&all).refused();
    assert!(refused.contains(reason), "{refused}");
    matrix::saw_refused(kind, &refused);
    skip::skip(arguments[0], &refused);
    instance.ctl(&["program", "unload", arguments[1]]).ok();
    before.assert_unchanged(instance, "a refused attach");
    None
}

/// Debian builds its Linux 6.1 without CONFIG_FPROBE.
fn kprobe_multi() -> (bool, &'static str) {
    (
        kernel::must_take_trampolines() && kernel::version() >= (6, 12),
        "this kernel has no kprobe_multi links: BPF_LINK_CREATE",
    )
}

pub(crate) fn uprobe_multi() -> (bool, &'static str) {
    (
        kernel::version() >= (6, 6),
        "no uprobe_multi links: BPF_LINK_CREATE",
    )
}

#[test]
fn kernel_multi_probes_are_on_all_functions_of_the_kernel() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for (kind, slot) in [
        ("kprobe_multi", slot::KPROBE_MULTI),
        ("kretprobe_multi", slot::KRETPROBE_MULTI),
    ] {
        let counter = load(&instance, &format!("{kind}:{kind}_count"), slot).expect("loaded");
        let id = counter.id();
        let arguments = ["kprobe_multi", &id, FUNCTIONS[0], FUNCTIONS[1]];
        let Some((link, attached)) = attach(&instance, &before, &arguments, kind, kprobe_multi())
        else {
            continue;
        };
        assert_eq!(attached["record"]["kind"], kind);
        let details = &attached["record"]["details"];
        assert_eq!(details["fn_names"], serde_json::json!(FUNCTIONS));
        assert_eq!(details["retprobe"], kind == "kretprobe_multi");
        let kernel = &attached["status"]["kernel"];
        assert_eq!(kernel["link_type"], "kprobe_multi");
        assert_eq!(kernel["kprobe_multi_count"], FUNCTIONS.len());
        let at_return = u32::from(kind == "kretprobe_multi");
        assert_eq!(kernel["kprobe_multi_flags"], at_return);
        // One directory is made, five files are removed.
        unlink_files(5);
        assert_eq!(counter.value(), 6);
        let link = link.to_string();
        instance.ctl(&["link", "detach", &link]).ok();
        unlink_files(2);
        assert_eq!(counter.value(), 6, "{kind} counts after detach returned");
        let refused = instance
            .ctl(&[
                "link",
                "attach",
                "kprobe_multi",
                &id,
                FUNCTIONS[0],
                "do_unlinkatt",
            ])
            .refused();
        assert!(
            refused.contains("kernel function \"do_unlinkatt\" not found"),
            "{refused}"
        );
        instance.ctl(&["program", "unload", &id]).ok();
        before.assert_unchanged(&instance, "unload");
        instance.assert_no_drift();
        matrix::saw(kind, "counts");
    }
}

#[test]
fn kernel_multi_probes_are_on_all_functions_of_a_binary() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let (mut target, mut other) = (Target::start(), Target::start());
    let (pid, path) = (target.pid(), path());
    for (kind, slot) in [
        ("uprobe_multi", slot::UPROBE_MULTI),
        ("uretprobe_multi", slot::URETPROBE_MULTI),
    ] {
        let counter = load(&instance, &format!("{kind}:{kind}_count"), slot).expect("loaded");
        let id = counter.id();
        let functions = ["probe_target_first", "probe_target_second"];
        let arguments = [
            "uprobe_multi",
            &id,
            &path,
            functions[0],
            functions[1],
            "--pid",
            &pid,
        ];
        let Some((link, attached)) = attach(&instance, &before, &arguments, kind, uprobe_multi())
        else {
            continue;
        };
        assert_eq!(attached["record"]["kind"], kind);
        let details = &attached["record"]["details"];
        assert_eq!(details["fn_names"], serde_json::json!(functions));
        assert_eq!(attached["status"]["kernel"]["link_type"], "uprobe_multi");
        target.round();
        target.round();
        other.round();
        assert_eq!(counter.value(), 4);
        let link = link.to_string();
        instance.ctl(&["link", "detach", &link]).ok();
        target.round();
        assert_eq!(counter.value(), 4, "{kind} counts after detach returned");
        let missing = "probe_target_third";
        let refused = instance
            .ctl(&[
                "link",
                "attach",
                "uprobe_multi",
                &id,
                &path,
                functions[0],
                missing,
            ])
            .refused();
        assert!(
            refused.contains("function \"probe_target_third\" not found"),
            "{refused}"
        );
        instance.ctl(&["program", "unload", &id]).ok();
        before.assert_unchanged(&instance, "unload");
        instance.assert_no_drift();
        matrix::saw(kind, "counts");
    }
}

#[test]
fn kernel_multi_probes_are_wherever_a_static_probe_is() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut target = Target::start();
    let (pid, path) = (target.pid(), path());
    // The second is only passed while somebody asks for it.
    for (probe, places, rounds) in [("visited", 2, 3), ("guarded", 1, 3)] {
        let counter = load(&instance, "usdt:usdt_count", slot::USDT).expect("loaded");
        let id = counter.id();
        let name = format!("bpfman_tests:{probe}");
        let arguments = ["usdt", &id, &path, &name, "--pid", &pid];
        let Some((link, attached)) = attach(&instance, &before, &arguments, "usdt", uprobe_multi())
        else {
            continue;
        };
        assert_eq!(attached["record"]["kind"], "usdt");
        assert_eq!(attached["record"]["details"]["places"], places);
        for _ in 0..rounds {
            // The kernel raises it for each mapping of the page with the probe, which a linker may have made two.
            assert_eq!(target.round() != "0", probe == "guarded");
        }
        assert_eq!(counter.value(), places * rounds, "{probe}");
        instance.ctl(&["link", "detach", &link.to_string()]).ok();
        assert_eq!(target.round(), "0", "the semaphore is still raised");
        assert_eq!(counter.value(), places * rounds, "{probe} after the detach");
        instance.ctl(&["program", "unload", &id]).ok();
        before.assert_unchanged(&instance, "unload");
        instance.assert_no_drift();
        matrix::saw("usdt", "counts");
    }
}

#[test]
fn kernel_multi_probes_that_no_binary_has_are_told() {
    let instance = Instance::start();
    let counter = load(&instance, "usdt:usdt_count", slot::USDT).expect("loaded");
    let (id, path) = (counter.id(), path());
    let refused = |target: &str, probe: &str| {
        instance
            .ctl(&["link", "attach", "usdt", &id, target, probe])
            .refused()
    };
    let message = refused(&path, "bpfman_tests:visite");
    assert!(
        message.contains("probe \"bpfman_tests:visite\" not found")
            && message.contains("did you mean: bpfman_tests:visited"),
        "{message}"
    );
    let message = refused(&program("map-reader").to_string_lossy(), "a:b");
    assert!(
        message.contains("no statically defined probes"),
        "{message}"
    );
    let message = refused("/etc/passwd", "a:b");
    assert!(message.contains("not an ELF file"), "{message}");
}
