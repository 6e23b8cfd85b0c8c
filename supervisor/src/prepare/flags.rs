//! The command line of `bpfmand`.

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser};
use sandbox::Mode;
use std::env::var_os;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The root of an installed service. What belongs to it is where the file system hierarchy has it; all that belongs to any
/// other root is below that, so that two services with different roots have nothing in common.
const INSTALLED_ROOT: &str = "/run/bpfman";

/// Loads, attaches, orders, watches and removes eBPF programs for applications that must not hold that privilege.
#[derive(Clone, Debug, Parser)]
#[command(name = "bpfmand", version = ipc::build::VERSION)]
pub struct Flags {
    /// Configuration file [default: /etc/bpfman/bpfman.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "BPFMAN_CONFIG",
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub config: Option<PathBuf>,
    /// Sockets, the lock and the bpffs mount
    #[arg(long, value_name = "DIR", default_value = INSTALLED_ROOT, value_parser = absolute)]
    pub runtime_dir: PathBuf,
    /// Socket of the gRPC interface [default: bpfman.sock in the directory of --runtime-dir with `-sock` appended]
    #[arg(long, value_name = "PATH", env = "BPFMAN_SOCKET_PATH", value_parser = absolute)]
    pub socket_path: Option<PathBuf>,
    /// Store and load plans [default: `state` in --runtime-dir, but /var/lib/bpfman for /run/bpfman]
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    state_dir: Option<PathBuf>,
    /// Cache of images and compiled objects [default: `cache` in --runtime-dir, but /var/cache/bpfman for /run/bpfman]
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    image_cache_dir: Option<PathBuf>,
    /// Where the worker binaries are [default: beside bpfmand, else /usr/libexec/bpfman]
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    pub worker_dir: Option<PathBuf>,
    /// What to log: LEVEL[,COMPONENT=LEVEL...] [default: logging.level of the configuration, else info]
    #[arg(long, value_name = "SPEC", env = "BPFMAN_LOG")]
    pub log: Option<String>,
    /// Serve volumes of Kubernetes pods (CSI), or do not [default: csi.enabled of the configuration, else not]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub csi_support: Option<bool>,
    /// Refuse to start when a system user is missing, instead of falling back to a numeric id
    #[arg(long)]
    pub require_users: bool,
    /// enforce, or log (learning a policy; only from a terminal)
    #[arg(long, value_name = "MODE", default_value = "enforce")]
    pub sandbox: Mode,
    /// Set by a service manager that wants to hear of the start.
    #[arg(long, env = "NOTIFY_SOCKET", hide = true)]
    pub notify_socket: Option<OsString>,
}

impl Flags {
    /// The command line, completed by the environment. A variable that is empty is as good as none, and so is the text of
    /// `--config` and `--log`, for which an empty one is the established default.
    ///
    /// # Errors
    ///
    /// What clap has to say: what is wrong, or the help that was asked for.
    #[allow(
        clippy::disallowed_methods,
        reason = "clap reads the variables; whether one is empty it does not tell"
    )]
    pub fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        Self::read_with(arguments, |name| {
            var_os(name).is_some_and(|value| value.is_empty())
        })
    }

    fn read_with(
        arguments: &[OsString],
        is_empty: impl Fn(&OsStr) -> bool,
    ) -> Result<Self, clap::Error> {
        let mut command = Self::command().mut_args(|flag| match flag.get_env() {
            Some(name) if is_empty(name) => flag.env(None::<&'static str>),
            _ => flag,
        });
        let mut flags = command
            .try_get_matches_from_mut(arguments)
            .and_then(|mut matches| Self::from_arg_matches_mut(&mut matches))
            .map_err(|error| error.format(&mut command))?;
        flags.config = flags.config.filter(|file| !file.as_os_str().is_empty());
        flags.log = flags.log.filter(|spec| !spec.is_empty());
        Ok(flags)
    }

    /// Where gRPC clients connect: `/run/bpfman-sock/bpfman.sock` of an installed service, which is where they look. Another
    /// instance has another one without being told.
    pub fn socket_path(&self) -> PathBuf {
        self.socket_path.clone().unwrap_or_else(|| {
            let mut directory = self.runtime_dir.clone().into_os_string();
            directory.push("-sock");
            PathBuf::from(directory).join("bpfman.sock")
        })
    }

    /// The loader's directory: store and load plans.
    pub fn state_dir(&self) -> PathBuf {
        self.place(self.state_dir.as_deref(), "/var/lib/bpfman", "state")
    }

    /// The image worker's directory.
    pub fn image_cache_dir(&self) -> PathBuf {
        self.place(
            self.image_cache_dir.as_deref(),
            "/var/cache/bpfman",
            "cache",
        )
    }

    fn place(&self, named: Option<&Path>, installed: &str, below: &str) -> PathBuf {
        match named {
            Some(named) => named.to_owned(),
            None if self.runtime_dir == Path::new(INSTALLED_ROOT) => PathBuf::from(installed),
            None => self.runtime_dir.join(below),
        }
    }
}

