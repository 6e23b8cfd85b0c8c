//! How the spawner tells a worker its settings: `key=value` in argv.
//!
//! Values are taken byte for byte, so any path passes. Every key is known, none is given twice (but `read`), and all that
//! have no default must be there: a worker that misunderstands its settings does not start.

use crate::{Identity, Mode, limits};
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::str::FromStr;

/// The settings of a worker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkerArguments {
    /// Which worker. A one-shot helper is `Role::Helper`, and `helper` says for what.
    pub role: Role,
    /// What a one-shot helper does; `None` for every other role.
    pub helper: Option<HelperKind>,
    /// Who it is to be.
    pub identity: Identity,
    /// The group whose members may use bpfman; only root may when there is none.
    pub client_gid: Option<u32>,
    /// Its incarnation.
    pub generation: u32,
    /// Whether its sandbox enforces.
    pub mode: Mode,
    /// Sockets and bpffs.
    pub runtime_dir: PathBuf,
    /// Store, plans, audit.
    pub state_dir: PathBuf,
    /// Compiled objects.
    pub cache_dir: PathBuf,
    /// What it logs, see [`crate::logging`].
    pub log: String,
    /// Beneath it are the directories of pods; none where no volumes are served. For the helper that mounts.
    pub kubelet_dir: Option<PathBuf>,
    /// Further paths that it may read.
    pub read: Vec<PathBuf>,
}

/// Why arguments are refused.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ArgumentError {
    /// Not of the form `key=value`.
    #[error(
        "argument `{0}` is not key=value; bpfmand starts this program, do not start it by hand"
    )]
    Malformed(String),
    /// No such key.
    #[error("unknown setting `{0}`; use the same version of bpfmand and its workers")]
    Unknown(String),
    /// Given twice.
    #[error("setting `{0}` is given twice")]
    Repeated(&'static str),
    /// Not given.
    #[error("setting `{0}` is missing; bpfmand starts this program, do not start it by hand")]
    Missing(&'static str),
    /// Not a value of this key.
    #[error("setting `{key}` must be {expected}")]
    Invalid {
        /// Which.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// More than a bound of [`limits`] allows.
    #[error("too many {0}")]
    TooMany(&'static str),
}

const SINGLE: [&str; 13] = [
    "role",
    "helper",
    "uid",
    "gid",
    "groups",
    "client-gid",
    "generation",
    "mode",
    "runtime-dir",
    "state-dir",
    "cache-dir",
    "log",
    "kubelet-dir",
];
const READ: &str = "read";

impl WorkerArguments {
    /// Parses the arguments without the program name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let settings = Settings::collect(arguments)?;
        let role = role(settings.text("role")?)?;
        let helper = settings.optional_text("helper")?.map(helper).transpose()?;
        if (role == Role::Helper) != helper.is_some() {
            return Err(invalid(
                "helper",
                "given for the role helper, and for no other",
            ));
        }
        Ok(Self {
            role,
            helper,
            identity: Identity {
                uid: settings.number("uid")?,
                gid: settings.number("gid")?,
                groups: groups(settings.text("groups")?)?,
            },
            client_gid: settings.optional_number("client-gid")?,
            generation: settings.number("generation")?,
            mode: settings
                .text("mode")?
                .parse()
                .map_err(|_| invalid("mode", "enforce or log"))?,
            runtime_dir: settings.directory("runtime-dir")?,
            state_dir: settings.directory("state-dir")?,
            cache_dir: settings.directory("cache-dir")?,
            log: log(settings.text("log")?)?,
            kubelet_dir: settings.optional_directory("kubelet-dir")?,
            read: settings.read,
        })
    }

    /// The arguments without the program name; `parse` gives back the same.
    pub fn to_argv(&self) -> Vec<OsString> {
        let text = |key: &str, value: &str| OsString::from(format!("{key}={value}"));
        let path = |key: &str, value: &PathBuf| {
            let mut argument = OsString::from(format!("{key}="));
            argument.push(value);
            argument
        };
        let groups: Vec<String> = self.identity.groups.iter().map(u32::to_string).collect();
        let mut argv = vec![text("role", self.role.name())];
        argv.extend(self.helper.map(|kind| text("helper", helper_name(kind))));
        argv.extend([
            text("uid", &self.identity.uid.to_string()),
            text("gid", &self.identity.gid.to_string()),
            text("groups", &groups.join(",")),
        ]);
        argv.extend(
            self.client_gid
                .map(|gid| text("client-gid", &gid.to_string())),
        );
        argv.extend([
            text("generation", &self.generation.to_string()),
            text("mode", self.mode.name()),
            path("runtime-dir", &self.runtime_dir),
            path("state-dir", &self.state_dir),
            path("cache-dir", &self.cache_dir),
            text("log", &self.log),
        ]);
        argv.extend(
            self.kubelet_dir
                .as_ref()
                .map(|directory| path("kubelet-dir", directory)),
        );
        argv.extend(self.read.iter().map(|value| path(READ, value)));
        argv
    }
}

/// The values by key, checked for form and number.
struct Settings {
    single: [Option<OsString>; SINGLE.len()],
    read: Vec<PathBuf>,
}

impl Settings {
    fn collect(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let mut settings = Self {
            single: Default::default(),
            read: Vec::new(),
        };
        // Their number needs no bound of its own: all keys but one may be there only once, and that one is bounded.
        for argument in arguments {
            if argument.len() > limits::ARGUMENT_BYTES {
                return Err(ArgumentError::TooMany("bytes in one argument"));
            }
            settings.add(&argument)?;
        }
        Ok(settings)
    }

    fn add(&mut self, argument: &OsStr) -> Result<(), ArgumentError> {
        let bytes = argument.as_bytes();
        let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else {
            return Err(ArgumentError::Malformed(excerpt(bytes)));
        };
        let (key, value) = (
            &bytes[..equals],
            OsString::from_vec(bytes[equals + 1..].to_vec()),
        );
        if key == READ.as_bytes() {
            if self.read.len() >= limits::EXTRA_PATHS {
                return Err(ArgumentError::TooMany("paths to read"));
            }
            self.read.push(absolute(READ, value)?);
            return Ok(());
        }
        for (name, slot) in SINGLE.into_iter().zip(&mut self.single) {
            if key == name.as_bytes() {
                return match slot.replace(value) {
                    None => Ok(()),
                    Some(_) => Err(ArgumentError::Repeated(name)),
                };
            }
        }
        Err(ArgumentError::Unknown(excerpt(key)))
    }

    fn optional(&self, key: &'static str) -> Option<&OsString> {
        SINGLE
            .iter()
            .zip(&self.single)
            .find(|(name, _)| **name == key)?
            .1
            .as_ref()
    }

    fn required(&self, key: &'static str) -> Result<&OsString, ArgumentError> {
        self.optional(key).ok_or(ArgumentError::Missing(key))
    }

    fn optional_text(&self, key: &'static str) -> Result<Option<&str>, ArgumentError> {
        self.optional(key)
            .map(|value| value.to_str().ok_or_else(|| invalid(key, "valid UTF-8")))
            .transpose()
    }

    fn text(&self, key: &'static str) -> Result<&str, ArgumentError> {
        self.optional_text(key)?.ok_or(ArgumentError::Missing(key))
    }

    fn number(&self, key: &'static str) -> Result<u32, ArgumentError> {
        id(self.text(key)?).ok_or_else(|| invalid(key, "a decimal number below 4294967295"))
    }

    fn optional_number(&self, key: &'static str) -> Result<Option<u32>, ArgumentError> {
        self.optional(key).map(|_| self.number(key)).transpose()
    }

    fn optional_directory(&self, key: &'static str) -> Result<Option<PathBuf>, ArgumentError> {
        let value = self.optional(key).cloned();
        value.map(|value| absolute(key, value)).transpose()
    }

    fn directory(&self, key: &'static str) -> Result<PathBuf, ArgumentError> {
        absolute(key, self.required(key)?.clone())
    }
}

fn invalid(key: &'static str, expected: &'static str) -> ArgumentError {
    ArgumentError::Invalid { key, expected }
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).into_owned()
}

fn absolute(key: &'static str, value: OsString) -> Result<PathBuf, ArgumentError> {
    let path = PathBuf::from(value);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(invalid(key, "an absolute path"))
    }
}

