//! The grammar of having images in the cache.

use crate::cli::OutputArgs;
use crate::parse;
use clap::Args;
use ipc::messages::pull::PullPolicy;

#[derive(Args, Debug)]
pub(crate) struct RegistryArgs {
    /// When the registry is asked: Always, IfNotPresent or Never
    #[arg(short, long, value_name = "POLICY", default_value = "IfNotPresent",
          value_parser = parse::pull_policy)]
    pub(crate) pull_policy: PullPolicy,

    /// Credentials for the registry: base64 of USER:PASSWORD; better in the environment, where other users do not see it
    #[arg(
        long,
        value_name = "BASE64",
        env = "BPFMAN_REGISTRY_AUTH",
        hide_env_values = true
    )]
    pub(crate) registry_auth: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ImagePullArgs {
    /// The image: [REGISTRY/]REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImagePruneArgs {
    /// Also images that programs were loaded from
    #[arg(short, long)]
    pub(crate) all: bool,
}
