//! The configuration file: one that is wrong ends the start; SIGHUP has it read again.

use bpfman_tests::instance::Instance;
use bpfman_tests::wait;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
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
        ("[logging]\nformat = \"xml\"\n", "line 2, column"),
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
