//! The variants of what messages are made of, as they stand on the wire: frames hold only a few of them.
//!
//! A variant without a line in [`every_variant_has_its_golden_bytes`] does not compile, one without a line in the file fails.
//! `UPDATE_GOLDEN=1 cargo test -p ipc` writes the file anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod golden_file;
#[allow(dead_code, reason = "frames use the other samples")]
mod golden_samples;

use bincode::Encode;
use ipc::codec;
use ipc::messages::attach::{AttachSpec, Direction, LinkDetails, LinkNumbers, Sampling, XdpMode};
use ipc::messages::chain::{HookKind, InterfaceHook, Strategy};
use ipc::messages::failure::{FailureCode, Stage};
use ipc::messages::helper::HelperKind;
use ipc::messages::kernel::Inventory;
use ipc::messages::loader::Errand;
use ipc::messages::mprog::{MprogHook, NetkitHook};
use ipc::messages::program::{GlobalType, ProgramKind, Source};
use ipc::messages::pull::{ImageSource, PullPolicy};
use ipc::messages::supervision::ProcessState;
use ipc::role::Role;
use std::fmt::Write;

fn line<T: Encode>(golden: &mut String, of: &str, variant: &str, value: &T) {
    write!(golden, "{of} {variant} ").unwrap();
    for byte in codec::encode(value, 4096).unwrap() {
        write!(golden, "{byte:02x}").unwrap();
    }
    golden.push('\n');
}

