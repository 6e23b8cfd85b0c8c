//! The grammar of `serve`, `completions` and `man`.

use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Serve volumes of Kubernetes pods (CSI), too
    #[arg(long)]
    pub(crate) csi_support: bool,

    /// Socket of the gRPC API [default: the service's]
    #[arg(long, value_name = "PATH", env = "BPFMAN_SOCKET_PATH")]
    pub(crate) socket_path: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The directory; one page for each command
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
