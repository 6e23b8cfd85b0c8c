//! Places that programs cannot be attached to.

use super::assert_says;
use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::{kernel, require};

#[test]
fn places_that_do_not_exist() {
    let instance = Instance::start();
    let tracing = Counter::load(&instance, "tracepoint:tracepoint_count", slot::TRACEPOINT);
    let xdp = Counter::load(&instance, "xdp:xdp_count", slot::XDP);
    let probe = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let before = Traces::of(&instance);
    let objects = Objects::new();
    let own = std::env::current_exe()
        .expect("a path")
        .to_string_lossy()
        .into_owned();
    let text = objects
        .file("text", b"not a binary")
        .to_string_lossy()
        .into_owned();

    let attempts: [(&[&str], &[&str]); 14] = [
        (&["xdp", &xdp.id(), "nowhere0", "-p", "50"], &["nowhere0"]),
        (
            &["tracepoint", &tracing.id(), "syscalls/sys_enter_getpidd"],
            &["sys_enter_getpidd", "did you mean", "sys_enter_getpid"],
        ),
        (
            &["tracepoint", &tracing.id(), "nogroup/nothing"],
            &["nogroup/nothing"],
        ),
        (
            &["uprobe", &probe.id(), &own, "-f", "no_such_function_here"],
            &["no_such_function_here"],
        ),
        (
            &["uprobe", &probe.id(), &text, "-f", "main"],
            &["text", "ELF"],
        ),
        (
            &["uprobe", &probe.id(), "/nonexistent/binary", "-f", "main"],
            &["/nonexistent/binary"],
        ),
        (
            &[
                "uprobe",
                &probe.id(),
                "libnothing-of-this-name",
                "-f",
                "main",
            ],
            &["libnothing-of-this-name"],
        ),
        (&["uprobe", &probe.id(), "/usr", "-f", "main"], &["/usr"]),
        // The wrong command for the program.
        (
            &["xdp", &tracing.id(), INTERFACE, "-p", "50"],
            &["is a tracepoint program", "xdp"],
        ),
        // That comes first, whatever else is wrong.
        (
            &["uprobe", &xdp.id(), &own, "-f", "no_such_function_here"],
            &["is a xdp program", "accepts uprobe or uretprobe"],
        ),
        (
            &["usdt", &probe.id(), "/nonexistent/binary", "a:b"],
            &["is a uprobe program", "accepts usdt"],
        ),
        (
            &["cgroup_skb", &xdp.id(), "/nonexistent/group"],
            &["is a xdp program", "accepts cgroup_skb"],
        ),
        (
            &["sk_lookup", &xdp.id(), "--netns", "/nowhere"],
            &["is a xdp program", "accepts sk_lookup"],
        ),
        (
            &["uprobe", "4000000000", "/nonexistent/binary", "-f", "main"],
            &["program 4000000000 does not exist"],
        ),
    ];
    for (arguments, words) in attempts {
        let mut all = vec!["link", "attach"];
        all.extend(arguments);
        let error = instance.ctl(&all).failed();
        assert_says(&error, words);
        before.assert_unchanged(&instance, &all.join(" "));
    }
}

#[test]
fn an_interface_that_does_not_exist_for_tcx() {
    require!(kernel::tcx());
    let instance = Instance::start();
    let counter = Counter::load(&instance, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
    let before = Traces::of(&instance);
    let error = instance
        .ctl(&[
            "link",
            "attach",
            "tcx",
            &counter.id(),
            "nowhere0",
            "ingress",
            "-p",
            "1",
        ])
        .refused();
    assert_says(&error, &["nowhere0"]);
    before.assert_unchanged(&instance, "tcx on no interface");
}

#[test]
fn a_kernel_without_tcx_says_so() {
    if kernel::tcx().is_ok() {
        bpfman_tests::skip::skip("a_kernel_without_tcx_says_so", "this kernel has tcx");
        return;
    }
    let instance = Instance::start();
    let counter = Counter::load(&instance, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
    let before = Traces::of(&instance);
    let error = instance
        .ctl(&[
            "link",
            "attach",
            "tcx",
            &counter.id(),
            INTERFACE,
            "ingress",
            "-p",
            "1",
        ])
        .refused();
    assert_says(&error, &["tcx", "kernel"]);
    bpfman_tests::matrix::saw_refused("tcx", &error);
    before.assert_unchanged(&instance, "tcx on a kernel without it");
}
