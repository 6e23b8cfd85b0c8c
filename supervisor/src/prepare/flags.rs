//! The command line of `bpfmand`.

use clap::Parser;
use sandbox::Mode;
use std::ffi::OsString;
use std::path::PathBuf;

/// Loads, attaches, orders, watches and removes eBPF programs for applications that must not hold that privilege.
#[derive(Clone, Debug, Parser)]
#[command(name = "bpfmand", version = ipc::build::VERSION)]
pub struct Flags {
    /// Configuration file [default: /etc/bpfman/bpfman.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "BPFMAN_CONFIG")]
    pub config: Option<PathBuf>,
    /// Sockets, the lock and the bpffs mount
    #[arg(long, value_name = "DIR", default_value = "/run/bpfman", value_parser = absolute)]
    pub runtime_dir: PathBuf,
    /// Socket of the gRPC interface [default: bpfman.sock in the directory of --runtime-dir with `-sock` appended]
    #[arg(long, value_name = "PATH", env = "BPFMAN_SOCKET_PATH", value_parser = absolute)]
    pub socket_path: Option<PathBuf>,
    /// Store and load plans
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bpfman", value_parser = absolute)]
    pub state_dir: PathBuf,
    /// Cache of images and compiled objects
    #[arg(long, value_name = "DIR", default_value = "/var/cache/bpfman", value_parser = absolute)]
    pub image_cache_dir: PathBuf,
    /// Where the worker binaries are [default: beside bpfmand, else /usr/libexec/bpfman]
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    pub worker_dir: Option<PathBuf>,
    /// What to log: LEVEL[,COMPONENT=LEVEL...] [default: logging.level of the configuration, else info]
    #[arg(long, value_name = "SPEC", env = "BPFMAN_LOG")]
    pub log: Option<String>,
    /// Serve volumes of Kubernetes pods (CSI) [default: csi.enabled of the configuration, else not]
    #[arg(long)]
    pub csi_support: bool,
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
    /// Where gRPC clients connect: `/run/bpfman-sock/bpfman.sock` of an installed service, which is where they look. Another
    /// instance has another one without being told.
    pub fn socket_path(&self) -> PathBuf {
        self.socket_path.clone().unwrap_or_else(|| {
            let mut directory = self.runtime_dir.clone().into_os_string();
            directory.push("-sock");
            PathBuf::from(directory).join("bpfman.sock")
        })
    }
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
        Flags::try_parse_from([&["bpfmand"], arguments].concat())
    }

    #[test]
    fn the_defaults_are_those_of_the_installed_service() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.runtime_dir, PathBuf::from("/run/bpfman"));
        assert_eq!(flags.state_dir, PathBuf::from("/var/lib/bpfman"));
        assert_eq!(flags.image_cache_dir, PathBuf::from("/var/cache/bpfman"));
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
    fn there_is_no_way_to_switch_the_sandbox_off() {
        assert!(parse(&["--sandbox", "off"]).is_err());
        assert_eq!(parse(&["--sandbox=log"]).unwrap().sandbox, Mode::Log);
    }
}
