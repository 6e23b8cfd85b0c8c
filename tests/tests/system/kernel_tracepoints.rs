//! Programs at tracepoints without perf, iterators, and the look-up of sockets: raw_tracepoint, tp_btf, iter, sk_lookup.

use crate::kernel_functions::load;
use bpfman_tests::fixture::Counter;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::matrix;
use bpfman_tests::process::call_getpid;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;

/// Slots of the map `counters` of the object `functions`.
mod slot {
    pub(super) const RAW_TRACEPOINT: usize = 5;
    pub(super) const TP_BTF: usize = 6;
    pub(super) const ITER: usize = 7;
    pub(super) const SK_LOOKUP: usize = 8;
}

/// Attached it counts at least each of our system calls; detached none; unloaded nothing is left.
fn counts_system_calls(
    instance: &Instance,
    before: &Traces,
    counter: &Counter,
    attach: &[&str],
) -> Value {
    call_getpid(10);
    assert_eq!(counter.value(), 0, "{attach:?} counts before the attach");
    let (link, attached) = instance.attach(attach);
    assert_eq!(attached["status"]["kernel_seen"], true);
    assert_eq!(attached["record"]["details"]["name"], "sys_enter");
    call_getpid(10);
    assert!(counter.value() >= 10, "counted {}", counter.value());
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    call_getpid(10);
    assert_eq!(counter.value(), at_detach, "{attach:?} after the detach");
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(instance, "unload");
    instance.assert_no_drift();
    let kind = attached["record"]["kind"].as_str().expect("a kind");
    matrix::saw(kind, "counts");
    attached
}

#[test]
fn kernel_tracepoints_are_counted_raw() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let program = "raw_tracepoint:raw_tracepoint_count";
    let counter = load(&instance, program, slot::RAW_TRACEPOINT).expect("loaded");
    let refused = instance
        .ctl(&[
            "link",
            "attach",
            "raw_tracepoint",
            &counter.id(),
            "sys_entr",
        ])
        .refused();
    assert!(
        refused.contains("raw tracepoint \"sys_entr\" not found"),
        "{refused}"
    );
    let attach = ["raw_tracepoint", &counter.id(), "sys_enter"];
    let attached = counts_system_calls(&instance, &before, &counter, &attach);
    assert_eq!(attached["record"]["kind"], "raw_tracepoint");
    let link_type = &attached["status"]["kernel"]["link_type"];
    assert_eq!(*link_type, "raw_tracepoint");
}

#[test]
fn kernel_tracepoints_are_counted_with_types() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    // By the section, then by the request.
    for program in ["tp_btf:tp_btf_count", "tp_btf:tp_btf_count:sys_enter"] {
        let counter = load(&instance, program, slot::TP_BTF).expect("loaded");
        let attach = ["tp_btf", &counter.id()];
        let attached = counts_system_calls(&instance, &before, &counter, &attach);
        assert_eq!(attached["record"]["kind"], "tp_btf");
    }
    let refused = load(&instance, "tp_btf:tp_btf_count:sys_entr", slot::TP_BTF)
        .expect_err("no such tracepoint");
    assert!(
        refused.contains("tracepoint \"sys_entr\" not found") && refused.contains("sys_enter"),
        "{refused}"
    );
}

#[test]
fn kernel_iterators_run_when_their_pin_is_read() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let counter = load(&instance, "iter:iter_count", slot::ITER).expect("loaded");
    let (link, attached) = instance.attach(&["iter", &counter.id()]);
    assert_eq!(attached["record"]["kind"], "iter");
    assert_eq!(attached["record"]["details"]["target"], "task");
    assert_eq!(attached["status"]["kernel"]["link_type"], "iter");
    let pin = attached["record"]["pin_path"].as_str().expect("a pin");
    assert_eq!(counter.value(), 0, "it runs although nobody reads");
    fs::read(pin).expect("the iterator can be read");
    let once = counter.value();
    // This process, the one that started it, and the call at the end.
    assert!(once >= 3, "counted {once}");
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let gone = fs::read(pin).expect_err("the iterator is gone");
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(counter.value(), once);
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
    matrix::saw("iter", "runs when its pin is read");
}

#[test]
fn kernel_socket_lookups_are_counted() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let counter = load(&instance, "sk_lookup:sk_lookup_count", slot::SK_LOOKUP).expect("loaded");
    instance.netns().send_packets(5);
    assert_eq!(counter.value(), 0);
    let (link, attached) = instance.attach(&["sk_lookup", &counter.id()]);
    assert_eq!(attached["record"]["kind"], "sk_lookup");
    assert_eq!(attached["status"]["kernel"]["link_type"], "netns");
    let namespace = &attached["status"]["kernel"]["netns_ino"];
    assert_eq!(*namespace, attached["record"]["details"]["nsid"]);
    instance.netns().send_packets(20);
    assert!(counter.value() >= 20, "counted {}", counter.value());
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    instance.netns().send_packets(5);
    assert_eq!(counter.value(), at_detach, "counts after detach returned");
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
    instance.assert_no_drift();
    matrix::saw("sk_lookup", "counts");
}
