//! Programs at functions of the kernel: kprobe, kretprobe, fentry, fexit, lsm. Where a kernel cannot run them, bpfman has
//! to say why.

use bpfman_tests::fixture::Counter;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::{kernel, matrix, require, skip};
use serde_json::Value;
use std::fs;

const FUNCTION: &str = "do_unlinkat";
const HOOK: &str = "inode_unlink";

/// Slots of the map `counters` of the object `functions`.
mod slot {
    pub(super) const KPROBE: usize = 0;
    pub(super) const KRETPROBE: usize = 1;
    pub(super) const FENTRY: usize = 2;
    pub(super) const FEXIT: usize = 3;
    pub(super) const LSM: usize = 4;
}

/// Loads a program of the object that counts what this process does; or what bpfman says instead.
pub(crate) fn load(instance: &Instance, program: &str, slot: usize) -> Result<Counter, String> {
    let watched: String = std::process::id()
        .to_ne_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let global = format!("watched={watched}");
    Counter::try_load(instance, "functions", program, slot, &["-g", &global])
}

/// Calls the function, and with it the hook, so many times.
pub(crate) fn unlink_files(times: usize) {
    let folder = tempfile::tempdir().expect("a directory");
    for number in 0..times {
        let path = folder.path().join(number.to_string());
        fs::write(&path, "").expect("write");
        fs::remove_file(&path).expect("unlink");
    }
}

/// The kind that the link has.
fn attach_kind(attached: &Value) -> &str {
    attached["record"]["kind"].as_str().expect("a kind")
}

/// Attached it counts each call; detached none; unloaded nothing is left.
fn counts_from_attach_to_detach(
    instance: &Instance,
    before: &Traces,
    counter: &Counter,
    attach: &[&str],
) -> Value {
    let (link, attached) = instance.attach(attach);
    assert_eq!(attached["status"]["kernel_seen"], true);
    assert_eq!(attached["status"]["pin_present"], true);
    unlink_files(7);
    assert_eq!(counter.value(), 7, "{attach:?}");
    let listed = instance.ctl(&["link", "list"]).ok();
    assert!(
        listed.contains(FUNCTION) || listed.contains(HOOK),
        "{listed}"
    );
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    unlink_files(3);
    assert_eq!(
        counter.value(),
        7,
        "{attach:?} counts after detach returned"
    );
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(instance, "unload");
    instance.assert_no_drift();
    matrix::saw(attach_kind(&attached), "counts");
    attached
}

#[test]
fn kernel_functions_are_counted_by_kprobe_and_kretprobe() {
    require!(kernel::kprobes());
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for (kind, slot) in [("kprobe", slot::KPROBE), ("kretprobe", slot::KRETPROBE)] {
        let counter = load(&instance, &format!("{kind}:{kind}_count"), slot).expect("loaded");
        let attached = counts_from_attach_to_detach(
            &instance,
            &before,
            &counter,
            &["kprobe", &counter.id(), FUNCTION],
        );
        assert_eq!(attached["record"]["kind"], kind);
        let details = &attached["record"]["details"];
        assert_eq!(details["fn_name"], FUNCTION);
        assert_eq!(details["offset"], 0);
        assert_eq!(details["retprobe"], kind == "kretprobe");
        let told = &attached["status"]["kernel"];
        assert_eq!(told["link_type"], "perf_event");
        // Told to those who may know it, which the loader need not be among.
        let address = told["kprobe_address"].as_u64().expect("a number");
        assert!([0, kernel::address(FUNCTION)].contains(&address), "{told}");
        assert_eq!(told["kprobe_missed"], 0);
    }
}

#[test]
fn kernel_functions_are_probed_at_instructions_only() {
    require!(kernel::kprobes());
    let instance = Instance::start();
    let counter = load(&instance, "kprobe:kprobe_count", slot::KPROBE).expect("loaded");
    let attach = |offset: &str| {
        let id = counter.id();
        instance.ctl(&[
            "link", "attach", "kprobe", &id, FUNCTION, "--offset", offset,
        ])
    };
    // The function starts with an instruction of four or five bytes, the call of the tracer at or behind it.
    let refused = attach("1").refused();
    assert!(
        refused.contains("no probe at kernel function do_unlinkat+0x1"),
        "{refused}"
    );
    let second = ["4", "5"].map(|offset| attach(offset).code);
    assert!(second.contains(&0), "neither offset is an instruction");
    unlink_files(2);
    assert_eq!(counter.value(), 2);

    let returning = load(&instance, "kretprobe:kretprobe_count", slot::KRETPROBE).expect("loaded");
    let id = returning.id();
    let refused = instance
        .ctl(&["link", "attach", "kprobe", &id, FUNCTION, "--offset", "5"])
        .refused();
    assert!(refused.contains("a kretprobe has no offset"), "{refused}");
}

