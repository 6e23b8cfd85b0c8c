//! `completions` and `man`: what shells and manual readers want to know, from the grammar itself.

use super::write;
use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::console::Console;
use crate::exit::Error;
use clap::CommandFactory;

pub(super) fn completions(
    arguments: &CompletionsArgs,
    name: &str,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), name, &mut script);
    write(console, &String::from_utf8_lossy(&script))
}

/// One page for each command that is not hidden: `bpfmanctl.1`, `bpfmanctl-program-load.1` and so on.
pub(super) fn manual(arguments: &ManArgs, name: &str) -> Result<(), Error> {
    let directory = &arguments.directory;
    let command = Cli::command().name(name.to_owned()).bin_name(name);
    clap_mangen::generate_to(command, directory).map_err(|error| {
        Error::Failed(format!(
            "{}: {error}; give a directory that exists and that you may write to",
            directory.display()
        ))
    })
}
