//! `[logging]`: what is logged, and in which form.

use crate::error::KeyError;
use crate::keys::{Origin, Value, suggestion};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Logging {
    /// As `--log`, which is stronger.
    #[serde(default = "default_level")]
    pub level: String,
    /// `text` or `json`.
    #[serde(default)]
    pub format: Format,
    /// Levels of single components.
    #[serde(default)]
    pub components: BTreeMap<String, String>,
}

/// Form of the log on standard error.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: default_level(),
            format: Format::Text,
            components: BTreeMap::new(),
        }
    }
}

fn default_level() -> String {
    "info".to_owned()
}

impl Logging {
    /// Level and components as one specification, as `--log` takes it.
    pub fn specification(&self) -> String {
        let mut specification = self.level.clone();
        for (component, level) in &self.components {
            // Whose work it is here.
            let component = match component.as_str() {
                "server" => "api",
                "manager" => "loader",
                "store" => "loader_worker::store",
                "lock" => "supervisor::prepare::lock",
                "setup" => "supervisor::prepare",
                other => other,
            };
            specification.push_str(&format!(",{component}={level}"));
        }
        specification
    }
}

const LEVELS: [&str; 8] = [
    "off", "error", "err", "warn", "warning", "info", "debug", "trace",
];

/// Levels that are none. Values that are not text are left to the types.
pub(crate) fn check(values: &[Value]) -> Vec<KeyError> {
    let mut wrong = Vec::new();
    for value in values {
        let (Origin::File(line), Some(text)) = (value.origin, value.as_text()) else {
            continue;
        };
        let levels: Vec<&str> = if value.key == "logging.level" {
            // `LEVEL[,COMPONENT=LEVEL...]`
            let directives = text.split(',').map(str::trim);
            directives
                .filter(|directive| !directive.is_empty())
                .map(|directive| {
                    directive
                        .split_once('=')
                        .map_or(directive, |(_, level)| level)
                })
                .collect()
        } else if value.key.starts_with("logging.components.") {
            vec![text]
        } else {
            continue;
        };
        for level in levels.iter().filter(|level| !LEVELS.contains(level)) {
            wrong.push(KeyError {
                line,
                key: value.key.clone(),
                cause: format!(
                    "has the level \"{level}\", which is not known{}; known are {}",
                    suggestion(level, LEVELS),
                    LEVELS.join(", ")
                ),
            });
        }
    }
    wrong
}
