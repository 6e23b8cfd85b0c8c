//! Variables that stand for flags: they count where they say something and the command line does not.
//!
//! An empty variable is how unit files and manifests say that there is none. And one that is wrong is no reason to refuse
//! a command line on which its flag stands.

use clap::builder::Resettable;
use clap::{Arg, Command};
use std::ffi::OsString;

/// The command without the variables that do not count, in all of its commands. Help names all of them.
pub(crate) fn settle(command: Command, words: &[OsString]) -> Command {
    let mut flags = words.iter().take_while(|word| *word != "--");
    if flags.any(|word| word == "-h" || word == "--help") {
        command
    } else {
        without(command, words)
    }
}

fn without(command: Command, words: &[OsString]) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(variable) if is_empty(variable) || is_given(&arg, words) => {
                arg.env(Resettable::Reset)
            }
            _ => arg,
        })
        .mut_subcommands(|command| without(command, words))
}

#[allow(
    clippy::disallowed_methods,
    reason = "the parser reads these variables, and has no word for empty ones"
)]
fn is_empty(variable: &std::ffi::OsStr) -> bool {
    std::env::var_os(variable).is_some_and(|value| value.is_empty())
}

/// Whether the flag is among the words. No value of another flag looks like one.
fn is_given(arg: &Arg, words: &[OsString]) -> bool {
    let Some(long) = arg.get_long() else {
        return false;
    };
    let mut flags = words.iter().take_while(|word| *word != "--");
    flags.any(|word| {
        let name = word.as_encoded_bytes().strip_prefix(b"--");
        name.and_then(|name| name.strip_prefix(long.as_bytes()))
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'=')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_known_by_its_whole_name() {
        let arg = Arg::new("config").long("config");
        let given = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
            is_given(&arg, &words)
        };
        assert!(given("status --config /x"));
        assert!(given("--config=/x status"));
        assert!(!given("status --config-dir /x"));
        assert!(!given("config -- --config"));
        assert!(!given(""));
    }
}
