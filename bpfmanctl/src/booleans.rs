//! Flags that are there or not, given with a value: `--all=true`, `--attached=no`. The established command takes them so.
//!
//! The value is taken off before the words are parsed. The parser could take it instead, but then every help text and
//! every message would tell of a value that nobody needs.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use std::ffi::OsString;

/// The words with `--flag` for `--flag=true`, and without it for `--flag=false`; `command` is the one that they name.
pub(crate) fn translate(
    words: Vec<OsString>,
    command: &Command,
) -> Result<Vec<OsString>, clap::Error> {
    let mut kept: Vec<OsString> = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    for word in words.by_ref() {
        if word == "--" {
            kept.push(word);
            break;
        }
        let Some((flag, value)) = flag_with_value(&word, command) else {
            kept.push(word);
            continue;
        };
        if value_of(value).ok_or_else(|| refused(flag, value, command))? {
            kept.push(long(flag).into());
        } else {
            // The last word on a flag is the one that holds.
            kept.retain(|word| !is(word, flag));
        }
    }
    kept.extend(words);
    Ok(kept)
}

fn flag_with_value<'a>(word: &'a OsString, command: &'a Command) -> Option<(&'a Arg, &'a str)> {
    let (name, value) = word.to_str()?.strip_prefix("--")?.split_once('=')?;
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name))
        .filter(|arg| matches!(arg.get_action(), ArgAction::SetTrue))
        .map(|arg| (arg, value))
}

fn value_of(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn is(word: &OsString, flag: &Arg) -> bool {
    let short = flag.get_short().map(|letter| format!("-{letter}"));
    *word == *long(flag) || short.is_some_and(|short| *word == *short)
}

fn long(flag: &Arg) -> String {
    format!("--{}", flag.get_long().unwrap_or_default())
}

fn refused(flag: &Arg, value: &str, command: &Command) -> clap::Error {
    let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(command);
    let known = ["true", "false"].map(str::to_owned).to_vec();
    for (kind, context) in [
        (ContextKind::InvalidArg, ContextValue::String(long(flag))),
        (
            ContextKind::InvalidValue,
            ContextValue::String(value.to_owned()),
        ),
        (ContextKind::ValidValue, ContextValue::Strings(known)),
    ] {
        error.insert(kind, context);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn translated(line: &str) -> Result<String, clap::Error> {
        let root = Cli::command();
        let list = root.find_subcommand("program").unwrap();
        let list = list.find_subcommand("list").unwrap();
        let words = translate(line.split_whitespace().map(Into::into).collect(), list)?;
        let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn values_are_taken_off() {
        for (given, meant) in [
            ("--attached=true", "--attached"),
            ("--all=1 --quiet=YES x", "--all --quiet x"),
            ("--attached=false --unattached=True", "--unattached"),
            ("--all=0 --quiet=No", ""),
            ("--all -a --all=false", ""),
            ("--all=false --all", "--all"),
            // No flag without a value.
            (
                "--all true --application=true -l=x --output=json",
                "--all true --application=true -l=x --output=json",
            ),
            ("--all -- --all=false", "--all -- --all=false"),
            ("--frobnicate=true", "--frobnicate=true"),
        ] {
            assert_eq!(translated(given).unwrap(), meant, "{given}");
        }
    }

    #[test]
    fn what_is_no_truth_is_refused() {
        for bad in ["--all=maybe", "--all=2", "--all=on", "--all=t"] {
            let error = translated(bad).unwrap_err().to_string();
            assert!(error.contains("for '--all'"), "{bad}: {error}");
            assert!(error.contains("true, false"), "{bad}: {error}");
        }
        assert!(translated("--all=").is_err());
    }
}
