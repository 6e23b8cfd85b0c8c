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
            specification.push_str(&format!(",{component}={level}"));
        }
        specification
    }
}

const LEVELS: [&str; 8] = [
    "off", "error", "err", "warn", "warning", "info", "debug", "trace",
];

/// Ours, and those of the established service.
const COMPONENTS: [&str; 11] = [
    "api",
    "image",
    "loader",
    "helper",
    "supervisor",
    "server",
    "manager",
    "store",
    "lock",
    "setup",
    "csi",
];

/// What logs by the names of its modules: our crates, and libraries that say more than a warning.
const CRATES: [&str; 10] = [
    "api_worker",
    "image_worker",
    "loader_worker",
    "supervisor",
    "sandbox",
    "h2",
    "hyper",
    "ractor",
    "rustls",
    "tonic",
];

/// Levels and components that are none. Values that are not text are wrong already.
pub(crate) fn check(values: &[Value]) -> Vec<KeyError> {
    let mut wrong = Vec::new();
    for value in values {
        let (Origin::File(line), Some(text)) = (value.origin, value.as_text()) else {
            continue;
        };
        let mut fault = |cause: Option<String>| {
            let key = value.key.clone();
            wrong.extend(cause.map(|cause| KeyError { line, key, cause }));
        };
        if value.key == "logging.level" {
            for cause in specification_faults(text) {
                fault(Some(cause));
            }
        } else if let Some(name) = value.key.strip_prefix("logging.components.") {
            fault(component(name).map(|cause| format!("is a {cause}")));
            fault(unknown_level(text));
        }
    }
    wrong
}

/// What is wrong with `LEVEL[,COMPONENT=LEVEL...]`: levels and components that are none, each as the end of a sentence.
pub fn specification_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let directives = text.split(',').map(str::trim);
    for directive in directives.filter(|directive| !directive.is_empty()) {
        let (name, level) = match directive.split_once('=') {
            Some((name, level)) => (Some(name), level),
            None => (None, directive),
        };
        faults.extend(
            name.and_then(component)
                .map(|cause| format!("has the {cause}")),
        );
        faults.extend(unknown_level(level));
    }
    faults
}

fn unknown_level(level: &str) -> Option<String> {
    (!LEVELS.contains(&level)).then(|| {
        format!(
            "has the level \"{level}\", which is not known{}; known are {}",
            suggestion(level, LEVELS),
            LEVELS.join(", ")
        )
    })
}

/// What is wrong with a component.
fn component(name: &str) -> Option<String> {
    let first = name.split("::").next().unwrap_or(name);
    let is_known = COMPONENTS.contains(&name) || CRATES.contains(&first);
    (!is_known).then(|| {
        format!(
            "component \"{name}\", which is not known{}; known are {}",
            suggestion(name, COMPONENTS),
            COMPONENTS.join(", ")
        )
    })
}
