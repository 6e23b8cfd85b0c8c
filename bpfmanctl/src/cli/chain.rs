//! The grammar of `dispatcher` and `chain`.

use super::{NamespaceArgs, OutputArgs};
use crate::parse;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use ipc::messages::chain::{HookKey, HookKind, Strategy};

#[derive(Debug, Subcommand)]
pub(crate) enum DispatcherCommand {
    /// List the hooks on which bpfman orders the programs
    #[command(
        after_help = "Examples:\n  bpfmanctl dispatcher list\n  bpfmanctl dispatcher list --type xdp -o json"
    )]
    List(DispatcherListArgs),

    /// Show one of them with its members
    #[command(after_help = "Examples:\n  bpfmanctl dispatcher get xdp 4026531840 2")]
    Get(DispatcherGetArgs),

    /// Say what keeps one of them: it goes with its last member
    #[command(
        hide = true,
        long_about = "Say what keeps one of them.\n\n\
            What bpfman records of a hook is what is on it: both go when the last member is detached.",
        after_help = "Examples:\n  bpfmanctl dispatcher delete xdp 4026531840 2"
    )]
    Delete(DispatcherKeyArgs),
}

#[derive(Args, Debug)]
pub(crate) struct DispatcherListArgs {
    /// Only this type: xdp, tc-ingress, tc-egress
    #[arg(long = "type", value_name = "TYPE", value_parser = parse::dispatcher_type)]
    pub(crate) kind: Option<HookKind>,

    /// Only this network namespace, by inode; 0 for all
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) nsid: u64,

    /// Only this interface, by index; 0 for all
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) ifindex: u32,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DispatcherGetArgs {
    #[command(flatten)]
    pub(crate) key: DispatcherKeyArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DispatcherKeyArgs {
    /// xdp, tc-ingress or tc-egress
    #[arg(value_name = "TYPE", value_parser = parse::dispatcher_type)]
    kind: HookKind,

    /// Inode of the network namespace
    #[arg(value_name = "NSID")]
    nsid: u64,

    /// Index of the interface
    #[arg(value_name = "IFINDEX")]
    ifindex: u32,
}

impl From<DispatcherKeyArgs> for HookKey {
    fn from(arguments: DispatcherKeyArgs) -> Self {
        let DispatcherKeyArgs {
            kind,
            nsid,
            ifindex,
        } = arguments;
        HookKey {
            kind,
            nsid,
            ifindex,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Draw everything on the hooks of an interface, in the order in which it runs
    #[command(
        long_about = "Draw everything on the hooks of an interface, in the order in which it runs: bpfman's programs \
            with their priorities, the verdicts after which the next one runs, and what was counted; and programs of \
            others.",
        after_help = "Examples:\n  bpfmanctl chain show eth0\n  bpfmanctl chain show eth0 -o json\n  \
            bpfmanctl chain show eth0 --netns /run/netns/blue"
    )]
    Show(ChainShowArgs),

    /// Say why each program stands where it stands
    #[command(after_help = "Examples:\n  bpfmanctl chain explain eth0")]
    Explain(ChainShowArgs),

    /// Have a chain called in another way, without a gap
    #[command(
        long_about = "Have a chain called in another way, without a gap.\n\n\
            auto    let bpfman choose\n\
            direct  one program, nothing between it and the hook\n\
            libxdp  a dispatcher of the libxdp protocol, for up to 10 programs\n\
            fused   one program made of all, for up to 64, with counters",
        after_help = "Examples:\n  bpfmanctl chain convert xdp eth0 fused\n  \
            bpfmanctl chain convert tc-ingress eth0 auto"
    )]
    Convert(ChainConvertArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ChainShowArgs {
    /// Interface name
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) interface: String,

    #[command(flatten)]
    pub(crate) namespace: NamespaceArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ChainConvertArgs {
    /// xdp, tc-ingress or tc-egress
    #[arg(value_name = "TYPE", value_parser = parse::dispatcher_type)]
    pub(crate) kind: HookKind,

    /// Interface name
    #[arg(value_name = "INTERFACE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) interface: String,

    /// auto, direct, libxdp or fused
    #[arg(value_name = "STRATEGY", value_parser = parse::strategy)]
    pub(crate) strategy: WantedStrategy,

    /// Network namespace by inode, where several have an interface of this name
    #[arg(long, value_name = "N")]
    pub(crate) nsid: Option<u64>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A strategy by name, or none for `auto`; of its own type, because clap takes an `Option` for an argument that may be
/// left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct WantedStrategy(pub(crate) Option<Strategy>);
