//! The grammar of the command line.

mod attach;
mod chain;
mod config;
mod image;
mod link;
mod map;
mod program;
mod serve;

pub(crate) use attach::{
    AttachCommand, CgroupCommand, Cooperate, FixedArgs, InterfaceArgs, KprobeArgs, KprobeMultiArgs,
    LinkArgs, NamespaceArgs, NetfilterArgs, NetkitArgs, PerfEventArgs, RawTracepointArgs,
    SkLookupArgs, StrategyArgs, TcArgs, TcxArgs, TracepointArgs, UprobeArgs, UprobeMultiArgs,
    UsdtArgs, XdpArgs,
};
pub(crate) use chain::{
    ChainCommand, ChainConvertArgs, ChainShowArgs, DispatcherCommand, DispatcherGetArgs,
    DispatcherKeyArgs, DispatcherListArgs, WantedStrategy,
};
pub(crate) use config::ConfigCommand;
pub(crate) use image::{
    BuildArgsArgs, ImageBuildArgs, ImageCommand, ImageInspectArgs, ImagePruneArgs, ImagePullArgs,
    ImagePushArgs, ImageVerifyArgs, RegistryArgs, SignArgs,
};
pub(crate) use link::{LinkCommand, LinkDeleteArgs, LinkDetachArgs, LinkGetArgs, LinkListArgs};
pub(crate) use map::{MapCommand, MapListArgs};
pub(crate) use program::{
    LoadArgs, LoadCommand, LoadFileArgs, LoadImageArgs, ProgramCommand, ProgramDeleteArgs,
    ProgramGetArgs, ProgramListArgs, ProgramUnloadArgs,
};
pub(crate) use serve::{CompletionsArgs, CompletionsTarget, ManArgs, ServeArgs};

use crate::parse;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Load, attach, list and remove eBPF programs.
#[derive(Debug, Parser)]
#[command(
    name = "bpfmanctl",
    version = ipc::build::VERSION,
    subcommand_required = true,
    args_override_self = true,
    long_about = "Load, attach, list and remove eBPF programs.\n\n\
        Every command asks the bpfman service, which does the work; see `bpfmanctl status` for its processes.",
    after_help = "Examples:\n  \
        bpfmanctl program load file counter.o --programs xdp:pass -m owner=acme\n  \
        bpfmanctl link attach xdp 512 eth0 --priority 50\n  \
        bpfmanctl program list\n  \
        bpfmanctl link detach 1\n  \
        bpfmanctl program unload 512\n\n\
        Exit codes: 0 success, 1 the command failed, 80 the command line is wrong."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Accepted before and after every command; `-h` leaves them out, `--help` shows them.
#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Directory of the service; its socket is DIR/bpfmanctl.sock
    #[arg(long, global = true, value_name = "DIR", env = "BPFMAN_RUNTIME_DIR",
          default_value = "/run/bpfman", value_parser = parse::absolute_path, hide_short_help = true)]
    pub(crate) runtime_dir: PathBuf,

    /// Directory of the service's image cache, for `serve`; accepted elsewhere for scripts [default: /var/cache/bpfman, or
    /// `cache` in another --runtime-dir]
    #[arg(long, global = true, value_name = "DIR", value_parser = parse::absolute_path, hide_short_help = true)]
    pub(crate) image_cache_dir: Option<PathBuf>,

    /// Configuration file; must exist, and is otherwise for `config`: the service reads its own
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "BPFMAN_CONFIG",
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        hide_short_help = true
    )]
    pub(crate) config: Option<PathBuf>,

    /// Log specification; accepted for scripts, commands do not log
    #[arg(
        long,
        global = true,
        value_name = "SPEC",
        env = "BPFMAN_LOG",
        hide_short_help = true
    )]
    pub(crate) log: Option<String>,

    /// Longest wait for a lock, like 30s or 1m30s; accepted for scripts, the service orders commands without one
    #[arg(long, global = true, value_name = "DURATION", env = "BPFMAN_LOCK_TIMEOUT",
          default_value = "30s", value_parser = parse::duration, hide_short_help = true)]
    pub(crate) lock_timeout: Duration,
}

