//! The name that the command was called by: `bpfman` is a symbolic link to `bpfmanctl` where scripts expect it.

use clap::Command;
use std::ffi::OsString;
use std::path::Path;

/// The name of the program itself, with which texts are written.
const OWN: &str = "bpfmanctl";

/// The last part of the first argument.
pub(crate) fn name(argument: Option<&OsString>) -> String {
    argument
        .and_then(|argument| Path::new(argument).file_name())
        .and_then(|name| name.to_str())
        .unwrap_or(OWN)
        .to_owned()
}

/// The command under this name, which its examples have, too.
pub(crate) fn called(command: Command, name: &str) -> Command {
    let command = command.name(name.to_owned()).bin_name(name);
    if name == OWN {
        command
    } else {
        renamed(command, name)
    }
}

fn renamed(mut command: Command, name: &str) -> Command {
    if let Some(text) = command.get_long_about() {
        // Commands are in quotation marks there; what is named without is the program.
        let text = text.to_string();
        command = command.long_about(text.replace(&format!("`{OWN} "), &format!("`{name} ")));
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string().replace(OWN, name);
        command = command.after_help(examples);
    }
    command.mut_subcommands(|inner| renamed(inner, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_name_is_the_one_the_user_typed() {
        assert_eq!(name(Some(&"/usr/bin/bpfman".into())), "bpfman");
        assert_eq!(name(Some(&"bpfmanctl".into())), "bpfmanctl");
        assert_eq!(name(Some(&"/".into())), "bpfmanctl");
        assert_eq!(name(None), "bpfmanctl");
    }

    #[test]
    fn examples_have_that_name() {
        let texts = |command: Command| {
            let link = command.find_subcommand("link").unwrap();
            let attach = link.find_subcommand("attach").unwrap();
            format!(
                "{}{}",
                attach.get_long_about().unwrap(),
                attach.get_after_help().unwrap()
            )
        };
        let own = texts(called(Cli::command(), "bpfmanctl"));
        assert!(own.contains("`bpfmanctl chain`"), "{own}");
        assert!(own.contains("  bpfmanctl link attach tcx"), "{own}");
        let other = texts(called(Cli::command(), "bpfman"));
        assert_eq!(other, own.replace("bpfmanctl", "bpfman"));
    }
}
