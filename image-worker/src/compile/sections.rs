//! What a section name says about the programs in it: one table.

use super::cgroup;
use super::error::CompileError;
use aya_obj::generated::bpf_attach_type;
use ipc::messages::program::ProgramKind;

/// `BPF_F_SLEEPABLE`.
const SLEEPABLE: u32 = 1 << 4;
/// `BPF_F_XDP_HAS_FRAGS`.
const HAS_FRAGS: u32 = 1 << 5;

/// Prefixes in the order in which they are tried: the longer of two that match comes first.
const KINDS: [(&str, ProgramKind); 29] = [
    ("kretprobe.multi", ProgramKind::KretprobeMulti),
    ("kprobe.multi", ProgramKind::KprobeMulti),
    ("uretprobe.multi", ProgramKind::UretprobeMulti),
    ("uprobe.multi", ProgramKind::UprobeMulti),
    ("usdt", ProgramKind::Usdt),
    ("kretprobe", ProgramKind::Kretprobe),
    ("kretsyscall", ProgramKind::Kretprobe),
    ("kprobe", ProgramKind::Kprobe),
    ("ksyscall", ProgramKind::Kprobe),
    ("uretprobe", ProgramKind::Uretprobe),
    ("uprobe", ProgramKind::Uprobe),
    ("raw_tracepoint", ProgramKind::RawTracepoint),
    ("raw_tp", ProgramKind::RawTracepoint),
    ("tp_btf", ProgramKind::TpBtf),
    ("iter", ProgramKind::Iter),
    ("sk_lookup", ProgramKind::SkLookup),
    ("perf_event", ProgramKind::PerfEvent),
    ("tracepoint", ProgramKind::Tracepoint),
    ("tp/", ProgramKind::Tracepoint),
    ("fentry", ProgramKind::Fentry),
    ("fexit", ProgramKind::Fexit),
    // Programs of control groups, not of the whole machine: another kind, hence not checked.
    ("lsm", ProgramKind::Lsm),
    ("xdp", ProgramKind::Xdp),
    ("tcx", ProgramKind::Tcx),
    ("tc", ProgramKind::Tc),
    ("classifier", ProgramKind::Tc),
    ("action", ProgramKind::Tc),
    ("netkit", ProgramKind::Netkit),
    ("netfilter", ProgramKind::Netfilter),
];

/// Sections that begin like one of [`KINDS`] and mean something else.
const OTHERS: [&str; 4] = ["lsm_cgroup", "tcp", "raw_tp.w", "raw_tracepoint.w"];

/// What is known of a program from its section and its declared kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SectionFacts {
    /// `enum bpf_prog_type`.
    pub(super) prog_type: u32,
    /// `enum bpf_attach_type` at load time, 0 for none.
    pub(super) expected_attach_type: u32,
    /// `prog_flags`.
    pub(super) flags: u32,
    /// What stands behind the first slash.
    pub(super) target: Option<String>,
    /// Name of the hook of control groups; found by [`super::cgroup`].
    pub(super) hook: Option<&'static str>,
}

/// The kind that a section name implies; `None` for names that this table does not know.
pub(super) fn implied(section: &str) -> Option<ProgramKind> {
    let name = section.strip_prefix('?').unwrap_or(section);
    if OTHERS.iter().any(|other| name.starts_with(other)) {
        return None;
    }
    if let Some(kind) = cgroup::implied(name) {
        return Some(kind);
    }
    KINDS
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map(|(_, kind)| *kind)
}

/// Kinds that may be declared for one another's sections.
fn family(kind: ProgramKind) -> ProgramKind {
    match kind {
        ProgramKind::Kretprobe | ProgramKind::KprobeMulti | ProgramKind::KretprobeMulti => {
            ProgramKind::Kprobe
        }
        ProgramKind::Uretprobe | ProgramKind::UprobeMulti | ProgramKind::UretprobeMulti => {
            ProgramKind::Uprobe
        }
        ProgramKind::Tcx | ProgramKind::Netkit => ProgramKind::Tc,
        other => other,
    }
}

/// What the kernel must be told of a program of the declared kind in this section.
pub(super) fn facts(section: &str, declared: ProgramKind) -> Result<SectionFacts, CompileError> {
    if let Some(implied) = implied(section)
        && family(implied) != family(declared)
    {
        return Err(CompileError::KindMismatch {
            declared,
            section: section.to_owned(),
            implied,
        });
    }
    let name = section.strip_prefix('?').unwrap_or(section);
    let (kind, target) = name.split_once('/').map_or((name, None), |(kind, target)| {
        (
            kind,
            Some(target.to_owned()).filter(|target| !target.is_empty()),
        )
    });
    let mut variants = kind.split('.').skip(1);
    let sleepable = kind.ends_with(".s");
    let frags = declared == ProgramKind::Xdp && variants.any(|variant| variant == "frags");
    Ok(SectionFacts {
        prog_type: declared.kernel_type(),
        expected_attach_type: expected_attach_type(kind, target.as_deref(), declared),
        flags: if sleepable { SLEEPABLE } else { 0 } | if frags { HAS_FRAGS } else { 0 },
        target,
        hook: None,
    })
}

