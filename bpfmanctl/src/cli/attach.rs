//! The grammar of `link attach`.

mod cgroup;
mod netfilter;
mod netkit;
mod perf_event;
mod probes;

use super::{OutputArgs, WantedStrategy};
use crate::parse;
pub(crate) use cgroup::CgroupCommand;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use ipc::messages::attach::Direction;
pub(crate) use netfilter::NetfilterArgs;
pub(crate) use netkit::NetkitArgs;
pub(crate) use perf_event::PerfEventArgs;
pub(crate) use probes::{KprobeMultiArgs, UprobeMultiArgs, UsdtArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AttachCommand {
    /// To an interface, beside other programs there, by a tcx link
    #[command(
        long_about = "To an interface, beside other programs there, by a tcx link (Linux 6.6).",
        after_help = "Examples:\n  bpfmanctl link attach tcx 512 eth0 ingress --priority 50"
    )]
    Tcx(TcxArgs),

    /// To a tracepoint
    #[command(after_help = "Examples:\n  bpfmanctl link attach tracepoint 512 sched/sched_switch")]
    Tracepoint(TracepointArgs),

    /// To a function of a user-space binary or library
    #[command(
        long_about = "To a function of a user-space binary or library.\n\n\
            TARGET is an absolute path, or a library name that is looked up in the memory of --pid and in the \
            linker's cache; `libc` stands for `libc.so.6`. The file is opened with your rights. Programs of type \
            uretprobe are attached to the return.",
        after_help = "Examples:\n  bpfmanctl link attach uprobe 512 libc --fn-name malloc\n  \
            bpfmanctl link attach uprobe 512 /usr/bin/bash -f readline --pid 4711\n  \
            bpfmanctl link attach uprobe 512 /opt/shop/server --offset 0x1f40"
    )]
    Uprobe(UprobeArgs),

    /// To an interface, before the network stack, in a chain with others
    #[command(
        long_about = "To an interface, before the network stack, in a chain with others.\n\n\
            The driver's hook is used where there is one, the generic hook otherwise; `link get` tells which.\n\n\
            With --cooperate libxdp the program becomes a member of the dispatcher that xdp-loader, or another user of \
            libxdp, has on the interface, or the first one of a new dispatcher of that kind; xdp-loader shows it and can \
            take it off. Without it such an interface is refused.",
        after_help = "Examples:\n  bpfmanctl link attach xdp 512 eth0 --priority 50\n  \
            bpfmanctl link attach xdp 512 eth0 --priority 50 --proceed-on pass,drop\n  \
            bpfmanctl link attach xdp 512 eth0 --priority 50 --netns /run/netns/blue\n  \
            bpfmanctl link attach xdp 512 eth0 --priority 50 --cooperate libxdp"
    )]
    Xdp(XdpArgs),

    /// To a function of the kernel
    #[command(
        long_about = "To a function of the kernel.\n\n\
            Programs of type kretprobe are attached to the return. Needs a kernel with kprobes.",
        after_help = "Examples:\n  bpfmanctl link attach kprobe 512 do_unlinkat\n  \
            bpfmanctl link attach kprobe 512 do_unlinkat --offset 0x10"
    )]
    Kprobe(KprobeArgs),

    /// To the start of the kernel function that the program was loaded for
    #[command(
        long_about = "To the start of the kernel function that the program was loaded for \
            (TYPE:NAME:FUNCTION of `program load`).",
        after_help = "Examples:\n  bpfmanctl program load counter.bpf.o --programs fentry:count:do_unlinkat\n  \
            bpfmanctl link attach fentry 512"
    )]
    Fentry(FixedArgs),

    /// To the return of the kernel function that the program was loaded for
    #[command(
        long_about = "To the return of the kernel function that the program was loaded for \
            (TYPE:NAME:FUNCTION of `program load`).",
        after_help = "Examples:\n  bpfmanctl program load counter.bpf.o --programs fexit:count:do_unlinkat\n  \
            bpfmanctl link attach fexit 512"
    )]
    Fexit(FixedArgs),

    /// To the security hook that the program was loaded for
    #[command(
        long_about = "To the security hook that the program was loaded for (TYPE:NAME:HOOK of `program load`).\n\n\
            Needs a kernel booted with \"bpf\" among its security modules.",
        after_help = "Examples:\n  bpfmanctl program load guard.bpf.o --programs lsm:check:file_open\n  \
            bpfmanctl link attach lsm 512"
    )]
    Lsm(FixedArgs),

    /// To a tracepoint, with its own arguments
    #[command(
        name = "raw_tracepoint",
        visible_alias = "raw_tp",
        after_help = "Examples:\n  bpfmanctl link attach raw_tracepoint 512 sched_switch"
    )]
    RawTracepoint(RawTracepointArgs),

    /// To the tracepoint that the program was loaded for
    #[command(
        name = "tp_btf",
        long_about = "To the tracepoint that the program was loaded for: that of its section, or of \
            tp_btf:NAME:TRACEPOINT of `program load`.",
        after_help = "Examples:\n  bpfmanctl link attach tp_btf 512"
    )]
    TpBtf(FixedArgs),

    /// To the iterator that the program was loaded for
    #[command(
        long_about = "To the iterator that the program was loaded for: that of its section, or of \
            iter:NAME:ITERATOR of `program load`.\n\n\
            The program runs whenever the pin of the link is read.",
        after_help = "Examples:\n  bpfmanctl link attach iter 512\n  cat /run/bpfman/fs/links/1"
    )]
    Iter(FixedArgs),

    /// To the look-up of sockets in a network namespace
    #[command(
        name = "sk_lookup",
        after_help = "Examples:\n  bpfmanctl link attach sk_lookup 512\n  \
            bpfmanctl link attach sk_lookup 512 --netns /run/netns/blue"
    )]
    SkLookup(SkLookupArgs),

    #[command(flatten)]
    Cgroup(CgroupCommand),

    /// To samples of a perf event, of one process or of all on one CPU
    #[command(
        name = "perf_event",
        long_about = "To samples of a perf event, of one process or of all on one CPU.\n\n\
            To sample all processes on all CPUs, attach once for each CPU.",
        after_help = "Examples:\n  bpfmanctl link attach perf_event 512 cpu-clock --frequency 99 --cpu 0\n  \
            bpfmanctl link attach perf_event 512 page-faults --period 1 --pid 4711"
    )]
    PerfEvent(PerfEventArgs),

    /// To an interface through clsact, in a chain with others
    #[command(
        long_about = "To an interface through clsact, in a chain with others.\n\n\
            Works on kernels before tcx, too; what else is on clsact stays as it is. The service must find a \
            network namespace again by its path: give it a name (ip netns attach).",
        after_help = "Examples:\n  bpfmanctl link attach tc 512 eth0 ingress --priority 50\n  \
            bpfmanctl link attach tc 512 eth0 egress --priority 50 --proceed-on pipe,ok\n  \
            bpfmanctl link attach tc 512 eth0 ingress -p 50 --netns /run/netns/blue"
    )]
    Tc(TcArgs),

    /// To several functions of the kernel, by one link
    #[command(
        name = "kprobe_multi",
        visible_alias = "kprobe.multi",
        long_about = "To several functions of the kernel, by one link (Linux 5.18, with CONFIG_FPROBE).\n\n\
            Programs of type kretprobe_multi are attached to the returns.",
        after_help = "Examples:\n  bpfmanctl link attach kprobe_multi 512 vfs_read vfs_write"
    )]
    KprobeMulti(KprobeMultiArgs),

    /// To several functions of a user-space binary or library, by one link
    #[command(
        name = "uprobe_multi",
        visible_alias = "uprobe.multi",
        long_about = "To several functions of a user-space binary or library, by one link (Linux 6.6).\n\n\
            TARGET is as for uprobe. Programs of type uretprobe_multi are attached to the returns.",
        after_help = "Examples:\n  bpfmanctl link attach uprobe_multi 512 libc malloc calloc realloc free"
    )]
    UprobeMulti(UprobeMultiArgs),

    /// To a statically defined probe of a user-space binary or library
    #[command(
        long_about = "To a statically defined probe (USDT) of a user-space binary or library (Linux 6.6).\n\n\
            TARGET is as for uprobe. The program runs wherever the probe is; semaphores are raised meanwhile. \
            Arguments of the probe are not described to the program (libbpf's bpf_usdt_arg finds none); it sees the \
            registers.",
        after_help = "Examples:\n  bpfmanctl link attach usdt 512 libc libc:setjmp\n  \
            bpfmanctl link attach usdt 512 /usr/bin/python3 python:gc__start --pid 4711"
    )]
    Usdt(UsdtArgs),

    /// To a hook of netfilter in a network namespace
    #[command(
        long_about = "To a hook of netfilter in a network namespace (Linux 6.4).\n\n\
            Rules of nft and iptables on the hook stay; the order is that of priorities. The program answers 1 to accept a \
            packet and 0 to drop it.",
        after_help = "Examples:\n  bpfmanctl link attach netfilter 512 --family ipv4 --hook input --priority -50\n  \
            bpfmanctl link attach netfilter 512 --family ipv6 --hook forward \\\n      \
            --priority 10 --defrag --netns /run/netns/blue"
    )]
    Netfilter(NetfilterArgs),

    /// To an end of a pair of netkit devices, beside other programs there
    #[command(
        long_about = "To an end of a pair of netkit devices, beside other programs there (Linux 6.7, CONFIG_NETKIT).\n\n\
            Both ends are reached through the primary device, whose name is wanted. A program at \"primary\" sees what leaves \
            by the primary device, one at \"peer\" what leaves by its peer, before the other end has it.",
        after_help = "Examples:\n  bpfmanctl link attach netkit 512 nk0 --hook peer --priority 50"
    )]
    Netkit(NetkitArgs),
}