/// A line for each variant, with the values of its fields. The match is what makes a variant that has none an error.
macro_rules! variants {
    ($golden:expr, $of:ident: $( $variant:ident $({ $($fields:tt)* })? $(( $($values:tt)* ))? ),* $(,)?) => {
        for value in [ $( $of::$variant $({ $($fields)* })? $(( $($values)* ))? ),* ] {
            let name = match &value { $( $of::$variant { .. } => stringify!($variant) ),* };
            line($golden, stringify!($of), name, &value);
        }
    };
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn every_variant_has_its_golden_bytes() {
    let mut golden = String::new();
    let lines = &mut golden;
    variants!(lines, Role: Supervisor, Loader, Image, Api, Client, Helper);
    variants!(lines, ProcessState: Starting, Serving, Backoff, Held, Stopping);
    variants!(lines, HelperKind: PerfEvent, ChangeGroup, NetworkNamespace, OpenPath, DescribeXdp, OpenInContainer, MountVolume, Libxdp);
    variants!(lines, Errand: Images, ShowImages, Load, Attach);
    variants!(
        lines,
        FailureCode: InvalidArgument, NotFound, AlreadyExists, FailedPrecondition, PermissionDenied, Unsupported,
        ResourceExhausted, Unavailable, DeadlineExceeded, Rejected, Internal,
    );
    variants!(
        lines,
        Stage: Connect, Request, Policy, Object, Compile, Maps, Load, Pin, Resolve, Attach, Detach, Unload, Store, Query,
        Pull,
    );
    variants!(
        lines,
        ProgramKind: Xdp, Tc, Tcx, Tracepoint, Kprobe, Kretprobe, Uprobe, Uretprobe, Fentry, Fexit, Lsm, RawTracepoint,
        TpBtf, Iter, SkLookup, CgroupSkb, CgroupSock, CgroupSockAddr, CgroupSockopt, CgroupSysctl, CgroupDevice,
        PerfEvent, KprobeMulti, KretprobeMulti, UprobeMulti, UretprobeMulti, Usdt, Netfilter, Netkit,
    );
    variants!(lines, Inventory: Programs, Maps, Links);
    variants!(lines, GlobalType: U8, U16, U32, U64, I8, I16, I32, I64, Bool, Char, String);
    variants!(lines, PullPolicy: Always, IfNotPresent, Never);
    variants!(
        lines,
        Source:
        File(text("a.o")),
        Image(ImageSource { url: text("quay.io/a/b:v1"), pull_policy: PullPolicy::Never, origin: None }),
    );
    variants!(lines, Direction: Ingress, Egress);
    variants!(lines, XdpMode: Native, Generic);
    variants!(
        lines,
        LinkNumbers:
        None,
        Netfilter { family: 2, hook: 1, priority: -50, flags: 1 },
        KprobeMulti { count: 2, flags: 1, missed: 3 },
        Kprobe { address: 4096, missed: 3 },
    );
    variants!(lines, Strategy: Direct, Libxdp, Fused);
    variants!(lines, HookKind: Xdp, TcIngress, TcEgress);
    variants!(lines, InterfaceHook: Xdp, TcxIngress, TcIngress, TcxEgress, TcEgress, NetkitPrimary, NetkitPeer);
    variants!(lines, NetkitHook: Primary, Peer);
    variants!(lines, MprogHook: Tcx(Direction::Egress), Netkit(NetkitHook::Peer));
    variants!(lines, Sampling: Period(1000), Frequency(99));
    variants!(
        lines,
        AttachSpec:
        Tcx { interface: text("eth0"), direction: Direction::Egress, priority: 50 },
        Xdp { interface: text("eth0"), priority: 50, proceed_on: vec![2, 31], strategy: Some(Strategy::Fused) },
        Tracepoint { group: text("syscalls"), name: text("sys_enter_openat") },
        Uprobe {
            target: text("libc"), path: text("/lib/libc.so.6"), function: Some(text("malloc")), offset: 4, pid: Some(1),
            container_pid: None,
        },
        Kprobe { function: text("do_unlinkat"), offset: 4 },
        Fentry,
        Fexit,
        Lsm,
        RawTracepoint { name: text("sched_switch") },
        TpBtf,
        Iter,
        SkLookup,
        Cgroup { kind: ProgramKind::CgroupSkb, path: text("/sys/fs/cgroup/a") },
        PerfEvent { event: text("cpu-clock"), sampling: Sampling::Period(1000), pid: Some(1), cpu: None },
        Tc {
            interface: text("eth0"), direction: Direction::Ingress, priority: 50, proceed_on: vec![3, 30], strategy: None,
        },
        KprobeMulti { functions: vec![text("vfs_read"), text("vfs_write")] },
        UprobeMulti {
            target: text("libc"), path: text("/lib/libc.so.6"), functions: vec![text("malloc"), text("free")], pid: Some(1),
            container_pid: Some(5),
        },
        Usdt {
            target: text("libc"), path: text("/lib/libc.so.6"), provider: text("libc"), name: text("setjmp"), pid: None,
            container_pid: Some(5),
        },
        Netfilter(golden_samples::netfilter_place()),
        Netkit { interface: text("nk0"), hook: NetkitHook::Peer, priority: 50 },
        XdpGuest { interface: text("eth0"), priority: 50, proceed_on: vec![2, 31] },
    );
    variants!(
        lines,
        LinkDetails:
        Tcx {
            interface: text("eth0"), ifindex: 2, direction: Direction::Ingress, priority: 50, position: 1,
            netns: text("/run/netns/a"), nsid: 4_026_531_840,
        },
        Xdp {
            interface: text("eth0"), ifindex: 2, priority: 50, position: 1, proceed_on: vec![2, 31],
            netns: text("/run/netns/a"), nsid: 4_026_531_840, dispatcher_id: 3, revision: 4, mode: XdpMode::Generic,
            strategy: Strategy::Libxdp,
        },
        Tracepoint { group: text("syscalls"), name: text("sys_enter_openat") },
        Uprobe {
            target: text("libc"), path: text("/lib/libc.so.6"), function: text("malloc"), offset: 4, file_offset: 0x1234,
            pid: 1, retprobe: true, container_pid: 5,
        },
        Kprobe { function: text("do_unlinkat"), offset: 4, retprobe: true },
        Fentry { function: text("do_unlinkat") },
        Fexit { function: text("do_unlinkat") },
        Lsm { hook: text("file_open") },
        RawTracepoint { name: text("sched_switch") },
        TpBtf { name: text("sched_switch") },
        Iter { target: text("task") },
        SkLookup { netns: text("/run/netns/a"), nsid: 4_026_531_840 },
        Cgroup { path: text("/sys/fs/cgroup/a"), hook: text("ingress") },
        PerfEvent { event: text("cpu-clock"), sampling: Sampling::Frequency(99), pid: None, cpu: Some(1) },
        Tc {
            interface: text("eth0"), ifindex: 2, direction: Direction::Egress, priority: 50, position: 1,
            proceed_on: vec![3, 30], netns: text("/run/netns/a"), nsid: 4_026_531_840, dispatcher_id: 3, revision: 4,
            strategy: Strategy::Fused,
        },
        KprobeMulti { functions: vec![text("vfs_read"), text("vfs_write")], retprobe: true },
        UprobeMulti {
            target: text("libc"), path: text("/lib/libc.so.6"), functions: vec![text("malloc"), text("free")], pid: 1,
            retprobe: false, container_pid: 5,
        },
        Usdt {
            target: text("libc"), path: text("/lib/libc.so.6"), provider: text("libc"), name: text("setjmp"), pid: 0,
            places: 2, container_pid: 5,
        },
        Netfilter { place: golden_samples::netfilter_place(), netns: text("/run/netns/a"), nsid: 4_026_531_840 },
        Netkit {
            interface: text("nk0"), ifindex: 2, hook: NetkitHook::Primary, priority: 50, position: 1,
            netns: text("/run/netns/a"), nsid: 4_026_531_840,
        },
        XdpGuest {
            interface: text("eth0"), ifindex: 2, priority: 50, position: 1, proceed_on: vec![2, 31],
            nsid: 4_026_531_840, dispatcher_id: 3, mode: XdpMode::Generic,
        },
    );

    golden_file::assert_lines("variants.txt", &golden);
}