/// 0 where the kernel asks for none at load time. That of uprobes depends on how the loader will attach them.
fn expected_attach_type(kind: &str, target: Option<&str>, declared: ProgramKind) -> u32 {
    match (declared, kind, target) {
        (ProgramKind::Xdp, _, Some("devmap")) | (ProgramKind::Xdp, "xdp_devmap", _) => {
            bpf_attach_type::BPF_XDP_DEVMAP as u32
        }
        (ProgramKind::Xdp, _, Some("cpumap")) | (ProgramKind::Xdp, "xdp_cpumap", _) => {
            bpf_attach_type::BPF_XDP_CPUMAP as u32
        }
        // A link made with a program of type 0 cannot be updated to one of type BPF_XDP: always BPF_XDP.
        (ProgramKind::Xdp, _, _) => bpf_attach_type::BPF_XDP as u32,
        (ProgramKind::Kprobe | ProgramKind::Kretprobe, "kprobe.multi" | "kretprobe.multi", _) => {
            bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32
        }
        (ProgramKind::KprobeMulti | ProgramKind::KretprobeMulti, _, _) => {
            bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32
        }
        (ProgramKind::UprobeMulti | ProgramKind::UretprobeMulti | ProgramKind::Usdt, _, _) => {
            bpf_attach_type::BPF_TRACE_UPROBE_MULTI as u32
        }
        (ProgramKind::Fentry, _, _) => bpf_attach_type::BPF_TRACE_FENTRY as u32,
        (ProgramKind::Fexit, _, _) => bpf_attach_type::BPF_TRACE_FEXIT as u32,
        (ProgramKind::Lsm, _, _) => bpf_attach_type::BPF_LSM_MAC as u32,
        (ProgramKind::TpBtf, _, _) => bpf_attach_type::BPF_TRACE_RAW_TP as u32,
        (ProgramKind::SkLookup, _, _) => bpf_attach_type::BPF_SK_LOOKUP as u32,
        (ProgramKind::Iter, _, _) => bpf_attach_type::BPF_TRACE_ITER as u32,
        (ProgramKind::Netfilter, _, _) => bpf_attach_type::BPF_NETFILTER as u32,
        (ProgramKind::Netkit, "netkit", Some("primary")) => {
            bpf_attach_type::BPF_NETKIT_PRIMARY as u32
        }
        (ProgramKind::Netkit, "netkit", Some("peer")) => bpf_attach_type::BPF_NETKIT_PEER as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProgramKind::*;

    #[test]
    fn sections_imply_kinds() {
        for (section, kind) in [
            ("xdp", Some(Xdp)),
            ("xdp/name", Some(Xdp)),
            ("xdp.frags/name", Some(Xdp)),
            ("?xdp/optional", Some(Xdp)),
            ("tc", Some(Tc)),
            ("tc/ingress", Some(Tc)),
            ("classifier/x", Some(Tc)),
            ("action", Some(Tc)),
            ("tcx/ingress", Some(Tcx)),
            ("tcx/egress", Some(Tcx)),
            ("netkit/primary", Some(Netkit)),
            ("tracepoint/syscalls/sys_enter_openat", Some(Tracepoint)),
            ("tp/syscalls/sys_enter_openat", Some(Tracepoint)),
            ("kprobe/do_unlinkat", Some(Kprobe)),
            ("kprobe.multi/tcp_*", Some(KprobeMulti)),
            ("kretprobe.multi/tcp_*", Some(KretprobeMulti)),
            ("ksyscall/openat", Some(Kprobe)),
            ("kretprobe/do_unlinkat", Some(Kretprobe)),
            ("kretsyscall/openat", Some(Kretprobe)),
            ("uprobe", Some(Uprobe)),
            ("uprobe.s//bin/bash:readline", Some(Uprobe)),
            ("uprobe.multi", Some(UprobeMulti)),
            ("uretprobe.multi.s", Some(UretprobeMulti)),
            ("uretprobe/libc.so.6:malloc", Some(Uretprobe)),
            ("fentry.s/bprm_execve", Some(Fentry)),
            ("fexit/tcp_connect", Some(Fexit)),
            ("lsm/file_open", Some(Lsm)),
            ("lsm.s/bpf", Some(Lsm)),
            ("lsm_cgroup/socket_bind", None),
            ("raw_tp/sys_enter", Some(RawTracepoint)),
            ("raw_tracepoint/sys_enter", Some(RawTracepoint)),
            ("raw_tp.w/bpf_test_finish", None),
            ("tp_btf/task_newtask", Some(TpBtf)),
            ("iter/task", Some(Iter)),
            ("iter.s/task", Some(Iter)),
            ("sk_lookup", Some(SkLookup)),
            ("perf_event", Some(PerfEvent)),
            ("netfilter", Some(Netfilter)),
            ("sockops", None),
            ("cgroup_skb/ingress", Some(CgroupSkb)),
            ("cgroup/skb", Some(CgroupSkb)),
            ("cgroup/sock", Some(CgroupSock)),
            ("?cgroup/connect4", Some(CgroupSockAddr)),
            ("cgroup/setsockopt", Some(CgroupSockopt)),
            ("cgroup/sysctl", Some(CgroupSysctl)),
            ("cgroup/dev", Some(CgroupDevice)),
            ("cgroup/nothing", None),
            ("struct_ops/init", None),
            ("usdt/libc:libc:setjmp", Some(Usdt)),
            ("syscall", None),
        ] {
            assert_eq!(implied(section), kind, "{section}");
        }
    }

    #[test]
    fn declared_kind_must_be_of_the_same_family() {
        for (section, declared) in [
            ("tc", Tcx),
            ("tcx/ingress", Tc),
            ("netkit/primary", Tc),
            ("tc", Netkit),
            ("kprobe/x", Kretprobe),
            ("kprobe.multi/x", Kprobe),
            ("kprobe/x", KretprobeMulti),
            ("uprobe.multi", Uprobe),
            ("uprobe", UretprobeMulti),
            ("uretprobe", Uprobe),
            ("sockops", Tcx),
        ] {
            assert!(facts(section, declared).is_ok(), "{section} as {declared}");
        }
        let error = facts("xdp/pass", Tracepoint).expect_err("another kind");
        assert_eq!(
            error.to_string(),
            "program type mismatch: caller specified tracepoint but ELF section \"xdp/pass\" implies xdp"
        );
        assert_eq!(error.remedy(), "load it as xdp");
        assert!(facts("kprobe/x", Uprobe).is_err());
        assert!(facts("cgroup_skb/ingress", Tcx).is_err());
        assert!(facts("fentry/x", Fexit).is_err());
        assert!(facts("usdt", Uprobe).is_err());
    }

    #[test]
    fn facts_for_the_kernel() {
        // prog_type, expected_attach_type, flags as in include/uapi/linux/bpf.h
        for (section, declared, expected, target) in [
            ("xdp", Xdp, (6, 37, 0), None),
            ("?xdp.frags/pass", Xdp, (6, 37, 1 << 5), Some("pass")),
            ("xdp/devmap", Xdp, (6, 33, 0), Some("devmap")),
            ("xdp/cpumap", Xdp, (6, 35, 0), Some("cpumap")),
            ("tcx/ingress", Tcx, (3, 0, 0), Some("ingress")),
            ("classifier", Tc, (3, 0, 0), None),
            ("netkit/primary", Netkit, (3, 54, 0), Some("primary")),
            ("netkit/peer", Netkit, (3, 55, 0), Some("peer")),
            ("netkit/peer", Tcx, (3, 0, 0), Some("peer")),
            ("tcx/ingress", Netkit, (3, 0, 0), Some("ingress")),
            (
                "tracepoint/syscalls/sys_enter_openat",
                Tracepoint,
                (5, 0, 0),
                Some("syscalls/sys_enter_openat"),
            ),
            (
                "tp/sched/sched_switch",
                Tracepoint,
                (5, 0, 0),
                Some("sched/sched_switch"),
            ),
            ("kprobe/do_unlinkat", Kprobe, (2, 0, 0), Some("do_unlinkat")),
            ("kprobe.multi/tcp_*", Kprobe, (2, 42, 0), Some("tcp_*")),
            ("uprobe", Uprobe, (2, 0, 0), None),
            (
                "uprobe.s//bin/bash:readline",
                Uprobe,
                (2, 0, 1 << 4),
                Some("/bin/bash:readline"),
            ),
            ("kprobe", KprobeMulti, (2, 42, 0), None),
            ("kretprobe.multi", KretprobeMulti, (2, 42, 0), None),
            ("uprobe.multi.s", UprobeMulti, (2, 48, 1 << 4), None),
            ("usdt", Usdt, (2, 48, 0), None),
            ("uretprobe/", Uretprobe, (2, 0, 0), None),
            (
                "fentry/tcp_connect",
                Fentry,
                (26, 24, 0),
                Some("tcp_connect"),
            ),
            (
                "fexit.s/tcp_connect",
                Fexit,
                (26, 25, 1 << 4),
                Some("tcp_connect"),
            ),
            ("lsm/file_open", Lsm, (29, 27, 0), Some("file_open")),
            (
                "raw_tp/sys_enter",
                RawTracepoint,
                (17, 0, 0),
                Some("sys_enter"),
            ),
            ("tp_btf/sys_enter", TpBtf, (26, 23, 0), Some("sys_enter")),
            ("iter.s/task", Iter, (26, 28, 1 << 4), Some("task")),
            ("sk_lookup", SkLookup, (30, 36, 0), None),
            ("perf_event", PerfEvent, (7, 0, 0), None),
            ("netfilter", Netfilter, (32, 45, 0), None),
        ] {
            let found = facts(section, declared).expect(section);
            assert_eq!(
                (found.prog_type, found.expected_attach_type, found.flags),
                expected,
                "{section}"
            );
            assert_eq!(found.target.as_deref(), target, "{section}");
            // What libbpf loads only when it is asked for is nothing else to the kernel.
            if !section.starts_with('?') {
                assert_eq!(facts(&format!("?{section}"), declared), Ok(found));
            }
        }
    }
}
