//! Names of the kernel's numbers, as JSON and tables print them; `include/uapi/linux/bpf.h` has the order.

/// By `enum bpf_prog_type`.
const PROGRAM_TYPES: [&str; 33] = [
    "unspecifiedprogram",
    "socketfilter",
    "kprobe",
    "schedcls",
    "schedact",
    "tracepoint",
    "xdp",
    "perfevent",
    "cgroupskb",
    "cgroupsock",
    "lwtin",
    "lwtout",
    "lwtxmit",
    "sockops",
    "skskb",
    "cgroupdevice",
    "skmsg",
    "rawtracepoint",
    "cgroupsockaddr",
    "lwtseg6local",
    "lircmode2",
    "skreuseport",
    "flowdissector",
    "cgroupsysctl",
    "rawtracepointwritable",
    "cgroupsockopt",
    "tracing",
    "structops",
    "extension",
    "lsm",
    "sklookup",
    "syscall",
    "netfilter",
];

/// By `enum bpf_map_type`.
const MAP_TYPES: [&str; 34] = [
    "unspecifiedmap",
    "hash",
    "array",
    "programarray",
    "perfeventarray",
    "percpuhash",
    "percpuarray",
    "stacktrace",
    "cgrouparray",
    "lruhash",
    "lrucpuhash",
    "lpmtrie",
    "arrayofmaps",
    "hashofmaps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroupstorage",
    "reuseportsockarray",
    "percpucgroupstorage",
    "queue",
    "stack",
    "skstorage",
    "devmaphash",
    "structopsmap",
    "ringbuf",
    "inodestorage",
    "taskstorage",
    "bloomfilter",
    "userringbuf",
    "cgroupstorage",
    "arena",
];

/// By `enum bpf_link_type`.
const LINK_TYPES: [&str; 14] = [
    "unspec",
    "raw_tracepoint",
    "tracing",
    "cgroup",
    "iter",
    "netns",
    "xdp",
    "perf_event",
    "kprobe_multi",
    "struct_ops",
    "netfilter",
    "tcx",
    "uprobe_multi",
    "netkit",
];

/// By capability number (`include/uapi/linux/capability.h`).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Name of a program type.
pub(crate) fn program_type(number: u32) -> String {
    name(&PROGRAM_TYPES, number).unwrap_or_else(|| format!("programtype({number})"))
}

/// The program type of a name.
pub(crate) fn program_type_number(name: &str) -> Option<u32> {
    let number = PROGRAM_TYPES.iter().position(|known| *known == name)?;
    u32::try_from(number).ok()
}

/// Name of a map type.
pub(crate) fn map_type(number: u32) -> String {
    name(&MAP_TYPES, number).unwrap_or_else(|| format!("maptype({number})"))
}

/// Name of a link type.
pub(crate) fn link_type(number: u32) -> String {
    name(&LINK_TYPES, number).unwrap_or_else(|| format!("unknown({number})"))
}

/// Names of the capabilities in a set, ascending by number.
pub(crate) fn capabilities(set: u64) -> Vec<String> {
    (0..u64::BITS)
        .filter(|number| set & (1 << number) != 0)
        .map(|number| name(&CAPABILITIES, number).unwrap_or_else(|| format!("CAP_{number}")))
        .collect()
}

fn name(names: &[&str], number: u32) -> Option<String> {
    names.get(number as usize).map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        let programs = [
            (6, "xdp"),
            (3, "schedcls"),
            (5, "tracepoint"),
            (26, "tracing"),
            (28, "extension"),
        ];
        for (number, name) in programs {
            assert_eq!(program_type(number), name);
            assert_eq!(program_type_number(name), Some(number));
        }
        let maps = [
            (1, "hash"),
            (6, "percpuarray"),
            (9, "lruhash"),
            (27, "ringbuf"),
            (33, "arena"),
        ];
        for (number, name) in maps {
            assert_eq!(map_type(number), name);
        }
        let links = [
            (2, "tracing"),
            (6, "xdp"),
            (7, "perf_event"),
            (11, "tcx"),
            (12, "uprobe_multi"),
        ];
        for (number, name) in links {
            assert_eq!(link_type(number), name);
        }
        assert_eq!(
            capabilities(1 << 12 | 1 << 38 | 1 << 39),
            ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]
        );
    }

    #[test]
    fn numbers_of_later_kernels_stay_numbers() {
        assert_eq!(program_type(33), "programtype(33)");
        assert_eq!(map_type(u32::MAX), "maptype(4294967295)");
        assert_eq!(link_type(14), "unknown(14)");
        assert_eq!(capabilities(1 << 63), ["CAP_63"]);
        assert_eq!(capabilities(0), Vec::<String>::new());
        assert_eq!(capabilities(u64::MAX).len(), 64);
    }
}
