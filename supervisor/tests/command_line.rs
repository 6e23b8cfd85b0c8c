//! What `bpfmand` says to its command line and to the environment, before it does anything.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "the test starts the program as a service manager would, and fails where that fails"
)]

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Exit status and last line of a start that cannot succeed: nothing can be made in /dev/null.
fn refused(name: &str, environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bpfmand"))
        .arg0(name)
        .args(["--runtime-dir", "/dev/null"])
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("bpfmand");
    let text = String::from_utf8(output.stderr).expect("text");
    let told = text.lines().find(|line| line.contains(": error: "));
    let told = told.unwrap_or_else(|| panic!("no error in {text}"));
    (output.status.code(), told.to_owned())
}

/// How far a start comes that nothing is wrong with but the directory, and for users but root not even that.
fn comes_to_its_directories(outcome: &(Option<i32>, String)) -> bool {
    let (code, told) = outcome;
    *code == Some(1)
        && (told.starts_with("bpfmand: error: directories: /dev/null: ")
            || told.starts_with("bpfmand: error: start: bpfmand is started by root"))
}

#[test]
fn a_variable_that_is_empty_is_as_good_as_none() {
    let variables = [
        "BPFMAN_CONFIG",
        "BPFMAN_LOG",
        "BPFMAN_SOCKET_PATH",
        "NOTIFY_SOCKET",
    ];
    for variable in variables {
        let outcome = refused("bpfmand", &[(variable, "")], &[]);
        assert!(
            comes_to_its_directories(&outcome),
            "{variable}: {outcome:?}"
        );
    }
    let outcome = refused("bpfmand", &[], &["--config", "", "--log", ""]);
    assert!(comes_to_its_directories(&outcome), "{outcome:?}");
}

#[test]
fn a_variable_that_is_wrong_is_refused_unless_a_flag_is_stronger() {
    for (variable, value, flag, code) in [
        ("BPFMAN_CONFIG", "/nowhere/x.toml", "--config=", 1),
        ("BPFMAN_LOG", "loud", "--log=warn", 1),
        ("BPFMAN_SOCKET_PATH", "x.sock", "--socket-path=/x.sock", 80),
    ] {
        let outcome = refused("bpfmand", &[(variable, value)], &[]);
        assert_eq!(outcome.0, Some(code), "{outcome:?}");
        assert!(outcome.1.contains(value), "{outcome:?}");
        let outcome = refused("bpfmand", &[(variable, value)], &[flag]);
        assert!(
            comes_to_its_directories(&outcome),
            "{variable}: {outcome:?}"
        );
    }
}

#[test]
fn errors_have_the_name_that_it_was_started_by() {
    for (arguments, code, start) in [
        (["--log", "loud"], 1, "bpfman: error: log: "),
        (
            ["--socket-path", "x"],
            80,
            "bpfman: error: invalid value 'x' for ",
        ),
        (
            ["--csi-support=maybe", "--require-users"],
            80,
            "bpfman: error: invalid value 'maybe' for ",
        ),
    ] {
        let outcome = refused("/usr/bin/bpfman", &[], &arguments);
        assert_eq!(outcome.0, Some(code), "{outcome:?}");
        assert!(outcome.1.starts_with(start), "{outcome:?}");
    }
}
