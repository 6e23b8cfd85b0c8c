//! Results for people: tables and reports, columns two spaces apart, folded to the terminal's width.

mod chain;
mod config;
pub(crate) mod image;
mod link;
mod map;
mod program;
mod report;
mod status;

pub(crate) use chain::{chains, dispatcher, dispatchers, explanation};
pub(crate) use config::configuration;
pub(crate) use image::{accepted, digest, images};
pub(crate) use link::{link, links};
pub(crate) use map::maps;
pub(crate) use program::{program, programs};
pub(crate) use status::processes;

use crate::console::printable;
use comfy_table::{ContentArrangement, Table, presets};

/// Columns under their headings; nothing at all without rows.
fn table(headings: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = plain(width);
    table.set_header(headings.to_vec());
    rendered(table, rows, 0)
}

/// Columns without headings, behind an indent.
fn columns(rows: Vec<Vec<String>>, indent: u16, width: Option<u16>) -> String {
    rendered(plain(width), rows, indent)
}

/// No borders. Off the terminal every row is one line.
fn plain(width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    match width {
        Some(width) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table
}

fn rendered(mut table: Table, rows: Vec<Vec<String>>, indent: u16) -> String {
    table.add_rows(rows.into_iter().map(|row| {
        row.iter()
            .map(|cell| printable(cell, false))
            .collect::<Vec<_>>()
    }));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { indent } else { 0 }, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// A value, or a word for none.
fn or_none(value: Option<impl ToString>, none: &str) -> String {
    value.map_or_else(|| none.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str) -> Vec<Vec<String>> {
        vec![
            vec!["1".to_owned(), "short".to_owned(), "x".to_owned()],
            vec!["1000".to_owned(), name.to_owned(), String::new()],
        ]
    }

    #[test]
    fn columns_are_two_spaces_apart() {
        let expected =
            "ID    NAME            END\n1     short           x\n1000  clear\\u{1b}[2J\n";
        assert_eq!(
            table(&["ID", "NAME", "END"], rows("clear\x1b[2J"), None),
            expected
        );
        assert_eq!(
            table(&["ID", "NAME", "END"], rows("clear\x1b[2J"), Some(200)),
            expected
        );
    }

    #[test]
    fn a_terminal_is_not_exceeded() {
        let text = table(&["ID", "NAME", "END"], rows("two words"), Some(20));
        assert_eq!(
            text,
            "ID    NAME     END\n1     short    x\n1000  two\n      words\n"
        );
    }

    #[test]
    fn nothing_has_no_headings() {
        assert_eq!(table(&["ID"], Vec::new(), None), "");
    }
}
