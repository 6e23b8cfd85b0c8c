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
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Spaces behind a column.
const GAP: u16 = 2;

/// Columns under their headings, or where these would be broken every row by itself; nothing at all without rows.
fn table(headings: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heading = longest(headings.iter().flat_map(|heading| heading.split(' ')));
    let mut table = plain(width);
    table.set_header(headings.to_vec());
    fill(&mut table, &rows, 0);
    let needs = words(&table);
    match room(&table, 0, &needs) {
        Some(room) if heading > room => records(headings, rows, width),
        room => finished(table, room, &needs),
    }
}

/// Each row as lines of a heading and its value, an empty line between rows.
fn records(headings: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let records = rows.into_iter().map(|row| {
        let lines = headings
            .iter()
            .map(|heading| (*heading).to_owned())
            .zip(row);
        labelled(
            lines.map(<[String; 2]>::from).map(Vec::from).collect(),
            0,
            width,
        )
    });
    records.collect::<Vec<_>>().join("\n")
}

/// Columns without headings, behind an indent.
fn columns(rows: Vec<Vec<String>>, indent: u16, width: Option<u16>) -> String {
    let mut table = plain(width);
    fill(&mut table, &rows, indent);
    let needs = words(&table);
    let room = room(&table, indent, &needs);
    finished(table, room, &needs)
}

/// As [`columns`], of which the first has labels: these are not broken between their words either.
fn labelled(rows: Vec<Vec<String>>, indent: u16, width: Option<u16>) -> String {
    let mut table = plain(width);
    fill(&mut table, &rows, indent);
    let labels = rows.iter().filter_map(|row| row.first());
    let label = longest(labels.map(String::as_str));
    let needs: Vec<u16> = std::iter::once(label)
        .chain(words(&table).into_iter().skip(1))
        .collect();
    let room = room(&table, indent, &needs);
    finished(table, room, &needs)
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

fn fill(table: &mut Table, rows: &[Vec<String>], indent: u16) {
    table.add_rows(rows.iter().map(|row| {
        row.iter()
            .map(|cell| printable(cell, false))
            .collect::<Vec<_>>()
    }));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if index == 0 { indent } else { 0 }, GAP));
    }
}

/// The most characters that what is not to be broken can have in every column, so that the table is no wider than the
/// terminal: what the columns need, if there is room; else what is left is taken from the widest alone.
fn room(table: &Table, indent: u16, needs: &[u16]) -> Option<u16> {
    let width = table.width()?;
    let gaps = GAP.saturating_mul(u16::try_from(needs.len()).unwrap_or(u16::MAX));
    let room = width.saturating_sub(indent).saturating_sub(gaps);
    let fits = |most: &u16| {
        let taken = needs.iter().map(|need| u32::from(*need.min(most)));
        taken.sum::<u32>() <= u32::from(room)
    };
    (1..=room).rev().find(fits)
}

/// Only what has more characters than there is room for is broken.
fn finished(mut table: Table, room: Option<u16>, needs: &[u16]) -> String {
    for (index, need) in needs.iter().enumerate() {
        if let (Some(room), Some(column)) = (room, table.column_mut(index)) {
            // Of the width of a column its padding is a part.
            let lower = (*need).min(room) + column.padding_width();
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(lower)));
        }
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// The longest word of every column with its heading, in characters.
fn words(table: &Table) -> Vec<u16> {
    let rows = || table.header().into_iter().chain(table.row_iter());
    (0..table.column_iter().count())
        .map(|index| {
            let cells = rows().filter_map(|row| row.cell_iter().nth(index));
            let cells: Vec<String> = cells.map(Cell::content).collect();
            longest(cells.iter().flat_map(|cell| cell.split_whitespace()))
        })
        .collect()
}

/// In characters.
fn longest<'a>(texts: impl Iterator<Item = &'a str>) -> u16 {
    let most = texts.map(|text| text.chars().count()).max();
    u16::try_from(most.unwrap_or(0)).unwrap_or(u16::MAX)
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
    fn no_word_is_broken_but_the_longest_where_they_have_no_room() {
        let rows = vec![
            vec![
                "spawner".to_owned(),
                "a".repeat(30),
                "some words here".to_owned(),
            ],
            vec!["1".to_owned(), "b".to_owned(), String::new()],
        ];
        let text = table(&["GENERATION", "PIN", "NOTE"], rows, Some(36));
        let expected = "GENERATION  PIN              NOTE\n\
                        spawner     aaaaaaaaaaaaaaa  some\n            aaaaaaaaaaaaaaa  words\n                             here\n\
                        1           b\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn rows_stand_alone_where_headings_would_be_broken() {
        let text = table(&["GENERATION", "NAME", "END"], rows("two words"), Some(20));
        let expected = "GENERATION  1\nNAME        short\nEND         x\n\n\
                        GENERATION  1000\nNAME        two\n            words\nEND\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn labels_are_not_broken() {
        let rows = ["Size JITted:", "Size Translated:"]
            .map(|label| vec![label.to_owned(), "a".repeat(30)]);
        let text = labelled(rows.to_vec(), 4, Some(40));
        let expected = "    Size JITted:      aaaaaaaaaaaaaaaa\n                      aaaaaaaaaaaaaa\n    \
                        Size Translated:  aaaaaaaaaaaaaaaa\n                      aaaaaaaaaaaaaa\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_has_no_headings() {
        assert_eq!(table(&["ID"], Vec::new(), None), "");
    }
}
