//! Where in a file something stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The key whose value holds a place of the file, the innermost one, and the line where that value begins.
pub(crate) fn holder(text: &str, table: &DeTable<'_>, place: usize) -> (String, usize) {
    fn look(
        prefix: &str,
        value: &Spanned<DeValue<'_>>,
        place: usize,
        best: &mut Option<(usize, usize, String)>,
    ) {
        let span = value.span();
        let is_closer = best
            .as_ref()
            .is_none_or(|(length, _, _)| span.len() <= *length);
        if span.contains(&place) && is_closer {
            *best = Some((span.len(), span.start, prefix.to_owned()));
        }
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    look(&format!("{prefix}.{}", key.get_ref()), value, place, best);
                }
            }
            DeValue::Array(list) => {
                for value in list {
                    look(prefix, value, place, best);
                }
            }
            _ => {}
        }
    }
    let mut best = None;
    for (key, value) in table {
        look(key.get_ref(), value, place, &mut best);
    }
    best.map_or_else(
        || ("the file".to_owned(), line(text, place)),
        |(_, start, key)| (key, line(text, start)),
    )
}

/// From 1.
pub(crate) fn line(text: &str, place: usize) -> usize {
    let before = text.as_bytes().get(..place).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
