//! `completions` and `man`: what shells and manual readers want to know, from the grammar itself.

use super::write;
use crate::cli::{Cli, CompletionsArgs, CompletionsTarget, ManArgs};
use crate::console::Console;
use crate::exit::Error;
use crate::{invocation, manual_page};
use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use std::io;
use std::path::Path;

pub(super) fn completions(
    arguments: &CompletionsArgs,
    name: &str,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let directory = match (&arguments.target, arguments.shell) {
        (CompletionsTarget::Output(shell), None) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), name, &mut script);
            return write(console, &String::from_utf8_lossy(&script));
        }
        (CompletionsTarget::Output(_), Some(_)) => {
            return Err(Error::Usage(
                "--shell goes with a directory; a shell alone is printed".to_owned(),
            ));
        }
        (CompletionsTarget::Directory(directory), _) => directory,
    };
    let shells = match &arguments.shell {
        Some(shell) => std::slice::from_ref(shell),
        None => Shell::value_variants(),
    };
    for shell in shells {
        clap_complete::generate_to(*shell, &mut Cli::command(), name, directory)
            .map_err(|error| not_written(directory, &error))?;
    }
    Ok(())
}

fn not_written(directory: &Path, error: &io::Error) -> Error {
    Error::Failed(format!(
        "{}: {error}; give a directory that exists and that you may write to",
        directory.display()
    ))
}

/// One page for each command: `bpfmanctl.1`, `bpfmanctl-program-load.1` and so on.
pub(super) fn manual(arguments: &ManArgs, name: &str) -> Result<(), Error> {
    let command = invocation::called(shown(Cli::command()), name);
    let mut command = command.disable_help_subcommand(true);
    command.build();
    pages(&command, &arguments.directory).map_err(|error| not_written(&arguments.directory, &error))
}

fn pages(command: &Command, directory: &Path) -> io::Result<()> {
    let mut page = Vec::new();
    manual_page::render(command, &mut page)?;
    std::fs::write(directory.join(manual_page::file_name(command)), page)?;
    command
        .get_subcommands()
        .try_for_each(|inner| pages(inner, directory))
}

/// With the commands that help leaves out: who looks one up has met it somewhere. And with what short help leaves out: the
/// generator writes such flags without a word about them.
fn shown(command: Command) -> Command {
    command
        .hide(false)
        .mut_args(|argument| argument.hide_short_help(false))
        .mut_subcommands(shown)
}
