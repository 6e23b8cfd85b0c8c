//! Running `bpfmanctl` and looking at what it says.

use crate::binaries::program;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// How a `bpfmanctl` run ended.
#[derive(Clone, Debug)]
pub struct Run {
    /// The command, for messages.
    pub line: String,
    /// Exit code, -1 when ended by a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    fn new(line: String, output: Output) -> Self {
        Self {
            line,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Succeeded, and this is what it printed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            self.code, 0,
            "`{}` failed: {}{}",
            self.line, self.stdout, self.stderr
        );
        self.stdout
    }

    /// Succeeded with JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let line = self.line.clone();
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{line}`: {error} in {text}"))
    }

    /// Failed at run time (exit code 1), printing nothing on standard output; returns the error text.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(
            self.code, 1,
            "`{}` should have failed with 1: {}{}",
            self.line, self.stdout, self.stderr
        );
        assert_eq!(self.stdout, "", "`{}` failed but printed", self.line);
        assert!(
            self.stderr.contains("error: "),
            "`{}`: not in the form of an error: {}",
            self.line,
            self.stderr
        );
        self.stderr
    }

    /// Failed, whether at run time (1) or as a usage error (80): for input of which the command line checks some and the
    /// service the rest.
    #[track_caller]
    pub fn failed(self) -> String {
        if self.code == 80 {
            self.misused()
        } else {
            self.refused()
        }
    }

    /// Was not understood (exit code 80); returns the error text.
    #[track_caller]
    pub fn misused(self) -> String {
        assert_eq!(
            self.code, 80,
            "`{}` should be a usage error: {}{}",
            self.line, self.stdout, self.stderr
        );
        self.stderr
    }
}

/// Runs `bpfmanctl` against a runtime directory.
pub fn ctl(runtime_dir: &Path, arguments: &[&str]) -> Run {
    run(Command::new(program("bpfmanctl")), runtime_dir, arguments)
}

/// As [`ctl`], with more in the environment.
pub fn ctl_with(runtime_dir: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let mut command = Command::new(program("bpfmanctl"));
    command.envs(environment.iter().copied());
    run(command, runtime_dir, arguments)
}

/// As [`ctl`], as another user without groups.
pub fn ctl_as(uid: u32, runtime_dir: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(program("as-user"));
    command.arg(uid.to_string()).arg(program("bpfmanctl"));
    run(command, runtime_dir, arguments)
}

fn run(mut command: Command, runtime_dir: &Path, arguments: &[&str]) -> Run {
    command
        .arg("--runtime-dir")
        .arg(runtime_dir)
        .args(arguments);
    command
        .env_remove("BPFMAN_RUNTIME_DIR")
        .env("COLUMNS", "200");
    let output = command.output().expect("cannot start bpfmanctl");
    Run::new(format!("bpfmanctl {}", arguments.join(" ")), output)
}
