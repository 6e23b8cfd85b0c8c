//! The table of kinds and kernels in docs/kinds.md: made of what the system tests say that they saw, and compared with it.

use crate::artifacts::{Profile, build_all};
use crate::run::workspace;
use crate::vm::Series;
use crate::{setup, test};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const BEGIN: &str =
    "<!-- table of kinds: made by `cargo xtask matrix`, checked by `cargo xtask test` -->";
const END: &str = "<!-- end of the table -->";

/// What stands in a cell about which nothing was said.
const NOTHING: &str = "–";

/// A kernel that the tests run on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Column {
    V6_1,
    V6_12,
    /// The one kernel without kprobes and trampolines that was at hand.
    Bare,
}

impl Column {
    const ALL: [Column; 3] = [Column::V6_1, Column::V6_12, Column::Bare];

    fn heading(self) -> &'static str {
        match self {
            Column::V6_1 => "Linux 6.1",
            Column::V6_12 => "Linux 6.12",
            Column::Bare => "that 6.18",
        }
    }

    /// The column of this machine's own kernel; `None` where the document has none for it.
    pub(crate) fn own() -> Option<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let has_kprobes = Path::new("/sys/bus/event_source/devices/kprobe").exists();
        (release.starts_with("6.18.") && !has_kprobes).then_some(Column::Bare)
    }
}

impl From<Series> for Column {
    fn from(series: Series) -> Self {
        match series {
            Series::V6_1 => Column::V6_1,
            Series::V6_12 => Column::V6_12,
        }
    }
}

/// What was said about one kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Row {
    cells: BTreeMap<Column, BTreeSet<String>>,
    tests: BTreeSet<String>,
}

/// What the tests of all kernels have said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Matrix {
    /// Every kind, in the order of the product.
    kinds: Vec<String>,
    rows: BTreeMap<String, Row>,
    /// Kernels that the tests ran on, whether they said something or not.
    ran: BTreeSet<Column>,
}

impl Matrix {
    /// The tests run on this kernel.
    pub(crate) fn ran(&mut self, column: Column) {
        self.ran.insert(column);
    }

    /// Takes in a line of a system test.
    pub(crate) fn note(&mut self, column: Column, line: &str) {
        if let Some(kinds) = line.strip_prefix("matrix of kinds: ") {
            self.kinds = kinds.split_whitespace().map(str::to_owned).collect();
        }
        let parts: Vec<&str> = match line.strip_prefix("matrix: ") {
            Some(said) => said.split(" | ").collect(),
            None => return,
        };
        if let [kind, outcome, test] = parts[..] {
            let row = self.rows.entry(kind.to_owned()).or_default();
            let cell = row.cells.entry(column).or_default();
            cell.insert(outcome.to_owned());
            row.tests.insert(format!("`{test}`"));
        }
    }

    /// The document with this table in the place of its own. Columns of kernels that did not run stay as they are.
    fn applied_to(&self, document: &str) -> Result<String> {
        let (before, rest) = document
            .split_once(BEGIN)
            .context("the table has no begin")?;
        let (old, after) = rest.split_once(END).context("the table has no end")?;
        let mut old = cells(old);
        if self.ran.len() == Column::ALL.len() {
            // Nothing of it is left to be kept.
            old.clear();
        }
        let missing: Vec<&str> = self
            .kinds
            .iter()
            .filter(|kind| !self.rows.contains_key(*kind) && !old.contains_key(*kind))
            .map(String::as_str)
            .collect();
        if self.kinds.is_empty() || !missing.is_empty() {
            bail!("no test says what it saw of: {}", missing.join(", "));
        }
        let table = self.table(&old);
        Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
    }

    fn table(&self, old: &BTreeMap<String, Vec<String>>) -> String {
        let mut table = String::from("| kind |");
        for column in Column::ALL {
            let _ = write!(table, " {} |", column.heading());
        }
        table.push_str(" tests |\n|---|---|---|---|---|\n");
        let names: BTreeSet<&String> = self.rows.keys().chain(old.keys()).collect();
        let mut names: Vec<&String> = names.into_iter().filter(|name| *name != "kind").collect();
        // A row about a part of a kind stands behind the kind's own.
        let rank = |name: &str| {
            let kind = name.split(' ').next().unwrap_or(name);
            self.kinds.iter().position(|known| known == kind)
        };
        names.sort_by_key(|name| (rank(name), *name));
        for name in names {
            let row = self.rows.get(name).cloned().unwrap_or_default();
            let _ = write!(table, "| {name} |");
            for (place, column) in Column::ALL.iter().enumerate() {
                let said = match (self.ran.contains(column), old.get(name)) {
                    (true, _) => row.cells.get(column).map(|cell| joined(cell, "; ")),
                    (false, Some(cells)) => cells.get(place).cloned(),
                    (false, None) => None,
                };
                let _ = write!(table, " {} |", said.as_deref().unwrap_or(NOTHING));
            }
            // Tests that say nothing on the kernels that ran have said it on the others.
            let known = old.get(name).and_then(|cells| cells.last());
            let known = known.into_iter().flat_map(|known| known.split(", "));
            let tests = row.tests.iter().map(String::as_str).chain(known);
            let tests = tests.map(str::to_owned).collect();
            let _ = writeln!(table, " {} |", joined(&tests, ", "));
        }
        table
    }

