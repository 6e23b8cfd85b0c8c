//! The grammar of `link`.

use super::{AttachCommand, OutputArgs};
use crate::parse;
use crate::select::WantedType;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum LinkCommand {
    /// Attach a program
    #[command(
        subcommand,
        disable_help_subcommand = true,
        long_about = "Attach a program.\n\n\
            Programs of XDP and tc share their hooks in chains: see `bpfmanctl chain`.",
        after_help = "Examples:\n  bpfmanctl link attach tcx 512 eth0 ingress --priority 50"
    )]
    Attach(AttachCommand),

    /// Detach links
    #[command(
        long_about = "Detach links. Their programs stay loaded.\n\n\
            Every link is tried; each failure is printed, and the exit code is 1 when there was one.",
        after_help = "Examples:\n  bpfmanctl link detach 1 2\n  bpfmanctl link detach --ignore-missing 1"
    )]
    Detach(LinkDetachArgs),

    /// Show a link
    #[command(after_help = "Examples:\n  bpfmanctl link get 1\n  bpfmanctl link get 1 -o json")]
    Get(LinkGetArgs),

    /// List links
    #[command(
        long_about = "List links.\n\n\
            --program-type, --application and --metadata-selector look at the program behind the link.",
        after_help = "Examples:\n  bpfmanctl link list --kind uprobe,uretprobe\n  \
            bpfmanctl link list --program-id 512 -q"
    )]
    List(LinkListArgs),

    /// Detach links, and unload programs that have no other link
    #[command(
        hide = true,
        long_about = "Detach links, and unload programs that have no other link.\n\n\
            Every link is tried; each failure is printed, and the exit code is 1 when there was one.",
        after_help = "Examples:\n  bpfmanctl link delete 1 2"
    )]
    Delete(LinkDeleteArgs),
}

#[derive(Args, Debug)]
pub(crate) struct LinkDetachArgs {
    /// Link ids
    #[arg(value_name = "LINK", required = true, value_parser = parse::link_id)]
    pub(crate) ids: Vec<u64>,

    /// Take links that do not exist for detached
    #[arg(long)]
    pub(crate) ignore_missing: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LinkGetArgs {
    /// Link id
    #[arg(value_name = "LINK", value_parser = parse::link_id)]
    pub(crate) id: u64,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LinkListArgs {
    /// Print ids only, whatever the format
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Only links of this program
    #[arg(long, value_name = "ID", value_parser = parse::program_id)]
    pub(crate) program_id: Option<u32>,

    /// Only links of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = parse::link_kind)]
    pub(crate) kind: Vec<WantedType>,

    /// Only links of programs of these types
    #[arg(short, long, value_name = "TYPE", value_delimiter = ',', value_parser = parse::program_type)]
    pub(crate) program_type: Vec<WantedType>,

    /// Only links of programs of this application
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<String>,

    /// Only links of programs with all of these labels
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse::key_value)]
    pub(crate) metadata_selector: Vec<(String, String)>,

    /// Also links that are not bpfman's; they have ids of the kernel only, and no labels
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LinkDeleteArgs {
    /// Link ids
    #[arg(value_name = "LINK", required = true, value_parser = parse::link_id)]
    pub(crate) ids: Vec<u64>,

    /// Also programs that use the maps of those that are unloaded
    #[arg(short, long)]
    pub(crate) recursive: bool,
}
