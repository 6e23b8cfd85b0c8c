//! Replies for tests of rendering and filtering, after the examples that the JSON contract gives.

// Tests of the command line take this file in by its path, too.
#[path = "samples/chain.rs"]
mod chain;
#[allow(dead_code, reason = "tests of the command line use other samples")]
#[path = "samples/image.rs"]
pub(crate) mod image;
#[path = "samples/numbers.rs"]
mod numbers;

use chain::netkit_link;
#[allow(unused_imports, reason = "tests of the command line use other samples")]
pub(crate) use chain::{chains, foreign_hook, guest_link, hooks};

use ipc::messages::attach::{
    Direction, Link, LinkDetails, LinkEntry, LinkRecord, Sampling, XdpMode,
};
use ipc::messages::chain::Strategy;
use ipc::messages::kernel::{KernelLink, KernelMap, KernelProgram, ProgramStats};
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace};
use ipc::messages::program::{
    GlobalValue, Program, ProgramEntry, ProgramKind, ProgramRecord, Source,
};
use ipc::messages::supervision::{ProcessState, ProcessStatus};
use std::collections::BTreeMap;

const CREATED_AT: i64 = 1_786_961_472;

fn record() -> ProgramRecord {
    ProgramRecord {
        program_id: 512,
        name: "pass".to_owned(),
        kind: ProgramKind::Xdp,
        section: "xdp".to_owned(),
        attach_function: None,
        license: "Dual BSD/GPL".to_owned(),
        gpl_compatible: true,
        metadata: BTreeMap::from([("owner".to_owned(), "acme".to_owned())]),
        globals: Vec::new(),
        source: Source::File("xdp_pass.bpf.o".to_owned()),
        object_digest: [7; 32],
        plan_path: "/var/lib/bpfman/plans/0707".to_owned(),
        pin_path: "/run/bpfman/fs/prog_512".to_owned(),
        maps_dir: "/run/bpfman/fs/maps/512".to_owned(),
        map_owner: None,
        loaded_by: 0,
        created_at: CREATED_AT,
    }
}

fn kernel() -> KernelProgram {
    KernelProgram {
        id: 512,
        prog_type: 6,
        name: "pass".to_owned(),
        tag: [0x3b, 0x18, 0x51, 0x87, 0xf1, 0x85, 0x5c, 0x4c],
        loaded_at: CREATED_AT,
        uid: 0,
        btf_id: 301,
        map_ids: vec![88],
        jited_size: 67,
        xlated_size: 96,
        verified_insns: 9,
        memlock: Some(4096),
        gpl_compatible: true,
    }
}

pub(crate) fn map() -> KernelMap {
    KernelMap {
        id: 88,
        name: "xdp_stats_map".to_owned(),
        map_type: 6,
        key_size: 4,
        value_size: 16,
        max_entries: 5,
        flags: 0,
        btf_id: 301,
        map_extra: 0,
        memlock: Some(4096),
        frozen: false,
        pin_path: String::new(),
        present: false,
    }
}

/// As a load answers.
pub(crate) fn program() -> Program {
    Program {
        record: record(),
        kernel: Some(kernel()),
        stats: None,
        links: Vec::new(),
        maps: vec![map()],
        map_used_by: vec![512],
    }
}

/// As a get answers, with every field set, and with names that try to reach the terminal.
pub(crate) fn full_program() -> Program {
    let mut program = program();
    program.record.metadata = BTreeMap::from([
        ("z".to_owned(), "<&>\x1b[31m".to_owned()),
        ("a".to_owned(), String::new()),
    ]);
    program.record.globals = vec![GlobalValue {
        name: "limit".to_owned(),
        bytes: vec![0x10, 0x27],
    }];
    program.record.attach_function = Some("do_unlinkat".to_owned());
    program.record.map_owner = Some(400);
    program.record.maps_dir = "/run/bpfman/fs/maps/400".to_owned();
    program.kernel = Some(KernelProgram {
        btf_id: 0,
        jited_size: 0,
        xlated_size: 0,
        memlock: None,
        map_ids: vec![],
        loaded_at: 0,
        ..kernel()
    });
    program.stats = Some(ProgramStats {
        runtime_ns: 1500,
        run_count: 10,
        recursion_misses: 1,
    });
    program.links = vec![xdp_link()];
    let pinned = KernelMap {
        pin_path: "/run/bpfman/fs/maps/400/xdp_stats_map".to_owned(),
        present: true,
        ..map()
    };
    let internal = KernelMap {
        id: 89,
        name: ".rodata".to_owned(),
        map_type: 2,
        btf_id: 0,
        frozen: true,
        memlock: None,
        ..map()
    };
    program.maps = vec![pinned, internal];
    program.map_used_by = vec![400, 512];
    program
}

