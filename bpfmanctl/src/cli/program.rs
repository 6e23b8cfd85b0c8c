//! The grammar of `program`.

use super::{OutputArgs, RegistryArgs};
use crate::parse::{self, GlobalArgument, LabelSelector};
use crate::select::WantedType;
use clap::{Args, Subcommand};
use ipc::messages::program::ProgramRequest;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ProgramCommand {
    /// Load programs from an object file or an image
    #[command(
        subcommand,
        disable_help_subcommand = true,
        long_about = "Load programs from an object file or an image.\n\n\
            `program load PATH` is short for `program load file PATH`.",
        after_help = "Examples:\n  bpfmanctl program load counter.o --programs tcx:count"
    )]
    Load(LoadCommand),

    /// Unload programs, detaching their links first
    #[command(
        long_about = "Unload programs, detaching their links first.\n\n\
            Every program is tried; each failure is printed, and the exit code is 1 when there was one.",
        after_help = "Examples:\n  bpfmanctl program unload 512\n  \
            bpfmanctl program unload --ignore-missing $(bpfmanctl program list -q)"
    )]
    Unload(ProgramUnloadArgs),

    /// Show a program
    #[command(
        after_help = "Examples:\n  bpfmanctl program get 512\n  bpfmanctl program get 512 -o json"
    )]
    Get(ProgramGetArgs),

    /// List programs
    #[command(
        after_help = "Examples:\n  bpfmanctl program list --type xdp,tcx --attached\n  \
            bpfmanctl program list --all\n  \
            bpfmanctl program list -m owner=acme -q\n  \
            bpfmanctl program list -l 'tier in (front,back),!canary' -o json"
    )]
    List(ProgramListArgs),

    /// Detach and unload programs, those that use their maps first
    #[command(
        hide = true,
        long_about = "Detach and unload programs, those that use their maps first.\n\n\
            Every program is tried; each failure is printed, and the exit code is 1 when there was one.",
        after_help = "Examples:\n  bpfmanctl program delete 512 --recursive\n  bpfmanctl program delete --all"
    )]
    Delete(ProgramDeleteArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum LoadCommand {
    /// Load programs from an object file that you can read
    #[command(
        long_about = "Load programs from an object file that you can read.\n\n\
            All programs are loaded, or none. The file is opened with your rights, not with those of the service.",
        after_help = "Examples:\n  \
            bpfmanctl program load file counter.o --programs xdp:pass\n  \
            bpfmanctl program load file probes.o -a shop \\\n      \
            --programs uprobe:enter,uretprobe:leave\n  \
            bpfmanctl program load file filter.o --programs tcx:filter \\\n      \
            -g limit:u32=10000 --maps-mode 0640 --maps-group monitoring"
    )]
    File(LoadFileArgs),

    /// Load programs from an image in a registry
    #[command(
        long_about = "Load programs from an image in a registry.\n\n\
            The service fetches the image, unless it has it, and accepts it only when its signatures are what the \
            configuration demands. Credentials are looked for as container tools do: REGISTRY_AUTH_FILE, \
            $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json.",
        after_help = "Examples:\n  \
            bpfmanctl program load image quay.io/acme/counter:v1 --programs xdp:pass\n  \
            bpfmanctl program load image quay.io/acme/counter:v1 --programs xdp:pass \\\n      \
            --pull-policy Always"
    )]
    Image(LoadImageArgs),
}

#[derive(Args, Debug)]
pub(crate) struct LoadFileArgs {
    /// The object file
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LoadImageArgs {
    /// The image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// Programs to load: TYPE:NAME, or TYPE:NAME:FUNCTION for fentry, fexit and lsm
    #[arg(long, value_name = "SPEC", required = true, value_delimiter = ',', value_parser = parse::program_spec)]
    pub(crate) programs: Vec<ProgramRequest>,

    /// Labels of the programs
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse::key_value)]
    pub(crate) metadata: Vec<(String, String)>,

    /// Global variables to set: NAME=HEX, the bytes as they stand in memory, or NAME:TYPE=VALUE with u8 to u64, i8 to i64,
    /// bool, char, string
    #[arg(short, long, value_name = "GLOBAL", value_delimiter = ',', value_parser = parse::global)]
    pub(crate) global: Vec<GlobalArgument>,

    /// Application that the programs belong to (the label bpfman.io/application)
    #[arg(short, long, value_name = "NAME")]
    pub(crate) application: Option<String>,

    /// Use the maps of this program instead of new ones
    #[arg(long, value_name = "ID", value_parser = parse::program_id)]
    pub(crate) map_owner_id: Option<u32>,

    /// Read and write bits of the pinned maps, in octal [default: 0600, with --maps-group 0640]
    #[arg(long, value_name = "MODE", value_parser = parse::mode)]
    pub(crate) maps_mode: Option<u32>,

    /// Group of the pinned maps, by name or number [default: the service's]
    #[arg(long, value_name = "GROUP")]
    pub(crate) maps_group: Option<String>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ProgramUnloadArgs {
    /// Program ids
    #[arg(value_name = "ID", required = true, value_parser = parse::program_id)]
    pub(crate) ids: Vec<u32>,

    /// Take programs that do not exist for unloaded
    #[arg(long)]
    pub(crate) ignore_missing: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ProgramGetArgs {
    /// Program id
    #[arg(value_name = "ID", value_parser = parse::program_id)]
    pub(crate) id: u32,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ProgramListArgs {
    /// Print ids only, whatever the format
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Only programs with a live link
    #[arg(long, conflicts_with = "unattached")]
    pub(crate) attached: bool,

    /// Only programs without a live link
    #[arg(long)]
    pub(crate) unattached: bool,

    /// Only programs of these types: bpfman's names, or the kernel's as they are listed with --all
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', value_parser = parse::program_type)]
    pub(crate) types: Vec<WantedType>,

    /// Only programs of these types (together with --type)
    #[arg(short, long, value_name = "TYPE", value_delimiter = ',', value_parser = parse::program_type)]
    pub(crate) program_type: Vec<WantedType>,

    /// Only programs of this application
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<String>,

    /// Only programs with all of these labels
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = parse::key_value)]
    pub(crate) metadata_selector: Vec<(String, String)>,

    /// Only programs whose labels fit a Kubernetes label selector
    #[arg(short = 'l', long, value_name = "SELECTOR", value_parser = parse::label_selector)]
    pub(crate) selector: Option<LabelSelector>,

    /// Also programs that are not bpfman's: --type chooses by the kernel's type, other conditions exclude them; and those
    /// on record that are gone from the kernel
    #[arg(short, long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ProgramDeleteArgs {
    /// Program ids
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all", value_parser = parse::program_id)]
    pub(crate) ids: Vec<u32>,

    /// All programs of bpfman
    #[arg(long)]
    pub(crate) all: bool,

    /// Also programs that use their maps
    #[arg(short, long)]
    pub(crate) recursive: bool,
}