    /// Compares the document with what was seen.
    pub(crate) fn check(&self) -> Result<()> {
        if self.ran.is_empty() {
            println!("the table says nothing of this kernel, and no other ran");
            return Ok(());
        }
        let document = fs::read_to_string(path())?;
        let wanted = self.applied_to(&document)?;
        let (old, new) = (lines(&document), lines(&wanted));
        for line in old.difference(&new) {
            println!("- {line}");
        }
        for line in new.difference(&old) {
            println!("+ {line}");
        }
        if document != wanted {
            bail!(
                "docs/kinds.md says something else than the tests (above); `cargo xtask matrix` writes what they saw"
            );
        }
        Ok(())
    }
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

fn joined(texts: &BTreeSet<String>, between: &str) -> String {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.join(between)
}

/// The cells of a table behind the first, by the first.
fn cells(table: &str) -> BTreeMap<String, Vec<String>> {
    table
        .lines()
        .filter_map(|line| {
            let inside = line.strip_prefix("| ")?.strip_suffix(" |")?;
            let mut cells = inside.split(" | ").map(str::to_owned);
            Some((cells.next()?, cells.collect()))
        })
        .collect()
}

fn path() -> PathBuf {
    workspace().join("docs/kinds.md")
}

/// `cargo xtask matrix`: runs the tests that say something, and writes the table.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    let artifacts = build_all(Profile::Dev)?;
    let mut matrix = Matrix::default();
    test::look_at_kinds(&artifacts, &mut matrix)?;
    let document = fs::read_to_string(path())?;
    fs::write(path(), matrix.applied_to(&document)?)?;
    println!("written to {}", path().display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(columns: &[(Column, &str)]) -> Matrix {
        let mut matrix = Matrix::default();
        for (column, outcome) in columns {
            matrix.ran(*column);
            matrix.note(*column, "matrix of kinds: xdp tc");
            matrix.note(*column, &format!("matrix: xdp | {outcome} | first"));
            matrix.note(*column, "matrix: xdp in two | counts | second");
            matrix.note(*column, "matrix: tc | counts | first");
        }
        matrix
    }

    fn document(rows: &str) -> String {
        format!("words\n{BEGIN}\n{rows}{END}\nmore words\n")
    }

    #[test]
    fn what_was_seen_becomes_the_table() {
        let all = seen(&[
            (Column::V6_1, "unsupported at load: a: b"),
            (Column::V6_12, "counts"),
            (Column::Bare, "counts"),
        ]);
        let table = all.applied_to(&document("")).unwrap();
        let expected = "| kind | Linux 6.1 | Linux 6.12 | that 6.18 | tests |\n|---|---|---|---|---|\n\
            | xdp | unsupported at load: a: b | counts | counts | `first` |\n\
            | xdp in two | counts | counts | counts | `second` |\n\
            | tc | counts | counts | counts | `first` |\n";
        assert_eq!(table, document(expected));
        assert_eq!(all.applied_to(&table).unwrap(), table);

        // Another machine's kernel, and no virtual machines: their columns are not touched.
        let one = seen(&[(Column::V6_12, "runs")]);
        let changed = one.applied_to(&table).unwrap();
        assert_eq!(
            changed,
            table.replace("a: b | counts | counts", "a: b | runs | counts")
        );
    }

    #[test]
    fn a_kind_about_which_nobody_speaks_is_an_error() {
        let mut matrix = seen(&[(Column::V6_12, "counts")]);
        matrix.rows.remove("tc");
        let error = matrix.applied_to(&document("")).unwrap_err();
        assert_eq!(error.to_string(), "no test says what it saw of: tc");
        assert!(Matrix::default().applied_to(&document("")).is_err());
        assert!(
            seen(&[(Column::V6_1, "counts")])
                .applied_to("no table")
                .is_err()
        );
    }
}