/// Only what `to_string` writes: no sign, no leading zero, and not -1, which set*id takes for "leave as it is".
fn id(text: &str) -> Option<u32> {
    let number = u32::from_str(text).ok()?;
    (number != u32::MAX && number.to_string() == text).then_some(number)
}

fn groups(text: &str) -> Result<Vec<u32>, ArgumentError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let groups: Option<Vec<u32>> = text.split(',').take(limits::GROUPS + 1).map(id).collect();
    let groups = groups.ok_or_else(|| invalid("groups", "decimal numbers separated by commas"))?;
    if groups.len() > limits::GROUPS {
        return Err(ArgumentError::TooMany("groups"));
    }
    Ok(groups)
}

fn log(text: &str) -> Result<String, ArgumentError> {
    if text.len() > limits::LOG_SPEC_BYTES {
        return Err(ArgumentError::TooMany("bytes in the log specification"));
    }
    Ok(text.to_owned())
}

fn role(name: &str) -> Result<Role, ArgumentError> {
    [
        Role::Supervisor,
        Role::Loader,
        Role::Image,
        Role::Api,
        Role::Helper,
    ]
    .into_iter()
    .find(|role| role.name() == name)
    .ok_or_else(|| invalid("role", "supervisor, loader, image, api or helper"))
}

fn helper_name(kind: HelperKind) -> &'static str {
    match kind {
        HelperKind::PerfEvent => "perf-event",
        HelperKind::ChangeGroup => "change-group",
        HelperKind::NetworkNamespace => "network-namespace",
        HelperKind::OpenPath => "open-path",
        HelperKind::OpenInContainer => "open-in-container",
        HelperKind::DescribeXdp => "describe-xdp",
        HelperKind::MountVolume => "mount-volume",
        HelperKind::Libxdp => "libxdp",
    }
}

fn helper(name: &str) -> Result<HelperKind, ArgumentError> {
    [
        HelperKind::PerfEvent,
        HelperKind::ChangeGroup,
        HelperKind::NetworkNamespace,
        HelperKind::OpenPath,
        HelperKind::OpenInContainer,
        HelperKind::DescribeXdp,
        HelperKind::MountVolume,
        HelperKind::Libxdp,
    ]
    .into_iter()
    .find(|&kind| helper_name(kind) == name)
    .ok_or_else(|| {
        invalid(
            "helper",
            "perf-event, change-group, network-namespace, open-path, open-in-container, describe-xdp, mount-volume or libxdp",
        )
    })
}

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
