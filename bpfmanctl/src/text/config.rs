//! The configuration as a table.

use super::table;
use crate::commands::ConfigRow;
use std::path::Path;

/// The table of `config show`.
pub(crate) fn configuration(file: Option<&Path>, rows: &[ConfigRow], width: Option<u16>) -> String {
    let row = |row: &ConfigRow| {
        let origin = match (row.line, file) {
            (Some(line), Some(file)) => format!("{}:{line}", file.display()),
            _ => row.origin.to_owned(),
        };
        vec![row.key.clone(), row.value.clone(), origin]
    };
    let rows = rows.iter().map(row).collect();
    table(&["KEY", "VALUE", "ORIGIN"], rows, width)
}
