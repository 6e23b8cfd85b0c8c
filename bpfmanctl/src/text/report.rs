//! Reports about one thing: sections of labelled rows, sorted by label.

use super::{columns, labelled};

/// What an empty value is called.
pub(super) const NONE: &str = "None";

/// One section under construction.
pub(super) struct Section {
    title: &'static str,
    rows: Vec<(String, String)>,
    /// Tables after the rows, each with its title.
    tables: Vec<(&'static str, Vec<Vec<String>>)>,
    /// Said instead of rows.
    remark: Option<&'static str>,
}

impl Section {
    pub(super) fn new(title: &'static str) -> Self {
        Self {
            title,
            rows: Vec::new(),
            tables: Vec::new(),
            remark: None,
        }
    }

    /// A section that says why it has no rows.
    pub(super) fn remark(title: &'static str, remark: &'static str) -> Self {
        Self {
            remark: Some(remark),
            ..Self::new(title)
        }
    }

    /// A row; an empty value is shown as `None`.
    pub(super) fn row(&mut self, label: &str, value: impl ToString) {
        let value = value.to_string();
        let value = if value.is_empty() {
            NONE.to_owned()
        } else {
            value
        };
        self.rows.push((label.to_owned(), value));
    }

    /// A table behind the rows; its first row holds the headings.
    pub(super) fn table(&mut self, title: &'static str, rows: Vec<Vec<String>>) {
        self.tables.push((title, rows));
    }

    pub(super) fn render(mut self, width: Option<u16>) -> String {
        let mut text = format!("  {}:", self.title);
        if let Some(remark) = self.remark {
            text.push_str(&format!(" {remark}\n"));
            return text;
        }
        text.push('\n');
        self.rows.sort();
        let rows = self
            .rows
            .into_iter()
            .map(|(label, value)| vec![label + ":", value])
            .collect();
        text.push_str(&labelled(rows, 4, width));
        for (title, rows) in self.tables {
            if rows.len() > 1 {
                text.push_str(&format!("    {title}:\n"));
                text.push_str(&columns(rows, 6, width));
            } else {
                text.push_str(&format!("    {title}: {NONE}\n"));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_aligned() {
        let mut section = Section::new("Spec");
        section.row("Type", "xdp");
        section.row("License", "");
        section.table("Maps", vec![vec!["ID".to_owned(), "NAME".to_owned()]]);
        let table = vec![
            vec!["ID".to_owned(), "KIND".to_owned()],
            vec!["10".to_owned(), "tcx".to_owned()],
        ];
        section.table("Links", table);
        assert_eq!(
            section.render(None),
            "  Spec:\n    License:  None\n    Type:     xdp\n    Maps: None\n    Links:\n      ID  KIND\n      10  tcx\n"
        );
        assert_eq!(
            Section::remark("Stats", "(off)").render(None),
            "  Stats: (off)\n"
        );
    }
}
