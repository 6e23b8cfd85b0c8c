//! Where a command prints.

use std::io::Write;
use std::os::fd::AsFd;

/// The streams of one command, and the width of the terminal when results go to one.
pub struct Console<'a> {
    /// Results.
    pub output: &'a mut dyn Write,
    /// Errors.
    pub errors: &'a mut dyn Write,
    /// Columns of the terminal; `None` when results go to a file or a pipe, where nothing is folded.
    pub width: Option<u16>,
}

/// The width of the terminal behind a descriptor, if it is one.
pub(crate) fn terminal_width(output: &impl AsFd) -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(output).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// Text from elsewhere (names and labels of other users' programs, kernel logs) made safe for a terminal: control
/// characters are shown, not obeyed. Line ends and tabs stay when `lines` is set.
pub(crate) fn printable(text: &str, lines: bool) -> String {
    let obeyed = |c: char| c.is_control() && !(lines && matches!(c, '\n' | '\t'));
    if !text.contains(obeyed) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if obeyed(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(printable("a\x1b[31mb\nc", false), "a\\u{1b}[31mb\\nc");
        assert_eq!(printable("a\x1b[31mb\nc", true), "a\\u{1b}[31mb\nc");
        assert_eq!(printable("käse", false), "käse");
    }
}
