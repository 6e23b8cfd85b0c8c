//! The command line of bpfman.
//!
//! One process per command: parse, ask the service over `<runtime-dir>/bpfmanctl.sock`, print, exit. There is no runtime
//! and no thread, but where images are pushed, in which the service has no part. The user's files (object files, uprobe
//! targets) are opened here, with the user's rights, and cross to the service as descriptors.
//!
//! Data flow: `help`, `older_grammar`, `default_command` and `booleans` bring the words into one form, `environment` says which
//! variables count, `cli` and `parse` turn arguments into typed commands; `commands` carries them out through [`Client`];
//! `select` filters; `text` and `json` render. Rendering and selecting are pure functions.
//!
//! Programs use the same protocol through [`connect`].

mod batch;
mod booleans;
mod cli;
mod client;
mod commands;
mod complaint;
mod console;
mod credentials;
mod default_command;
mod environment;
mod exit;
mod group;
mod help;
mod image;
mod inventory;
mod invocation;
mod json;
mod kernel_names;
pub mod limits;
mod manual_page;
mod object;
mod older_grammar;
mod parse;
mod present_names;
mod progress;
mod retry;
#[cfg(test)]
mod samples;
mod select;
mod target;
mod text;
mod time;
mod version;

pub use client::{Client, ClientError, SOCKET_NAME, connect};
pub use console::Console;
pub use target::{TargetError, open_target};

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs one command on the process's own standard streams.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut output = std::io::stdout().lock();
    // Not locked: progress is shown from another thread while the command waits.
    let mut errors = std::io::stderr();
    let width = console::terminal_width(&output);
    let mut console = Console {
        output: &mut output,
        errors: &mut errors,
        width,
    };
    ExitCode::from(run(arguments, &mut console))
}

/// Runs one command and returns the exit code: 0, 1 for a failure, 80 for a usage error.
pub fn run(arguments: impl IntoIterator<Item = OsString>, console: &mut Console<'_>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let name = invocation::name(arguments.first());
    let command = invocation::called(cli::Cli::command(), &name);
    let arguments = help::translate(arguments, &command);
    let arguments = older_grammar::translate(arguments, &command);
    let (arguments, path) = default_command::insert(arguments, &command);
    let mut command = environment::settle(command, &arguments);

    let parsed = booleans::translate(arguments, named(&command, &path))
        .and_then(|arguments| command.try_get_matches_from_mut(arguments))
        .and_then(|mut matches| {
            let log = given(matches.value_source("log"));
            cli::Cli::from_arg_matches_mut(&mut matches).map(|cli| (cli, log))
        });
    let outcome = match parsed {
        Ok((mut cli, log)) => {
            cli.globals.forget_empty();
            commands::run(cli, &name, log, console)
        }
        Err(error) => {
            let error = complaint::complete(error, &mut command, &path);
            Err(exit::Error::Parse(Box::new(error)))
        }
    };
    let usage = || complaint::usage(&mut command, &path);
    exit::report(&name, outcome, usage, console)
}

/// Where a value comes from, unless it is the default.
fn given(source: Option<ValueSource>) -> Option<commands::Given> {
    match source? {
        ValueSource::EnvVariable => Some(commands::Given::Environment),
        ValueSource::CommandLine => Some(commands::Given::Flag),
        _ => None,
    }
}

/// The command that a path of names leads to. Paths were found by walking the same tree.
fn named<'a>(root: &'a clap::Command, path: &[String]) -> &'a clap::Command {
    path.iter()
        .try_fold(root, |command, name| command.find_subcommand(name))
        .unwrap_or(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        cli::Cli::command().debug_assert();
    }

    /// Hidden ones, too.
    #[test]
    fn every_command_has_examples() {
        fn without(command: &clap::Command, path: &str) -> Vec<String> {
            let name = format!("{path} {}", command.get_name());
            let text = command.get_after_help().map(ToString::to_string);
            let has = text.is_some_and(|text| text.starts_with("Examples:\n  "));
            let inner = command
                .get_subcommands()
                .flat_map(|inner| without(inner, &name));
            let inner = inner.collect::<Vec<_>>();
            (!has).then_some(name).into_iter().chain(inner).collect()
        }
        assert_eq!(without(&cli::Cli::command(), ""), [""; 0]);
    }

    /// Help is folded to the terminal; what is folded cannot be pasted.
    #[test]
    fn examples_are_not_folded_on_80_columns() {
        fn check(command: &clap::Command) {
            let text = command.get_after_help().unwrap().to_string();
            let mut joined = false;
            for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
                assert!(line.chars().count() <= 80, "{line}");
                // A line is a command, or goes on with one.
                let indent = if joined { "      " } else { "  " };
                let rest = line.strip_prefix(indent).unwrap();
                assert!(!rest.starts_with(' '), "{line}");
                joined = line.ends_with(" \\");
            }
            assert!(!joined, "{text}");
            command.get_subcommands().for_each(check);
        }
        check(&cli::Cli::command());
    }
}
