//! The configuration file. Whatever is wrong with it is an error: a service that falls back to defaults after a typing
//! mistake is not the one that was configured. Keys that this version does not know are reported and left alone, since
//! files of other versions must stay usable.

use crate::limits::FILE_BYTES;
use crate::prepare::log::Format;
use crate::prepare::registries::{self, Registries};
use crate::prepare::signing::{self, Signing};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Read when no other is named; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/bpfman/bpfman.toml";

/// What is configured.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Config {
    /// `[logging]`
    #[serde(default)]
    pub logging: Logging,
    /// `[signing]`
    #[serde(default)]
    pub signing: Signing,
    /// `[registries]`
    #[serde(default)]
    pub registries: Registries,
}

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Logging {
    /// As `--log`, which is stronger.
    #[serde(default = "default_level")]
    pub level: String,
    /// `text` or `json`.
    #[serde(default)]
    pub format: Format,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: default_level(),
            format: Format::Text,
        }
    }
}

fn default_level() -> String {
    "info".to_owned()
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}; name a readable file with --config", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is longer than anybody would write.
    #[error("{} is larger than {FILE_BYTES} bytes; is it a configuration file?", .0.display())]
    TooLarge(PathBuf),
    /// It is not TOML, or a value has the wrong type.
    #[error("{}: {source}correct the file, or name another with --config", path.display())]
    Invalid {
        /// Which.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
}

/// Reads the file that was named, or the default one if it exists. Returns the unknown keys beside what is configured.
pub fn read(named: Option<&Path>) -> Result<(Config, Vec<String>), ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Default::default());
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    parse(&text).map_err(|source| ConfigError::Invalid {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

fn parse(text: &str) -> Result<(Config, Vec<String>), toml::de::Error> {
    let config = toml::from_str(text)?;
    let table: toml::Table = toml::from_str(text)?;
    Ok((config, unknown(&table)))
}

fn unknown(table: &toml::Table) -> Vec<String> {
    let mut unknown = Vec::new();
    for (key, value) in table {
        match (key.as_str(), value) {
            ("logging", toml::Value::Table(logging)) => {
                let known = ["level", "format"];
                unknown.extend(
                    logging
                        .keys()
                        .filter(|key| !known.contains(&key.as_str()))
                        .map(|key| format!("logging.{key}")),
                );
            }
            ("registries", toml::Value::Table(table)) => {
                unknown.extend(
                    table
                        .keys()
                        .filter(|key| !registries::KEYS.contains(&key.as_str()))
                        .map(|key| format!("registries.{key}")),
                );
            }
            ("signing", toml::Value::Table(signing)) => {
                unknown.extend(
                    signing
                        .keys()
                        .filter(|key| !signing::KEYS.contains(&key.as_str()))
                        .map(|key| format!("signing.{key}")),
                );
            }
            _ => unknown.push(key.clone()),
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_defaults() {
        assert_eq!(parse("").unwrap(), (Config::default(), vec![]));
        assert_eq!(Config::default().logging.level, "info");
    }

    #[test]
    fn logging_is_read_and_unknown_keys_are_named() {
        let text = "[signing]\nallow_unsigned = true\nshine = 1\n[other]\n[logging]\nlevel = \"warn\"\nformat = \"json\"\ncolour = 1\n";
        let (config, unknown) = parse(text).unwrap();
        assert_eq!(
            config.logging,
            Logging {
                level: "warn".to_owned(),
                format: Format::Json
            }
        );
        assert!(config.signing.settings.allow_unsigned);
        assert_eq!(unknown, ["logging.colour", "other", "signing.shine"]);
    }

    #[test]
    fn a_wrong_value_is_an_error_and_not_a_default() {
        for text in [
            "logging = 1",
            "[logging]\nlevel = 3",
            "[logging]\nformat = \"xml\"",
            "[logging",
            "\u{0}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_named_file_must_exist_and_be_readable_text() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.toml");
        let error = read(Some(&missing)).unwrap_err().to_string();
        assert!(
            error.contains("missing.toml") && error.contains("--config"),
            "{error}"
        );
        assert!(read(Some(directory.path())).is_err());
        let binary = directory.path().join("binary.toml");
        std::fs::write(&binary, b"\xff\xfe").unwrap();
        assert!(read(Some(&binary)).is_err());
    }

    #[test]
    fn a_file_one_byte_past_the_limit_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long.toml");
        std::fs::write(&path, "#".repeat(FILE_BYTES as usize)).unwrap();
        assert!(read(Some(&path)).is_ok());
        std::fs::write(&path, "#".repeat(FILE_BYTES as usize + 1)).unwrap();
        assert!(matches!(read(Some(&path)), Err(ConfigError::TooLarge(_))));
    }
}