/// Somebody else's, as the contract shows one.
pub(crate) fn foreign_program() -> KernelProgram {
    KernelProgram {
        id: 600,
        prog_type: 8,
        name: "sd_fw_ingress".to_owned(),
        ..kernel()
    }
}

pub(crate) fn program_entry() -> ProgramEntry {
    ProgramEntry {
        record: record(),
        kernel: Some(kernel()),
        links: vec![1, 3],
        attached: true,
    }
}

fn link(id: u64, kind: ProgramKind, link_type: u32, details: LinkDetails) -> Link {
    let kernel_id = 76 + id as u32;
    Link {
        record: LinkRecord {
            id,
            program_id: 512,
            kernel_link_id: Some(kernel_id),
            kind,
            pin_path: format!("/run/bpfman/fs/links/{id}"),
            details,
            created_at: CREATED_AT,
            metadata: BTreeMap::new(),
        },
        program_name: "pass".to_owned(),
        kernel: Some(KernelLink {
            id: kernel_id,
            program_id: 512,
            link_type,
            ..KernelLink::default()
        }),
        pin_present: true,
        numbers: numbers::of(kind),
    }
}

pub(crate) fn xdp_link() -> Link {
    let details = LinkDetails::Xdp {
        interface: "eth0".to_owned(),
        ifindex: 2,
        priority: 50,
        position: 0,
        proceed_on: vec![2, 31],
        netns: String::new(),
        nsid: 4_026_531_840,
        dispatcher_id: 515,
        revision: 1,
        mode: XdpMode::Native,
        strategy: Strategy::Fused,
    };
    let mut link = link(1, ProgramKind::Xdp, 6, details);
    if let Some(kernel) = &mut link.kernel {
        kernel.ifindex = 2;
    }
    link
}

pub(crate) fn tcx_link() -> Link {
    let details = LinkDetails::Tcx {
        interface: "eth0".to_owned(),
        ifindex: 2,
        direction: Direction::Egress,
        priority: 50,
        position: 1,
        netns: "/run/netns/blue".to_owned(),
        nsid: 4_026_532_000,
    };
    let mut link = link(2, ProgramKind::Tcx, 11, details);
    if let Some(kernel) = &mut link.kernel {
        kernel.attach_type = Some(47);
    }
    link.record.metadata = BTreeMap::from([("owner".to_owned(), "acme".to_owned())]);
    link
}

pub(crate) fn tracepoint_link() -> Link {
    let details = LinkDetails::Tracepoint {
        group: "syscalls".to_owned(),
        name: "sys_enter_openat".to_owned(),
    };
    link(3, ProgramKind::Tracepoint, 7, details)
}

/// By function, or by offset only.
pub(crate) fn uprobe_link(function: &str, offset: u64) -> Link {
    let details = LinkDetails::Uprobe {
        target: "libc".to_owned(),
        path: "/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned(),
        function: function.to_owned(),
        offset,
        file_offset: 0x9_d0a0,
        pid: 4711,
        retprobe: true,
        container_pid: 0,
    };
    link(4, ProgramKind::Uretprobe, 12, details)
}

fn kprobe_link() -> Link {
    let details = LinkDetails::Kprobe {
        function: "do_unlinkat".to_owned(),
        offset: 4,
        retprobe: false,
    };
    link(5, ProgramKind::Kprobe, 7, details)
}

fn kretprobe_link() -> Link {
    let details = LinkDetails::Kprobe {
        function: "do_unlinkat".to_owned(),
        offset: 0,
        retprobe: true,
    };
    link(6, ProgramKind::Kretprobe, 7, details)
}

fn fentry_link() -> Link {
    let function = "do_unlinkat".to_owned();
    link(7, ProgramKind::Fentry, 2, LinkDetails::Fentry { function })
}

fn fexit_link() -> Link {
    let function = "do_unlinkat".to_owned();
    link(8, ProgramKind::Fexit, 2, LinkDetails::Fexit { function })
}

fn lsm_link() -> Link {
    let hook = "file_open".to_owned();
    link(9, ProgramKind::Lsm, 2, LinkDetails::Lsm { hook })
}

fn raw_tracepoint_link() -> Link {
    let name = "sched_switch".to_owned();
    let details = LinkDetails::RawTracepoint { name };
    link(10, ProgramKind::RawTracepoint, 1, details)
}

fn tp_btf_link() -> Link {
    let name = "sched_switch".to_owned();
    link(11, ProgramKind::TpBtf, 2, LinkDetails::TpBtf { name })
}

fn iter_link() -> Link {
    let target = "task".to_owned();
    link(12, ProgramKind::Iter, 4, LinkDetails::Iter { target })
}

fn sk_lookup_link() -> Link {
    let details = LinkDetails::SkLookup {
        netns: String::new(),
        nsid: 4_026_531_840,
    };
    link(13, ProgramKind::SkLookup, 5, details)
}

