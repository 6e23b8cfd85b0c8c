//! `help COMMAND` is `COMMAND --help`: it takes what that takes, and is wrong where that is wrong.

use crate::default_command::first_word;
use clap::Command;
use std::ffi::OsString;

/// The words with `--help` for `help`, if that is the command; any other as they are.
pub(crate) fn translate(mut words: Vec<OsString>, root: &Command) -> Vec<OsString> {
    let Some(at) = first_word(&words, root).filter(|at| words[*at] == "help") else {
        return words;
    };
    words.remove(at);
    let flags_end = words.iter().position(|word| word == "--");
    words.insert(flags_end.unwrap_or(words.len()), "--help".into());
    words
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn help_comes_before_and_after_the_command() {
        let translated = |line: &str| {
            let words = line.split_whitespace().map(Into::into).collect();
            let words = super::translate(words, &Cli::command());
            let words: Vec<_> = words.iter().map(|word| word.to_str().unwrap()).collect();
            words.join(" ")
        };
        for (asked, meant) in [
            ("bpfman help", "bpfman --help"),
            ("bpfman help -h", "bpfman -h --help"),
            ("bpfman help program load", "bpfman program load --help"),
            ("bpfman help program --help", "bpfman program --help --help"),
            (
                "bpfman --runtime-dir /x help link",
                "bpfman --runtime-dir /x link --help",
            ),
            ("bpfman help -- x", "bpfman --help -- x"),
            ("bpfman program get help", "bpfman program get help"),
            ("bpfman --runtime-dir help", "bpfman --runtime-dir help"),
            ("bpfman -- help", "bpfman -- help"),
            ("bpfman", "bpfman"),
        ] {
            assert_eq!(translated(asked), meant, "{asked}");
        }
    }
}
