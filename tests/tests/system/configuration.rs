//! The configuration file: one that is wrong ends the start; SIGHUP has it read again.

use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::wait;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A directory that the supervisor's user can enter, with this configuration in it.
fn configured(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let file = directory.path().join("bpfman.toml");
    write(&file, text);
    (directory, file)
}

fn write(file: &Path, text: &str) {
    // As editors do it: the file that was there is replaced by another one.
    let new = file.with_extension("new");
    fs::write(&new, text).expect("the file is written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("chmod");
    fs::rename(&new, file).expect("the file is replaced");
}

fn hangup(instance: &Instance) {
    let pid = rustix::process::Pid::from_raw(instance.pid().cast_signed()).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("kill");
}

fn logged(instance: &Instance, text: &str) {
    let seen = wait::until(Duration::from_secs(10), || {
        instance.log().contains(text).then_some(())
    });
    assert!(seen.is_some(), "`{text}` is not in the log");
}

#[test]
fn a_configuration_that_is_wrong_ends_the_start() {
    for (text, part) in [
        (
            "[logging]\nlevle = \"debug\"\n",
            "line 2: logging.levle is not known; did you mean \"level\"?",
        ),
        (
            "[signing]\nshine = true\n",
            "line 2: signing.shine is not known",
        ),
        (
            "[logging]\nformat = \"xml\"\n",
            "line 2: logging.format is \"xml\", which is not known",
        ),
    ] {
        let (_directory, file) = configured(text);
        let (status, log) = Instance::refusal(&["--config", file.to_str().expect("a path")]);
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(part), "{log}");
    }
}

#[test]
fn a_configuration_is_read_again_and_wrong_ones_change_nothing() {
    let (directory, file) = configured("[logging]\nlevel = \"warn\"\n[telemetry]\n");
    let mut instance = Instance::start_with(&["--config", file.to_str().expect("a path")]);
    logged(
        &instance,
        "line 3: telemetry is not known to this version and has no effect",
    );
    assert!(!instance.log().contains(" INFO "), "{}", instance.log());

    write(
        &file,
        "[logging]\nlevel = \"info\"\nformat = \"json\"\n[signing]\nallow_unsigned = true\n",
    );
    hangup(&instance);
    logged(&instance, "read again; logging info");
    logged(
        &instance,
        "logging.format: in effect from the next start on",
    );
    logged(&instance, "signing: in effect from the next start on");
    // Workers that run, and one that is started later with the command line of the first.
    let says = |instance: &Instance, role: &str| {
        let pid = instance.process(role).pid;
        logged(
            instance,
            &format!("{role}[{pid}] INFO sandbox::logging: logs info"),
        );
        pid
    };
    for role in ["loader", "image"] {
        says(&instance, role);
    }
    let before = says(&instance, "api");
    instance.kill_and_wait("api");
    assert_ne!(says(&instance, "api"), before);

    // What is wrong is told and changes nothing; so is what is not where the configuration was at the start.
    write(&file, "[logging]\nlevle = \"warn\"\n");
    hangup(&instance);
    logged(&instance, "logging.levle is not known");
    let elsewhere = tempfile::tempdir().expect("a directory");
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let other = elsewhere.path().join("bpfman.toml");
    write(&other, "[logging]\nlevel = \"error\"\n");
    fs::remove_file(&file).expect("removed");
    symlink(&other, &file).expect("a link");
    hangup(&instance);
    logged(&instance, "Permission denied");
    assert!(
        !instance.log().contains("logging error"),
        "{}",
        instance.log()
    );
    assert!(instance.stop().success());
    drop(directory);
}

/// One flat object, whose names are those that the established service's lines have.
fn assert_object(line: &str) -> serde_json::Map<String, serde_json::Value> {
    let value: serde_json::Value = serde_json::from_str(line).expect(line);
    let object = value.as_object().expect(line);
    let text = |name: &str| object[name].as_str().expect(line);
    let time = text("time");
    assert!(
        time.len() == "2026-08-17T10:11:12.123456Z".len() && time.ends_with('Z'),
        "{line}"
    );
    assert_eq!(time.find(['T', ' ']), Some(10), "{line}");
    assert!(
        ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("level")),
        "{line}"
    );
    assert!(!text("msg").is_empty(), "{line}");
    assert!(!text("component").is_empty(), "{line}");
    assert!(object["pid"].is_u64(), "{line}");
    let nested = |value: &serde_json::Value| value.is_object() || value.is_array();
    assert!(!object.values().any(nested), "{line}");
    object.clone()
}

#[test]
fn a_log_in_json_is_one_flat_object_a_line() {
    let (_directory, file) = configured("[logging]\nlevel = \"debug\"\nformat = \"json\"\n");
    let flags = ["--config", file.to_str().expect("a path")];
    let mut instance = Instance::start_with(&flags);
    let objects = Objects::new();
    instance.load(&objects.object("counter"), "xdp:xdp_count", &[]);
    instance.ctl(&["program", "unload", "4000000000"]).refused();
    let mut stranger = UnixStream::connect(instance.socket()).expect("a connection");
    stranger.write_all(&[0xff; 64]).expect("written");
    logged(&instance, "client dropped");
    instance.kill_and_wait("loader");
    hangup(&instance);
    logged(&instance, "read again");
    assert!(instance.stop().success());

    let log = instance.log();
    let lines: Vec<_> = log.lines().map(assert_object).collect();
    for component in ["supervisor", "api", "image", "loader"] {
        assert!(
            lines.iter().any(|line| line["component"] == component),
            "{component}\n{log}"
        );
    }
    let loaded = lines.iter().find(|line| line["msg"] == "loaded");
    let loaded = loaded.unwrap_or_else(|| panic!("no load\n{log}"));
    assert_eq!(loaded["uid"], 0);
    assert_eq!(loaded["component"], "loader");
    let refused = lines.iter().find(|line| line["msg"] == "not carried out");
    let refused = refused.unwrap_or_else(|| panic!("no refusal\n{log}"));
    assert!(refused["failure"].is_string() && refused["client_pid"].is_u64());
    let dropped = lines.iter().find(|line| line["msg"] == "client dropped");
    assert!(dropped.expect("it was seen")["session"].is_u64(), "{log}");

    // Why a start ends is one, too.
    let mut refused = flags.to_vec();
    refused.extend(["--runtime-dir", "/dev/null"]);
    let (status, log) = Instance::refusal(&refused);
    assert_eq!(status.code(), Some(1), "{log}");
    let lines: Vec<_> = log.lines().map(assert_object).collect();
    assert_eq!(lines.last().expect("a line")["level"], "ERROR", "{log}");
}