/// A program's place on a hook of an interface.
#[derive(Args, Debug)]
pub(crate) struct InterfaceArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Interface name
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) interface: String,

    /// Lower runs first
    #[arg(short, long, value_name = "N", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) priority: i32,

    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TcxArgs {
    #[command(flatten)]
    pub(crate) on: InterfaceArgs,

    /// ingress or egress
    #[arg(value_name = "DIRECTION", value_parser = parse::direction)]
    pub(crate) direction: Direction,
}

#[derive(Args, Debug)]
pub(crate) struct XdpArgs {
    #[command(flatten)]
    pub(crate) on: InterfaceArgs,

    /// Verdicts after which the next program runs [default: pass,dispatcher_return]
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = parse::xdp_action)]
    pub(crate) proceed_on: Vec<i32>,

    /// Take part in the dispatcher of another owner instead of bpfman's own chain
    #[arg(long, value_name = "WITH", value_enum, conflicts_with_all = ["strategy", "netns"])]
    pub(crate) cooperate: Option<Cooperate>,

    #[command(flatten)]
    pub(crate) chain: StrategyArgs,
}

#[derive(Args, Debug)]
pub(crate) struct TcArgs {
    #[command(flatten)]
    pub(crate) on: InterfaceArgs,

    /// ingress or egress
    #[arg(value_name = "DIRECTION", value_parser = parse::direction)]
    pub(crate) direction: Direction,