fn cgroup_link() -> Link {
    let details = LinkDetails::Cgroup {
        path: "/sys/fs/cgroup/system.slice".to_owned(),
        hook: "connect4".to_owned(),
    };
    link(14, ProgramKind::CgroupSockAddr, 3, details)
}

fn perf_event_link() -> Link {
    let details = LinkDetails::PerfEvent {
        event: "cpu-clock".to_owned(),
        sampling: Sampling::Frequency(99),
        pid: None,
        cpu: Some(0),
    };
    link(15, ProgramKind::PerfEvent, 7, details)
}

fn tc_link() -> Link {
    let details = LinkDetails::Tc {
        interface: "eth0".to_owned(),
        ifindex: 2,
        direction: Direction::Ingress,
        priority: 50,
        position: 1,
        proceed_on: vec![-1, 3, 30],
        netns: String::new(),
        nsid: 4_026_531_840,
        dispatcher_id: 540,
        revision: 3,
        strategy: Strategy::Libxdp,
    };
    link(20, ProgramKind::Tc, 2, details)
}

fn functions() -> Vec<String> {
    ["first", "second", "third"].map(str::to_owned).to_vec()
}

fn kprobe_multi_link() -> Link {
    let details = LinkDetails::KprobeMulti {
        functions: functions(),
        retprobe: false,
    };
    link(16, ProgramKind::KprobeMulti, 8, details)
}

fn uprobe_multi_link() -> Link {
    let details = LinkDetails::UprobeMulti {
        target: "libc".to_owned(),
        path: "/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned(),
        functions: functions(),
        pid: 4711,
        retprobe: true,
        container_pid: 4700,
    };
    link(17, ProgramKind::UretprobeMulti, 12, details)
}

fn usdt_link() -> Link {
    let details = LinkDetails::Usdt {
        target: "/usr/bin/python3".to_owned(),
        path: "/usr/bin/python3".to_owned(),
        provider: "python".to_owned(),
        name: "gc__start".to_owned(),
        pid: 0,
        places: 2,
        container_pid: 0,
    };
    link(18, ProgramKind::Usdt, 12, details)
}

fn netfilter_link() -> Link {
    let details = LinkDetails::Netfilter {
        place: NetfilterPlace {
            family: NetfilterFamily::Ipv4,
            hook: NetfilterHook::Input,
            priority: -50,
            defragment: true,
        },
        netns: "/run/netns/blue".to_owned(),
        nsid: 4_026_532_001,
    };
    link(19, ProgramKind::Netfilter, 10, details)
}

/// One of each kind.
pub(crate) fn links() -> Vec<Link> {
    vec![
        xdp_link(),
        tcx_link(),
        tracepoint_link(),
        uprobe_link("malloc", 0),
        uprobe_link("", 8000),
        kprobe_link(),
        kretprobe_link(),
        fentry_link(),
        fexit_link(),
        lsm_link(),
        raw_tracepoint_link(),
        tp_btf_link(),
        iter_link(),
        sk_lookup_link(),
        cgroup_link(),
        perf_event_link(),
        tc_link(),
        kprobe_multi_link(),
        uprobe_multi_link(),
        usdt_link(),
        netfilter_link(),
        netkit_link(),
        guest_link(),
    ]
}

/// The row that `link list` has for a link.
pub(crate) fn entry_of(link: Link) -> LinkEntry {
    LinkEntry {
        program_name: link.program_name,
        program_kind: link.record.kind,
        program_metadata: BTreeMap::from([("owner".to_owned(), "acme".to_owned())]),
        record: link.record,
    }
}

pub(crate) fn link_entry() -> LinkEntry {
    entry_of(tcx_link())
}

pub(crate) fn processes() -> Vec<ProcessStatus> {
    const LOADER: u64 = 1 << 12 | 1 << 38 | 1 << 39;
    let process = |role: &str, pid| ProcessStatus {
        role: role.to_owned(),
        state: ProcessState::Serving,
        pid,
        uid: 61184,
        cap_effective: 0,
        cap_permitted: 0,
        seccomp_mode: 2,
        no_new_privs: true,
        landlock: 7,
        generation: 1,
        restarts: 0,
        memory: 5 * 1024 * 1024 + 300 * 1024,
        note: String::new(),
    };
    vec![
        ProcessStatus {
            uid: 0,
            cap_permitted: LOADER,
            seccomp_mode: 0,
            no_new_privs: false,
            landlock: 0,
            memory: 900 * 1024,
            ..process("spawner", 100)
        },
        process("supervisor", 101),
        ProcessStatus {
            uid: 0,
            cap_effective: LOADER,
            cap_permitted: LOADER,
            generation: 3,
            restarts: 2,
            ..process("loader", 102)
        },
        ProcessStatus {
            state: ProcessState::Backoff,
            memory: 0,
            note: "exited with 1".to_owned(),
            ..process("image", 0)
        },
        process("api", 104),
    ]
}
