//! The grammar of `config`.

use super::OutputArgs;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with the configuration file, as the service would at its start
    #[command(
        long_about = "Say what is wrong with the configuration file, as the service would at its start.\n\n\
            Looks at --config, else /etc/bpfman/bpfman.toml if it exists. What has no effect is printed; the exit code is 1 when \
            the service would not start with it, or would accept no image.",
        after_help = "Examples:\n  bpfmanctl config check\n  bpfmanctl config check --config ./bpfman.toml"
    )]
    Check,

    /// Show every key with its value and where that comes from
    #[command(
        long_about = "Show every key with its value and where that comes from: default, file, environment or flag.\n\n\
            It is what the service does when it is started with the flags and the environment of this command.",
        after_help = "Examples:\n  bpfmanctl config show\n  bpfmanctl config show --config ./bpfman.toml -o json"
    )]
    Show(OutputArgs),
}
