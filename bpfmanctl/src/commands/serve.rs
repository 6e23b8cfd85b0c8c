//! `serve`: this process becomes the service.

use crate::cli::{Globals, ServeArgs};
use crate::exit::Error;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// Where packages put the service, if it is not beside this command.
const ELSEWHERE: [&str; 2] = ["/usr/bin/bpfmand", "/usr/sbin/bpfmand"];

/// Variables of the service that were read here already: what was made of them is said by flags.
const SETTLED: [&str; 3] = ["BPFMAN_CONFIG", "BPFMAN_LOG", "BPFMAN_SOCKET_PATH"];

/// Comes back only with what went wrong. The service speaks under `name`, by which its user knows it.
pub(super) fn serve(arguments: ServeArgs, globals: Globals, name: &str) -> Error {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join("bpfmand")));
    let candidates = beside.into_iter().chain(ELSEWHERE.map(PathBuf::from));
    let Some(service) = candidates.into_iter().find(|path| path.is_file()) else {
        return Error::Failed(
            "serve: bpfmand is neither beside bpfmanctl nor in /usr/bin or /usr/sbin; install the service".to_owned(),
        );
    };
    let error = become_service(&service, name, service_arguments(arguments, globals));
    Error::Failed(format!("serve: {}: {error}", service.display()))
}

#[allow(
    clippy::disallowed_methods,
    reason = "no process is started: this one is replaced, on its user's command"
)]
fn become_service(service: &Path, name: &str, arguments: Vec<OsString>) -> std::io::Error {
    let mut command = std::process::Command::new(service);
    command.arg0(name).args(arguments);
    for variable in SETTLED {
        command.env_remove(variable);
    }
    command.exec()
}

/// The flags of this command as the service has them. A wait for a lock is not among them: the service orders commands
/// without one.
fn service_arguments(arguments: ServeArgs, globals: Globals) -> Vec<OsString> {
    let flags = [
        ("--config", globals.config.map(OsString::from)),
        ("--log", globals.log.map(OsString::from)),
        ("--runtime-dir", Some(globals.runtime_dir.into())),
        ("--state-dir", arguments.state_dir.map(OsString::from)),
        (
            "--image-cache-dir",
            globals.image_cache_dir.map(OsString::from),
        ),
        ("--socket-path", arguments.socket_path.map(OsString::from)),
    ];
    let named = flags
        .into_iter()
        .filter_map(|(flag, value)| Some([flag.into(), value?]))
        .flatten();
    let csi = arguments
        .csi_support
        .map(|is_served| format!("--csi-support={is_served}").into());
    named.chain(csi).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn what_was_said_is_passed_on() {
        let passed = |line: &str| {
            let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
            let Command::Serve(arguments) = cli.command else {
                panic!("{line}");
            };
            let words = service_arguments(arguments, cli.globals);
            words
                .iter()
                .map(|word| word.to_str().unwrap())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(passed("bpfman serve"), "--runtime-dir /run/bpfman");
        assert_eq!(
            passed("bpfman serve --csi-support"),
            "--runtime-dir /run/bpfman --csi-support=true"
        );
        assert_eq!(
            passed("bpfman serve --csi-support=no --log debug"),
            "--log debug --runtime-dir /run/bpfman --csi-support=false"
        );
        assert_eq!(
            passed(
                "bpfman serve --socket-path /x.sock --log debug --config /c --runtime-dir /r --image-cache-dir /i --state-dir /s"
            ),
            "--config /c --log debug --runtime-dir /r --state-dir /s --image-cache-dir /i --socket-path /x.sock"
        );
    }
}
