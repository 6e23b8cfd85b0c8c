//! An event as one line: `LEVEL target: message`, then its fields, each after a character that nobody types.
//!
//! Who takes such lines from a process that is not trusted needs no parser: it splits them, and what is not as it should
//! be is part of the message.

use std::fmt::{self, Debug, Display};
use tracing::Event;
use tracing::field::{Field, Visit};

/// Stands before a field that is text, as ASCII has it for the units of a record.
const TEXT: char = '\u{1f}';
/// Stands before a field that is a number or a boolean.
const LITERAL: char = '\u{1d}';
/// Stands for the end of a line within a message or a field.
const NEWLINE: char = '\u{1e}';

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// The message of an event and its fields.
#[derive(Debug, Default)]
pub(super) struct Parts {
    message: String,
    fields: String,
}

impl Parts {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut parts = Self::default();
        event.record(&mut parts);
        parts
    }

    fn push(&mut self, mark: char, field: &Field, value: &dyn Display) {
        self.fields.push(mark);
        self.fields.push_str(field.name());
        self.fields.push('=');
        marked(&mut self.fields, value);
    }
}

impl Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        formatter.write_str(&self.fields)
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            marked(&mut self.message, &format_args!("{value:?}"));
        } else {
            self.push(TEXT, field, &format_args!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            marked(&mut self.message, &value);
        } else {
            self.push(TEXT, field, &value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(LITERAL, field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(LITERAL, field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(LITERAL, field, &value);
    }
}

/// Appends a value in which nothing ends the line or begins a field.
fn marked(to: &mut String, value: &dyn Display) {
    to.extend(value.to_string().chars().map(|character| match character {
        '\n' => NEWLINE,
        mark if is_mark(mark) => char::REPLACEMENT_CHARACTER,
        other => other,
    }));
}

/// Whether a character has its meaning in such lines alone.
pub fn is_mark(character: char) -> bool {
    matches!(character, TEXT | LITERAL | NEWLINE)
}

/// A line for people.
pub fn readable(line: &str) -> String {
    line.replace([TEXT, LITERAL], " ").replace(NEWLINE, "\\n")
}

/// An event that was read from a line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: &'static str,
    /// The module that logs.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Further values, by their names, in the order of the line.
    pub fields: Vec<(String, Value)>,
}

/// The value of a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// Of any kind, as text.
    Text(String),
    /// A number without a sign.
    Unsigned(u64),
    /// A number.
    Signed(i64),
    /// True or false.
    Truth(bool),
}

impl Entry {
    /// What would be read from the line of an event.
    pub fn of(event: &Event<'_>) -> Option<Self> {
        let metadata = event.metadata();
        let (level, target) = (metadata.level(), metadata.target());
        Self::split(&format!("{level} {target}: {}", Parts::of(event)))
    }

    /// Splits a line. None when it does not begin as one of the logger's.
    pub fn split(line: &str) -> Option<Self> {
        let end = line.find([TEXT, LITERAL]).unwrap_or(line.len());
        let (head, fields) = line.split_at(end);
        let (level, head) = head.split_once(' ')?;
        let level = LEVELS.into_iter().find(|known| *known == level)?;
        let (target, message) = head.split_once(": ")?;
        if target.contains(char::is_whitespace) {
            return None;
        }
        let mut entry = Self {
            level,
            target: target.to_owned(),
            message: whole(message),
            fields: Vec::new(),
        };
        // The first piece is what stands before the first mark: nothing.
        for text in fields.split(TEXT) {
            let mut pieces = text.split(LITERAL);
            if let Some(text) = pieces.next().filter(|text| !text.is_empty()) {
                entry.take(text, |value| Value::Text(whole(value)));
            }
            for literal in pieces {
                entry.take(literal, Value::literal);
            }
        }
        Some(entry)
    }

    fn take(&mut self, field: &str, value: impl FnOnce(&str) -> Value) {
        match field.split_once('=') {
            Some((name, text)) if is_name(name) => {
                self.fields.push((name.to_owned(), value(text)));
            }
            // Cut off, or of a process that means no good.
            _ => {
                self.message.push(' ');
                self.message.push_str(&whole(field));
            }
        }
    }
}

impl Value {
    fn literal(text: &str) -> Self {
        let number = text.parse().map(Self::Unsigned);
        let number = number.or_else(|_| text.parse().map(Self::Signed));
        let truth = number.or_else(|_| text.parse().map(Self::Truth));
        truth.unwrap_or_else(|_| Self::Text(whole(text)))
    }
}

/// Names of fields are words of Rust, with dots.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && characters.all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '.'))
}

fn whole(text: &str) -> String {
    text.replace(NEWLINE, "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<(String, Value)> {
        Entry::split(line).unwrap().fields
    }

    #[test]
    fn lines_of_others_are_no_entries() {
        for line in [
            "",
            "store: locked",
            "INFO",
            "INFO no target",
            "INFO two words: x",
            "LOUD target: x",
            "info target: x",
        ] {
            assert_eq!(Entry::split(line), None, "{line}");
        }
    }

    #[test]
    fn literals_keep_their_kind_and_text_stays_text() {
        let line = "INFO a::b: said\u{1f}text=5\u{1d}number=5\u{1d}below=-5\u{1d}truth=true\u{1d}other=x\u{1f}empty=";
        let expected = [
            ("text", Value::Text("5".to_owned())),
            ("number", Value::Unsigned(5)),
            ("below", Value::Signed(-5)),
            ("truth", Value::Truth(true)),
            ("other", Value::Text("x".to_owned())),
            ("empty", Value::Text(String::new())),
        ];
        let expected: Vec<_> = expected
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        assert_eq!(fields(line), expected);
        assert_eq!(
            readable(line),
            "INFO a::b: said text=5 number=5 below=-5 truth=true other=x empty="
        );
    }

    #[test]
    fn what_is_no_field_is_part_of_the_message() {
        for piece in ["nam", "=x", "a b=c", "\"=x", "1=x"] {
            let entry = Entry::split(&format!("WARN a: said\u{1f}{piece}\u{1f}k=v")).unwrap();
            assert_eq!(entry.message, format!("said {piece}"));
            assert_eq!(entry.fields.len(), 1, "{piece}");
        }
    }

    #[test]
    fn ends_of_lines_come_back() {
        let entry = Entry::split("ERROR a: one\u{1e}two\u{1f}log=b\u{1e}c").unwrap();
        assert_eq!(entry.message, "one\ntwo");
        assert_eq!(
            entry.fields,
            [("log".to_owned(), Value::Text("b\nc".to_owned()))]
        );
        assert_eq!(readable("ERROR a: one\u{1e}two"), "ERROR a: one\\ntwo");
    }
}
