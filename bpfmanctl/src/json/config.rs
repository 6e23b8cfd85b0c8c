//! The configuration.

use crate::commands::ConfigRow;
use serde::Serialize;
use std::path::Path;

/// What `config show` prints.
#[derive(Serialize)]
pub(crate) struct Configuration {
    /// Null when the default one does not exist.
    file: Option<String>,
    values: Vec<Value>,
}

#[derive(Serialize)]
struct Value {
    key: String,
    /// In TOML; tables in lists are only counted.
    value: String,
    origin: &'static str,
    /// Of the file.
    line: Option<usize>,
}

impl Configuration {
    pub(crate) fn new(file: Option<&Path>, rows: &[ConfigRow]) -> Self {
        let values = rows.iter().map(|row| Value {
            key: row.key.clone(),
            value: row.value.clone(),
            origin: row.origin,
            line: row.line,
        });
        Self {
            file: file.map(|file| file.display().to_string()),
            values: values.collect(),
        }
    }
}
