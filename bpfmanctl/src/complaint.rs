//! The parser's errors, with what it leaves out: a short usage of the command, and names that are near.

use crate::parse::nearest;
use clap::Command;
use clap::error::{ContextKind, ContextValue};

/// The error as it is shown; `path` names the command as far as it was understood.
pub(crate) fn complete(error: clap::Error, root: &mut Command, path: &[String]) -> clap::Error {
    let mut error = error.format(root);
    if let Some(command) = command_at(root, path) {
        suggest(&mut error, command);
        // clap leaves the usage out of errors about values, and elsewhere shows as required whatever was given, even what
        // comes from the environment.
        error.insert(
            ContextKind::Usage,
            ContextValue::StyledStr(command.render_usage()),
        );
    }
    error
}

/// The short usage of the command that a path names.
pub(crate) fn usage(root: &mut Command, path: &[String]) -> String {
    command_at(root, path)
        .map(|command| command.render_usage().to_string())
        .unwrap_or_default()
}

/// The command that a path of names leads to. Paths were found by walking the same tree.
fn command_at<'a>(root: &'a mut Command, path: &[String]) -> Option<&'a mut Command> {
    // Commands that the parser did not come to do not know yet what they are called with the words before them.
    root.build();
    path.iter()
        .try_fold(root, |command, name| command.find_subcommand_mut(name))
}

/// clap finds none near words of three letters, and calls flags near that share little but their letters.
fn suggest(error: &mut clap::Error, command: &Command) {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && error.get(ContextKind::SuggestedSubcommand).is_none()
    {
        let shown = command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set());
        let names = shown.flat_map(Command::get_name_and_visible_aliases);
        if let Some(name) = nearest(word, names) {
            let name = ContextValue::Strings(vec![name.to_owned()]);
            error.insert(ContextKind::SuggestedSubcommand, name);
        }
    }
    if let (Some(ContextValue::String(flag)), Some(ContextValue::String(suggested))) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::SuggestedArg),
    ) {
        let bare = |flag: &str| flag.trim_start_matches('-').to_owned();
        if nearest(&bare(flag), [bare(suggested).as_str()]).is_none() {
            error.remove(ContextKind::SuggestedArg);
        }
    }
}
