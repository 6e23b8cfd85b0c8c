//! What can be wrong with the store, and how it is told.

use ipc::messages::failure::{Failure, FailureCode, Stage};

/// What can be wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be opened.
    #[error("the store {path} cannot be opened: {reason}")]
    Open {
        /// Its directory.
        path: String,
        /// What the database says.
        reason: String,
    },
    /// A later version of bpfman wrote it.
    #[error("the store was written by a newer bpfman (schema {found}, this one knows {known})")]
    Newer {
        /// In the store.
        found: u32,
        /// Of this build.
        known: u32,
    },
    /// An earlier version wrote it, and there is no migration.
    #[error("the store has schema {found}, this bpfman knows {known}")]
    Older {
        /// In the store.
        found: u32,
        /// Of this build.
        known: u32,
    },
    /// A record does not decode.
    #[error("the record {key} in the store is unreadable: {reason}")]
    Corrupt {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// Reading failed.
    #[error("the store cannot be read: {0}")]
    Read(String),
    /// Writing failed.
    #[error("the store cannot be written: {0}")]
    Write(String),
    /// A record is too large.
    #[error("the record {key} is too large for the store")]
    TooLarge {
        /// Its key.
        key: String,
    },
}

impl StoreError {
    pub(super) fn read(error: rocksdb::Error) -> Self {
        Self::Read(error.to_string())
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::Open { .. } => {
                "see that its directory is the loader's own and that no other bpfman uses it"
            }
            Self::Newer { .. } => "start the newer bpfman again, or name another --state-dir",
            Self::Older { .. } => "name another --state-dir",
            Self::Corrupt { .. } => {
                "keep a copy of the store and report it; other records are unharmed"
            }
            Self::Read(_) | Self::Write(_) => "see that the disk is neither full nor failing",
            Self::TooLarge { .. } => "use less metadata",
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::TooLarge { .. } => FailureCode::ResourceExhausted,
            StoreError::Newer { .. } | StoreError::Older { .. } => FailureCode::FailedPrecondition,
            _ => FailureCode::Internal,
        };
        Failure::new(code, Stage::Store, error.to_string()).remedy(error.remedy())
    }
}