/// What this process was called by: `serve` of the command line leaves its own name there.
pub fn invoked_name(arguments: &[OsString]) -> String {
    arguments
        .first()
        .and_then(|argument| Path::new(argument).file_name())
        .map_or_else(|| "bpfmand".into(), OsStr::to_string_lossy)
        .into_owned()
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    // `..` would make what is created depend on symbolic links.
    if path.is_absolute()
        && path
            .components()
            .all(|part| part != std::path::Component::ParentDir)
    {
        // Without trailing slashes and dots, so that children are joined plainly.
        Ok(path.components().collect())
    } else {
        Err("give an absolute path without `..`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Flags, clap::Error> {
        let words: Vec<OsString> = [&["bpfmand"], arguments]
            .concat()
            .iter()
            .map(Into::into)
            .collect();
        Flags::read(&words)
    }

    #[test]
    fn the_defaults_are_those_of_the_installed_service() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.runtime_dir, PathBuf::from("/run/bpfman"));
        assert_eq!(flags.state_dir(), PathBuf::from("/var/lib/bpfman"));
        assert_eq!(flags.image_cache_dir(), PathBuf::from("/var/cache/bpfman"));
        assert_eq!(flags.sandbox, Mode::Enforce);
        assert!(!flags.require_users);
        assert_eq!(
            flags.socket_path(),
            PathBuf::from("/run/bpfman-sock/bpfman.sock")
        );
    }

    #[test]
    fn the_grpc_socket_follows_the_runtime_directory_unless_it_is_named() {
        let other = parse(&["--runtime-dir", "/run/other"]).unwrap();
        assert_eq!(
            other.socket_path(),
            PathBuf::from("/run/other-sock/bpfman.sock")
        );
        let named = parse(&["--socket-path", "/run/a.sock"]).unwrap();
        assert_eq!(named.socket_path(), PathBuf::from("/run/a.sock"));
        assert!(parse(&["--socket-path", "a.sock"]).is_err());
    }

    #[test]
    fn directories_must_be_absolute_and_plain() {
        for flag in [
            "--runtime-dir",
            "--state-dir",
            "--image-cache-dir",
            "--worker-dir",
        ] {
            assert!(parse(&[flag, "run"]).is_err(), "{flag}");
            assert!(parse(&[flag, "/run/../etc"]).is_err(), "{flag}");
        }
        assert_eq!(
            parse(&["--runtime-dir", "/run//x/./"]).unwrap().runtime_dir,
            PathBuf::from("/run/x")
        );
    }

    #[test]
    fn everything_of_another_root_is_below_it_unless_it_is_named() {
        let other = parse(&["--runtime-dir", "/srv/b"]).unwrap();
        assert_eq!(other.state_dir(), PathBuf::from("/srv/b/state"));
        assert_eq!(other.image_cache_dir(), PathBuf::from("/srv/b/cache"));
        let same = parse(&["--runtime-dir", "/run/bpfman/"]).unwrap();
        assert_eq!(same.state_dir(), PathBuf::from("/var/lib/bpfman"));
        let named = [
            "--runtime-dir",
            "/srv/b",
            "--state-dir",
            "/s",
            "--image-cache-dir",
            "/c",
        ];
        let named = parse(&named).unwrap();
        assert_eq!(named.state_dir(), PathBuf::from("/s"));
        assert_eq!(named.image_cache_dir(), PathBuf::from("/c"));
    }

    #[test]
    fn an_empty_configuration_and_an_empty_specification_are_the_default() {
        let flags = parse(&["--config", "", "--log="]).unwrap();
        assert_eq!((flags.config, flags.log), (None, None));
    }

    #[test]
    fn volumes_are_served_or_not_in_the_words_of_the_established_command_line() {
        let said = |arguments: &[&str]| parse(arguments).unwrap().csi_support;
        assert_eq!(said(&[]), None);
        assert_eq!(said(&["--csi-support"]), Some(true));
        assert_eq!(said(&["--csi-support", "--log=warn"]), Some(true));
        for (word, value) in [
            ("true", true),
            ("1", true),
            ("yes", true),
            ("false", false),
            ("0", false),
            ("no", false),
        ] {
            assert_eq!(said(&[&format!("--csi-support={word}")]), Some(value));
        }
        assert!(parse(&["--csi-support=maybe"]).is_err());
        assert!(parse(&["--csi-support", "false"]).is_err());
    }

    #[test]
    fn the_name_is_that_of_whoever_started_it() {
        assert_eq!(invoked_name(&["/usr/bin/bpfmand".into()]), "bpfmand");
        assert_eq!(invoked_name(&["bpfman".into()]), "bpfman");
        assert_eq!(invoked_name(&[]), "bpfmand");
    }

    #[test]
    fn there_is_no_way_to_switch_the_sandbox_off() {
        assert!(parse(&["--sandbox", "off"]).is_err());
        assert_eq!(parse(&["--sandbox=log"]).unwrap().sandbox, Mode::Log);
    }
}
