//! One page of the manual, made from the grammar.
//!
//! The generator has text filled, which is right for what is read and wrong for what is typed: examples and lists are set
//! as they stand.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::io::{self, Write};

/// The page of a command that is built, in roff.
pub(crate) fn render(command: &Command, page: &mut dyn Write) -> io::Result<()> {
    let man = Man::new(command.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    let about = command.get_long_about().or_else(|| command.get_about());
    section("DESCRIPTION", about, page)?;
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(page)?;
    }
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        man.render_subcommands_section(page)?;
    }
    section("EXAMPLES", command.get_after_help(), page)?;
    if command.get_version().is_some() {
        man.render_version_section(page)?;
    }
    Ok(())
}

/// The name of the file that the page belongs in.
pub(crate) fn file_name(command: &Command) -> String {
    Man::new(command.clone()).get_filename()
}

/// A text under a heading, if there is one. Its first line may say the same as the heading.
fn section(heading: &str, text: Option<&impl ToString>, page: &mut dyn Write) -> io::Result<()> {
    let Some(text) = text.map(ToString::to_string) else {
        return Ok(());
    };
    let mut roff = Roff::default();
    roff.control("SH", [heading]);
    for (index, paragraph) in text.split("\n\n").enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        let lines = paragraph
            .lines()
            .filter(|line| !line.eq_ignore_ascii_case(&format!("{heading}:")));
        if paragraph.contains("  ") {
            roff.control("nf", []);
            for line in lines {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
            roff.control("fi", []);
        } else {
            roff.text([roman(lines.collect::<Vec<_>>().join(" "))]);
        }
    }
    roff.to_writer(page)
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::{Command, CommandFactory};

    /// Of every command, where they are typed from.
    #[test]
    fn examples_and_lists_are_not_filled() {
        fn check(command: &Command) {
            let mut page = Vec::new();
            super::render(command, &mut page).unwrap();
            let page = String::from_utf8(page).unwrap();
            let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap();
            let (examples, _) = examples.split_once(".fi\n").unwrap();
            // A name that begins with a dot would be taken for a request.
            let examples = examples.replace("\\-", "-").replace("\\\\", "\\");
            let text = command.get_after_help().unwrap().to_string();
            let typed = text.lines().skip(1).take_while(|line| !line.is_empty());
            for line in typed {
                let line = line.strip_prefix("  ").unwrap();
                assert!(
                    examples
                        .lines()
                        .any(|shown| shown.replace("\\*(Aq", "'") == line),
                    "{line}: {examples}"
                );
            }
            command.get_subcommands().for_each(check);
        }
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        check(&root);

        let chain = root.find_subcommand("chain").unwrap();
        let mut page = Vec::new();
        super::render(chain.find_subcommand("convert").unwrap(), &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(".nf\nauto    let bpfman choose\n"), "{page}");
    }
}