impl Globals {
    /// An empty file name or specification is none, as in the established command.
    pub(crate) fn forget_empty(&mut self) {
        self.config.take_if(|path| path.as_os_str().is_empty());
        self.log.take_if(|log| log.is_empty());
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load, list and unload programs
    #[command(
        subcommand,
        disable_help_subcommand = true,
        long_about = "Load, list and unload programs.\n\nWithout a command: list.",
        after_help = "Examples:\n  bpfmanctl program\n  bpfmanctl program get 512 -o json"
    )]
    Program(ProgramCommand),

    /// Attach programs, list and detach links
    #[command(
        subcommand,
        disable_help_subcommand = true,
        long_about = "Attach programs, list and detach links.\n\nWithout a command: list.",
        after_help = "Examples:\n  bpfmanctl link\n  bpfmanctl link attach tracepoint 512 sched/sched_switch"
    )]
    Link(LinkCommand),

    /// Make images of object files, look at them, check who signed them, have them in the cache
    #[command(
        subcommand,
        disable_help_subcommand = true,
        after_help = "Examples:\n  bpfmanctl image build quay.io/acme/counter:v1 counter.o --sign-key sign.key"
    )]
    Image(ImageCommand),

    /// List maps
    #[command(
        subcommand,
        disable_help_subcommand = true,
        long_about = "List maps.\n\nWithout a command: list.",
        after_help = "Examples:\n  bpfmanctl map\n  bpfmanctl map list --all"
    )]
    Map(MapCommand),

    /// Show how programs share XDP and TC hooks, and change it
    #[command(
        subcommand,
        disable_help_subcommand = true,
        after_help = "Examples:\n  bpfmanctl chain show eth0\n  bpfmanctl chain convert xdp eth0 fused"
    )]
    Chain(ChainCommand),

    /// Show the hooks on which bpfman orders the programs
    #[command(
        subcommand,
        disable_help_subcommand = true,
        long_about = "Show the hooks on which bpfman orders the programs.\n\nWithout a command: list.",
        after_help = "Examples:\n  bpfmanctl dispatcher\n  bpfmanctl dispatcher get xdp 4026531840 2 -o json"
    )]
    Dispatcher(DispatcherCommand),

    /// Show a program or a link
    #[command(
        subcommand,
        hide = true,
        disable_help_subcommand = true,
        after_help = "Examples:\n  bpfmanctl get program 512\n  bpfmanctl get link 1"
    )]
    Get(GetCommand),

    /// Show every process of the service with what it may do
    #[command(
        long_about = "Show every process of the service with what it may do.\n\n\
            CAPABILITIES are the effective ones; a process that only holds some for the workers it starts shows \
            them as permitted.",
        after_help = "Examples:\n  bpfmanctl status\n  bpfmanctl status -o json"
    )]
    Status(OutputArgs),

    /// Compare what is recorded with what is pinned and what runs
    #[command(
        long_about = "Compare what is recorded with what is pinned and what runs.\n\n\
            Prints one line per difference, and exits with 1 when there are any.",
        after_help = "Examples:\n  bpfmanctl doctor"
    )]
    Doctor(OutputArgs),

    /// Check and show the configuration of the service
    #[command(
        subcommand,
        disable_help_subcommand = true,
        after_help = "Examples:\n  bpfmanctl config check\n  bpfmanctl config show"
    )]
    Config(ConfigCommand),

    /// Show which build this is
    #[command(after_help = "Examples:\n  bpfmanctl version")]
    Version,

    /// Run the service in the foreground
    #[command(
        hide = true,
        long_about = "Run the service in the foreground.\n\n\
            Replaces this process by bpfmand, which is looked for beside bpfmanctl, then in /usr/bin and /usr/sbin.",
        after_help = "Examples:\n  bpfmanctl serve --runtime-dir /run/bpfman --log info,loader=debug"
    )]
    Serve(ServeArgs),

    /// Print what a shell needs to complete command lines
    #[command(after_help = "Examples:\n  source <(bpfmanctl completions bash)\n  \
            bpfmanctl completions fish > ~/.config/fish/completions/bpfmanctl.fish\n  \
            bpfmanctl completions . --shell zsh")]
    Completions(CompletionsArgs),

    /// Write the manual pages of all commands into a directory
    #[command(
        hide = true,
        after_help = "Examples:\n  bpfmanctl man /usr/local/share/man/man1"
    )]
    Man(ManArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum GetCommand {
    /// Show a link
    #[command(after_help = "Examples:\n  bpfmanctl get link 1")]
    Link(LinkGetArgs),
    /// Show a program
    #[command(after_help = "Examples:\n  bpfmanctl get program 512 -o json")]
    Program(ProgramGetArgs),
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How results are printed
    #[arg(
        short = 'o',
        long,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// The arguments of a command that is known and not built yet: anything.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) arguments: Vec<OsString>,
}
