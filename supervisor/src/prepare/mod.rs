//! Everything that `bpfmand` does as root, before it is two processes without power. One file per step, in this order:
//! [`flags`], the configuration file, [`log`], [`users`], [`directories`] with [`lock`], [`mounts`], [`notify`], [`workers`],
//! [`socket`], [`csi`] where volumes are served.

pub mod csi;
pub mod directories;
pub mod flags;
pub mod lock;
pub mod log;
pub mod mounts;
pub mod notify;
pub mod registries;
pub mod socket;
pub mod trust;
pub mod users;
pub mod walk;
pub mod workers;

use std::io;
use std::path::PathBuf;

/// Why `bpfmand` does not start: stage, cause, remedy.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is not root.
    #[error(
        "start: bpfmand is started by root, here by uid {0}; it keeps nothing of it but what its workers need"
    )]
    NotRoot(u32),
    /// The configuration.
    #[error("configuration: {0}")]
    Config(#[from] configuration::ConfigError),
    /// `--log` or logging.level.
    #[error("log: {0}")]
    Log(#[from] log::SpecError),
    /// The users.
    #[error("users: {0}")]
    Users(#[from] users::UsersError),
    /// `--sandbox`.
    #[error("sandbox: {0}")]
    Mode(#[from] sandbox::mode::ModeError),
    /// A directory, file or mount.
    #[error("{stage}: {}: {source}; {remedy}", path.display())]
    Path {
        /// Which step.
        stage: &'static str,
        /// Which path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A directory, file or mount that is not what it must be.
    #[error("{stage}: {}: {cause}; {remedy}", path.display())]
    Unfit {
        /// Which step.
        stage: &'static str,
        /// Which path.
        path: PathBuf,
        /// What is wrong.
        cause: String,
        /// What to do.
        remedy: String,
    },
    /// Another instance runs.
    #[error("lock: {} is in use by another bpfmand; give this one its own {}", .0.display(), .1)]
    InUse(PathBuf, &'static str),
    /// The spawner could not be forked.
    #[error("spawner: {0}")]
    Spawner(#[source] io::Error),
    /// The supervisor could not enter its sandbox.
    #[error("{0}")]
    Sandbox(#[from] sandbox::EnterError),
    /// The runtime could not be started.
    #[error("runtime: {0}")]
    Runtime(#[source] io::Error),
}

impl PrepareError {
    /// A closure for `map_err` that names step, path and remedy.
    pub(crate) fn path<E: Into<io::Error>>(
        stage: &'static str,
        path: impl Into<PathBuf>,
        remedy: &'static str,
    ) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| PrepareError::Path {
            stage,
            path,
            source: source.into(),
            remedy,
        }
    }
}
