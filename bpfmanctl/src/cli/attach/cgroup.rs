//! The grammar of `link attach` for control groups.

use super::LinkArgs;
use crate::parse;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use ipc::messages::program::ProgramKind;

/// One command for each kind; all are used alike.
#[derive(Debug, Subcommand)]
pub(crate) enum CgroupCommand {
    /// To a control group: packets of its sockets
    #[command(
        name = "cgroup_skb",
        after_help = "Examples:\n  bpfmanctl link attach cgroup_skb 512 /sys/fs/cgroup/system.slice"
    )]
    Skb(CgroupArgs),

    /// To a control group: its sockets, when made, bound or closed
    #[command(
        name = "cgroup_sock",
        after_help = "Examples:\n  bpfmanctl link attach cgroup_sock 512 /sys/fs/cgroup/system.slice"
    )]
    Sock(CgroupArgs),

    /// To a control group: addresses that its sockets are given or asked for
    #[command(
        name = "cgroup_sock_addr",
        after_help = "Examples:\n  bpfmanctl link attach cgroup_sock_addr 512 /sys/fs/cgroup/system.slice"
    )]
    SockAddr(CgroupArgs),

    /// To a control group: options of its sockets
    #[command(
        name = "cgroup_sockopt",
        after_help = "Examples:\n  bpfmanctl link attach cgroup_sockopt 512 /sys/fs/cgroup/system.slice"
    )]
    Sockopt(CgroupArgs),

    /// To a control group: its use of sysctls
    #[command(
        name = "cgroup_sysctl",
        after_help = "Examples:\n  bpfmanctl link attach cgroup_sysctl 512 /sys/fs/cgroup/system.slice"
    )]
    Sysctl(CgroupArgs),

    /// To a control group: its use of device files
    #[command(
        name = "cgroup_device",
        after_help = "Examples:\n  bpfmanctl link attach cgroup_device 512 /sys/fs/cgroup/system.slice"
    )]
    Device(CgroupArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CgroupArgs {
    /// Program id
    #[arg(value_name = "PROGRAM", value_parser = parse::program_id)]
    pub(crate) program_id: u32,

    /// Directory of the control group (cgroup v2), which is opened with your rights
    #[arg(value_name = "CGROUP", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) path: String,

    #[command(flatten)]
    pub(crate) link: LinkArgs,
}

impl CgroupCommand {
    /// The kind of program that the command takes, and what it is given.
    pub(crate) fn into_parts(self) -> (ProgramKind, CgroupArgs) {
        match self {
            CgroupCommand::Skb(arguments) => (ProgramKind::CgroupSkb, arguments),
            CgroupCommand::Sock(arguments) => (ProgramKind::CgroupSock, arguments),
            CgroupCommand::SockAddr(arguments) => (ProgramKind::CgroupSockAddr, arguments),
            CgroupCommand::Sockopt(arguments) => (ProgramKind::CgroupSockopt, arguments),
            CgroupCommand::Sysctl(arguments) => (ProgramKind::CgroupSysctl, arguments),
            CgroupCommand::Device(arguments) => (ProgramKind::CgroupDevice, arguments),
        }
    }
}
