//! Commands that may be left out: `program` is `program list`, `program load PATH` is `program load file PATH`.
//!
//! The omitted word is put into the arguments before they are parsed. clap could take the default's flags on the parent
//! instead, but then a global flag between the words would hide the command that follows it.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// The command that stands in for nothing.
fn default_of(path: &[&str]) -> Option<&'static str> {
    match path {
        ["program"] | ["link"] | ["map"] | ["dispatcher"] => Some("list"),
        ["program", "load"] => Some("file"),
        _ => None,
    }
}

/// The arguments with the words that were left out, and the command that they name.
pub(crate) fn insert(mut arguments: Vec<OsString>, root: &Command) -> (Vec<OsString>, Vec<String>) {
    let mut node = root;
    let mut path: Vec<&str> = Vec::new();
    let mut after_node = 1;
    let mut index = 1;
    let mut asks_for_help = false;
    let mut has_operand = false;

    while let Some(token) = arguments.get(index) {
        index += 1;
        if token == "--" {
            has_operand = arguments.len() > index;
            break;
        }
        if is_flag(token) {
            asks_for_help |= token == "-h" || token == "--help";
            let default = default_of(&path).and_then(|name| node.find_subcommand(name));
            if takes_next(token, [Some(root), Some(node), default]) {
                index += 1;
            }
        } else if let Some(command) = node.find_subcommand(token) {
            node = command;
            path.push(command.get_name());
            after_node = index;
        } else {
            has_operand = true;
            break;
        }
    }

    let Some(default) = default_of(&path) else {
        return (arguments, owned(&path));
    };
    let wanted = if has_operand {
        // A word that the default could not take is a misspelt command: clap's error for that is the better one.
        node.find_subcommand(default)
            .is_some_and(|command| command.get_positionals().next().is_some())
    } else {
        !asks_for_help
    };
    if wanted {
        arguments.insert(after_node, default.into());
        path.push(default);
    }
    (arguments, owned(&path))
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn is_flag(token: &OsStr) -> bool {
    token.len() > 1 && token.as_encoded_bytes().starts_with(b"-")
}

/// Where the first word is that is neither a flag nor the value of one.
pub(crate) fn first_word(arguments: &[OsString], root: &Command) -> Option<usize> {
    let mut index = 1;
    loop {
        let token = arguments.get(index)?;
        if token == "--" || !is_flag(token) {
            return Some(index);
        }
        index += 1 + usize::from(takes_next(token, [Some(root)]));
    }
}

/// Whether the flag's value is the next argument.
pub(crate) fn takes_next<'a, const N: usize>(
    token: &OsStr,
    commands: [Option<&'a Command>; N],
) -> bool {
    // No flag has a name that is not Unicode.
    let Some(token) = token.to_str() else {
        return false;
    };
    let find = |wanted: &dyn Fn(&Arg) -> bool| {
        commands
            .iter()
            .flatten()
            .flat_map(|command| command.get_arguments())
            .find(|arg| wanted(arg))
    };
    let has_value = |arg: Option<&'a Arg>| {
        arg.is_some_and(|arg| arg.get_action().takes_values() && !arg.is_require_equals_set())
    };

    if let Some(long) = token.strip_prefix("--") {
        return !long.contains('=') && has_value(find(&|arg| arg.get_long() == Some(long)));
    }
    // In a cluster (`-qo json`) the first flag with a value takes the rest of the word, or the next one.
    let letters = &token[1..];
    for (position, letter) in letters.char_indices() {
        if has_value(find(&|arg| arg.get_short() == Some(letter))) {
            return position + letter.len_utf8() == letters.len();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn inserted(line: &str) -> String {
        let arguments = std::iter::once("bpfmanctl")
            .chain(line.split_whitespace())
            .map(Into::into)
            .collect();
        let (words, _) = super::insert(arguments, &Cli::command());
        words[1..]
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_noun_alone_lists() {
        assert_eq!(inserted("program"), "program list");
        assert_eq!(inserted("link -o json"), "link list -o json");
        assert_eq!(inserted("program -qo json"), "program list -qo json");
        assert_eq!(
            inserted("program --runtime-dir /x"),
            "program list --runtime-dir /x"
        );
        assert_eq!(
            inserted("--runtime-dir /x link"),
            "--runtime-dir /x link list"
        );
        assert_eq!(
            inserted("program --type xdp -q"),
            "program list --type xdp -q"
        );
    }

    #[test]
    fn a_load_without_its_source_is_of_a_file() {
        assert_eq!(
            inserted("program load a.o --programs xdp:p"),
            "program load file a.o --programs xdp:p"
        );
        assert_eq!(
            inserted("program load --programs xdp:p a.o"),
            "program load file --programs xdp:p a.o"
        );
        assert_eq!(
            inserted("program load -- file"),
            "program load file -- file"
        );
    }

    #[test]
    fn what_is_said_stays() {
        for line in [
            "program list -q",
            "program load file a.o",
            "program load --programs xdp:p file a.o",
            "program --runtime-dir /x list",
            "program --runtime-dir=/x get 5",
            "status",
            "help program load",
            "",
        ] {
            assert_eq!(inserted(line), line);
        }
    }

    #[test]
    fn help_is_of_the_command_that_was_named() {
        assert_eq!(inserted("program --help"), "program --help");
        assert_eq!(inserted("program load -h"), "program load -h");
    }

    #[test]
    fn the_command_is_named() {
        let named = |line: &str| {
            let arguments = line.split_whitespace().map(Into::into).collect();
            super::insert(arguments, &Cli::command()).1.join(" ")
        };
        assert_eq!(
            named("bpfman program load --programs xdp:p x.o"),
            "program load file"
        );
        assert_eq!(named("bpfman --runtime-dir link attach xdp"), "");
        assert_eq!(named("bpfman link --log x attach xdp 5"), "link attach xdp");
        assert_eq!(named("bpfman"), "");
        assert_eq!(named(""), "");
    }

    #[test]
    fn misspelt_commands_are_left_for_the_parser() {
        assert_eq!(inserted("program lst"), "program lst");
    }
}