    /// Verdicts after which the next program runs [default: pipe,dispatcher_return]
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = parse::tc_action)]
    pub(crate) proceed_on: Vec<i32>,

    #[command(flatten)]
    pub(crate) chain: StrategyArgs,
}

/// Whose dispatcher an attach may take part in.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Cooperate {
    /// That of libxdp, which xdp-loader uses
    Libxdp,
}

/// How a chain is called.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct StrategyArgs {
    /// How the programs of the hook are called from now on: auto, direct, libxdp, fused [default: as before, or auto]
    #[arg(long, value_name = "STRATEGY", value_parser = parse::strategy)]
    pub(crate) strategy: Option<WantedStrategy>,
}

#[derive(Args, Debug)]
pub(crate) struct TracepointArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// The tracepoint
    #[arg(value_name = "GROUP/NAME", value_parser = parse::tracepoint)]
    pub(crate) tracepoint: (String, String),

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct UprobeArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Absolute path, or name of a library
    #[arg(value_name = "TARGET", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) target: String,

    /// Function
    #[arg(short, long, value_name = "FUNCTION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) fn_name: Option<String>,

    /// Bytes after the start of the function; without a function, bytes after the start of the file
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse::offset)]
    pub(crate) offset: u64,

    /// Only this process [default: all]
    #[arg(long, value_name = "PID", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) pid: Option<i32>,

    /// Look the target up where this process sees files: in its container
    #[arg(long, value_name = "PID", allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) container_pid: Option<i32>,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct KprobeArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Kernel function
    #[arg(value_name = "FUNCTION", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) function: String,

    /// Bytes after the start of the function; 0 for a kretprobe
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse::offset)]
    pub(crate) offset: u64,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RawTracepointArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// The tracepoint, without its group
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

/// Of kinds that attach to one place only.
#[derive(Args, Debug)]
pub(crate) struct FixedArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SkLookupArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

#[derive(Args, Debug)]
pub(crate) struct NamespaceArgs {
    /// File of the network namespace, opened with your rights [default: the service's own]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) netns: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LinkArgs {
    /// Labels of the link
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse::key_value)]
    pub(crate) metadata: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
