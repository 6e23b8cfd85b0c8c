//! What is wrong with a file: which line, which key, what to do.

use crate::limits::FILE_BYTES;
use std::io;
use std::path::{Path, PathBuf};

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
    /// Keys or values are not known.
    #[error("{}: {}; correct the file, or name another with --config", path.display(), list(errors))]
    Keys {
        /// Which.
        path: PathBuf,
        /// All of them, in the order of the file.
        errors: Vec<KeyError>,
    },
}

/// A key that is wrong, or the value of one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {key} {cause}")]
pub struct KeyError {
    /// Line of the file, from 1.
    pub line: usize,
    /// The whole key, as in `logging.level`.
    pub key: String,
    /// What is wrong, and what may be meant.
    pub cause: String,
}

fn list(errors: &[KeyError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

/// What is wrong with a text whose file is not known here.
#[derive(Debug)]
pub(crate) enum TextError {
    Invalid(toml::de::Error),
    Keys(Vec<KeyError>),
}

impl From<toml::de::Error> for TextError {
    fn from(error: toml::de::Error) -> Self {
        Self::Invalid(error)
    }
}

impl TextError {
    pub(crate) fn of(self, path: &Path) -> ConfigError {
        let path = path.to_owned();
        match self {
            Self::Invalid(source) => ConfigError::Invalid {
                path,
                source: Box::new(source),
            },
            Self::Keys(errors) => ConfigError::Keys { path, errors },
        }
    }
}
