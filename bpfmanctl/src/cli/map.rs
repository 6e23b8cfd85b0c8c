//! The grammar of `map`.

use super::OutputArgs;
use crate::parse;
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// List maps
    #[command(
        long_about = "List maps: those of bpfman's programs, with the programs that use them and their pins.",
        after_help = "Examples:\n  bpfmanctl map list\n  bpfmanctl map list --program-id 512\n  \
            bpfmanctl map list --all -o json"
    )]
    List(MapListArgs),
}

#[derive(Args, Debug)]
pub(crate) struct MapListArgs {
    /// Print ids only, whatever the format
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Only maps that this program uses
    #[arg(long, value_name = "ID", value_parser = parse::program_id)]
    pub(crate) program_id: Option<u32>,

    /// Also maps that are not of bpfman's programs
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
