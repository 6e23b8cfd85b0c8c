//! The configuration file of bpfman: read by the service at its start, checked and shown by the command line.
//!
//! Whatever is wrong with it is an error: a service that falls back to defaults after a typing mistake is not the one that
//! was configured. Files of other versions stay usable: a key that this version does not know has no effect and is named,
//! unless it looks like a misspelt one, or stands where leaving it out would make the service trust more.
//!
//! To add a key: its type in the table's own file, its row in `keys`, a commented line in `supervisor/dist/bpfman.toml`.

mod csi;
mod error;
mod established;
mod keys;
mod kinds;
pub mod limits;
mod logging;
mod named;
mod place;
mod registries;
mod signing;

pub use csi::Csi;
pub use error::{ConfigError, KeyError};
pub use established::{Database, Interface, XdpMode};
pub use keys::{Origin, Unknown, Value};
pub use logging::{Format, Logging, specification_faults};
pub use registries::Registries;
pub use signing::{DEFAULT_TRUST_DIR, Signing};

use limits::FILE_BYTES;
use serde::Deserialize;
use std::collections::BTreeMap;
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
    /// `[csi]`
    #[serde(default)]
    pub csi: Csi,
    /// `[interfaces.<name>]`
    #[serde(default)]
    pub interfaces: BTreeMap<String, Interface>,
    /// `[database]`
    #[serde(default)]
    pub database: Database,
}

/// A configuration with where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What is configured.
    pub config: Config,
    /// The file that was read; none when the default one does not exist.
    pub file: Option<PathBuf>,
    /// Every key with its value and where that stands.
    pub values: Vec<Value>,
    /// Keys that this version does not know.
    pub unknown: Vec<Unknown>,
}

impl Loaded {
    /// What the file says that has no effect, one sentence each.
    pub fn without_effect(&self) -> Vec<String> {
        let unknown = self.unknown.iter().map(|unknown| {
            format!(
                "line {}: {} is not known to this version and has no effect",
                unknown.line, unknown.key
            )
        });
        let established = self
            .values
            .iter()
            .filter_map(|value| match value.origin {
                Origin::File(line) => Some((value.key.as_str(), line)),
                Origin::Default => None,
            })
            .filter_map(|(key, line)| {
                let reason = established::without_effect(key)?;
                Some(format!("line {line}: {key} has no effect: {reason}"))
            });
        unknown.chain(established).collect()
    }
}

/// Reads the file that was named, or the default one if it exists.
///
/// # Errors
///
/// It cannot be read, is no TOML, or has a key or value that is wrong.
pub fn read(named: Option<&Path>) -> Result<Loaded, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let unreadable = |source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Loaded {
                values: keys::defaults(),
                ..Loaded::default()
            });
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
    parse(&text)
        .map(|loaded| Loaded {
            file: Some(path.to_owned()),
            ..loaded
        })
        .map_err(|error| error.of(path))
}

/// Takes a text in.
fn parse(text: &str) -> Result<Loaded, error::TextError> {
    let table = toml::de::DeTable::parse(text)?;
    let found = keys::walk(text, table.get_ref());
    let mut wrong = found.wrong;
    wrong.extend(logging::check(&found.values));
    if !wrong.is_empty() {
        wrong.sort_by_key(|error| error.line);
        return Err(error::TextError::Keys(wrong));
    }
    // What is wrong in ways that kinds of values do not know.
    let config = toml::from_str(text).map_err(|error: toml::de::Error| {
        let place = error.span().map_or(0, |span| span.start);
        let (key, line) = place::holder(text, table.get_ref(), place);
        let cause = format!("is wrong: {}", error.message());
        error::TextError::Keys(vec![KeyError { line, key, cause }])
    })?;
    Ok(Loaded {
        config,
        file: None,
        values: found.values,
        unknown: found.unknown,
    })
}

#[cfg(test)]
mod tests;