#[test]
fn kernel_functions_that_are_missing_bring_suggestions() {
    let instance = Instance::start();
    for (kind, slot) in [("kprobe", slot::KPROBE), ("kretprobe", slot::KRETPROBE)] {
        let counter = load(&instance, &format!("{kind}:{kind}_count"), slot).expect("loaded");
        let refused = instance
            .ctl(&["link", "attach", "kprobe", &counter.id(), "do_unlinkatt"])
            .refused();
        if kernel::kprobes().is_ok() {
            assert!(
                refused.contains("kernel function \"do_unlinkatt\" not found"),
                "{refused}"
            );
            assert!(refused.contains("did you mean: do_unlinkat"), "{refused}");
        } else {
            assert!(
                refused.contains("this kernel has no kprobes: there is no /sys/"),
                "{refused}"
            );
            assert!(refused.contains("CONFIG_KPROBE_EVENTS"), "{refused}");
            matrix::saw_refused(kind, &refused);
        }
    }
    for (program, missing, near) in [
        (
            "fentry:fentry_count:do_unlinkatt",
            "kernel function \"do_unlinkatt\"",
            FUNCTION,
        ),
        (
            "lsm:lsm_count:inode_unlik",
            "security hook \"inode_unlik\"",
            HOOK,
        ),
    ] {
        let refused = load(&instance, program, 0).expect_err("no such function");
        assert!(
            refused.contains(&format!("{missing} not found")),
            "{refused}"
        );
        assert!(refused.contains(near), "{refused}");
    }
}

#[test]
fn kernel_functions_are_counted_by_fentry_and_fexit() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    for (kind, slot) in [("fentry", slot::FENTRY), ("fexit", slot::FEXIT)] {
        let program = format!("{kind}:{kind}_count:{FUNCTION}");
        let Some(counter) =
            load_at_trampoline(load(&instance, &program, slot), kind, &program, kind)
        else {
            before.assert_unchanged(&instance, "a refused load");
            continue;
        };
        let attach = [kind, &counter.id()];
        let attached = counts_from_attach_to_detach(&instance, &before, &counter, &attach);
        assert_eq!(attached["record"]["kind"], kind);
        assert_eq!(attached["record"]["details"]["fn_name"], FUNCTION);
        assert_eq!(attached["status"]["kernel"]["link_type"], "tracing");
    }
}

#[test]
fn kernel_functions_are_those_of_the_request_not_of_the_section() {
    let instance = Instance::start();
    let program = "fentry:fentry_count:vfs_unlink";
    let Some(counter) = load_at_trampoline(
        load(&instance, program, slot::FENTRY),
        "fentry",
        program,
        "fentry",
    ) else {
        return;
    };
    let (_, attached) = instance.attach(&["fentry", &counter.id()]);
    assert_eq!(attached["record"]["details"]["fn_name"], "vfs_unlink");
    unlink_files(2);
    assert_eq!(counter.value(), 2);
    let refused = instance
        .ctl(&["link", "attach", "fexit", &counter.id()])
        .refused();
    assert!(
        refused.contains("the fexit attach accepts fexit"),
        "{refused}"
    );
}

#[test]
fn kernel_functions_of_security_hooks_are_counted_by_lsm() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let program = format!("lsm:lsm_count:{HOOK}");
    let Some(counter) =
        load_at_trampoline(load(&instance, &program, slot::LSM), "lsm", &program, "lsm")
    else {
        before.assert_unchanged(&instance, "a refused load");
        return;
    };
    let attach = ["lsm", &counter.id()];
    let attached = counts_from_attach_to_detach(&instance, &before, &counter, &attach);
    assert_eq!(attached["record"]["kind"], "lsm");
    assert_eq!(attached["record"]["details"]["hook_name"], HOOK);
}

/// `None` where the kernel refuses such programs, which bpfman has found out and says, for a row of the table in
/// docs/kinds.md.
pub(crate) fn load_at_trampoline(
    loaded: Result<Counter, String>,
    kind: &str,
    program: &str,
    row: &str,
) -> Option<Counter> {
    match loaded {
        Ok(counter) => Some(counter),
        Err(refused) => {
            assert!(!kernel::must_take_trampolines(), "{refused}");
            let reason = format!("this kernel takes no {kind} programs: an empty one is refused");
            assert!(refused.contains(&reason), "{refused}");
            matrix::saw_refused(row, &refused);
            skip::skip(program, &refused);
            None
        }
    }
}
