//! The grammar of `serve`, `completions` and `man`.

use crate::parse;
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Serve volumes of Kubernetes pods (CSI), too, or do not [default: csi.enabled of the configuration, else not]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub(crate) csi_support: Option<bool>,

    /// Socket of the gRPC API [default: bpfman.sock in the directory of --runtime-dir with `-sock` appended]
    #[arg(long, value_name = "PATH", env = "BPFMAN_SOCKET_PATH", value_parser = parse::absolute_path)]
    pub(crate) socket_path: Option<PathBuf>,

    /// Directory of what the service records [default: /var/lib/bpfman, or `state` in another --runtime-dir]
    #[arg(long, value_name = "DIR", value_parser = parse::absolute_path)]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// A shell, for what it needs on standard output: bash, elvish, fish, powershell or zsh; or a directory, for a file of
    /// each of them
    #[arg(value_name = "SHELL|DIR", value_parser = completions_target, value_hint = ValueHint::DirPath)]
    pub(crate) target: CompletionsTarget,

    /// Write the file of this shell alone into the directory
    #[arg(short, long)]
    pub(crate) shell: Option<Shell>,
}

/// Where completions go.
#[derive(Clone, Debug)]
pub(crate) enum CompletionsTarget {
    /// Those of one shell to standard output.
    Output(Shell),
    /// Into this directory.
    Directory(PathBuf),
}

fn completions_target(word: &str) -> Result<CompletionsTarget, String> {
    if let Ok(shell) = Shell::from_str(word, false) {
        return Ok(CompletionsTarget::Output(shell));
    }
    let directory = PathBuf::from(word);
    if directory.is_dir() {
        return Ok(CompletionsTarget::Directory(directory));
    }
    let shells: Vec<String> = Shell::value_variants()
        .iter()
        .map(Shell::to_string)
        .collect();
    Err(format!(
        "it is no directory, and no shell of {}",
        shells.join(", ")
    ))
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The directory; one page for each command
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}
