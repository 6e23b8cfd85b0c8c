//! What is understood, what is refused, and how.

use crate::{run, run_words};

/// Where no service is.
const NOWHERE: &str = "--runtime-dir /nowhere";

#[test]
fn usage_errors_exit_with_80() {
    for (line, part) in [
        ("", "error: a command is missing"),
        ("link attach", "error: a command is missing"),
        ("link attach", "tracepoint"),
        ("program lst", "unrecognized subcommand 'lst'"),
        ("program lst", "'list'"),
        ("frobnicate", "unrecognized subcommand"),
        (
            "program list --frobnicate",
            "unexpected argument '--frobnicate'",
        ),
        ("program list -o yaml", "invalid value 'yaml'"),
        (
            "program list --attached --unattached",
            "cannot be used with",
        ),
        ("program list --type xpd", "did you mean \"xdp\"?"),
        ("program list -l a=b=c", "invalid selector"),
        ("program get", "required arguments were not provided"),
        (
            "program get x",
            "invalid program ID \"x\": must be a decimal number",
        ),
        (
            "program get -- -1",
            "invalid program ID \"-1\": must be a decimal number",
        ),
        ("program unload", "required arguments were not provided"),
        (
            "program unload 1 0x2",
            "invalid program ID \"0x2\": must be a decimal number",
        ),
        ("program load x.o", "--programs <SPEC>"),
        ("program load x.o --programs=", "invalid program \"\""),
        ("program load x.o --programs xdp:", "the name is empty"),
        (
            "program load x.o --programs xdp:p -m novalue",
            "must be KEY=VALUE",
        ),
        ("program load x.o --programs xdp:p -g x=123", "odd number"),
        (
            "program load x.o --programs xdp:p --maps-mode 888",
            "read and write bits in octal",
        ),
        (
            "program load x.o --programs xdp:p --maps-mode 0750",
            "invalid mode \"0750\"",
        ),
        (
            "program load /etc/passwd --programs xdp:p --maps-group no-such-group",
            "\"no-such-group\"",
        ),
        (
            "link detach x",
            "invalid link ID \"x\": must be a decimal number",
        ),
        ("link attach xdp 5 eth0", "--priority <N>"),
        ("link attach xdp 5 eth0 -p -1", "-1 is not in 0.."),
        (
            "link attach xdp 5 eth0 -p 1 --proceed-on pas",
            "did you mean \"pass\"?",
        ),
        (
            "link attach tcx 5 eth0 sideways -p 1",
            "unknown direction \"sideways\"; known are ingress, egress",
        ),
        (
            "link attach tcx 5 eth0 ingres -p 1",
            "did you mean \"ingress\"?",
        ),
        ("link attach xpd 5 eth0 -p 1", "exists: 'xdp'"),
        ("help program lst", "'list'"),
        ("help frobnicate", "unrecognized subcommand 'frobnicate'"),
        (
            "program list --attached=maybe",
            "invalid value 'maybe' for '--attached'",
        ),
        ("list programs -p sched_act", "\"sched_act\""),
        (
            "link attach tcx 5 eth0 ingress -p 1 --proceed-on pass",
            "unexpected argument '--proceed-on'",
        ),
        (
            "link attach tracepoint 5 sched_switch",
            "must be GROUP/NAME",
        ),
        (
            "link attach uprobe 5 libc -f malloc --pid -3",
            "-3 is not in 0..",
        ),
        ("--runtime-dir run status", "not an absolute path"),
        ("--image-cache-dir cache status", "not an absolute path"),
        ("--lock-timeout 30 status", "invalid duration \"30\""),
        ("serve --socket-path rel.sock", "not an absolute path"),
        ("serve --state-dir state", "not an absolute path"),
        ("serve --csi-support=maybe", "maybe"),
    ] {
        let outcome = run(&format!("{NOWHERE} {line}"));
        assert_eq!(outcome.code, 80, "{line}: {outcome:?}");
        assert!(
            outcome.errors.starts_with("bpfman: error: "),
            "{line}: {outcome:?}"
        );
        assert!(outcome.errors.contains(part), "{line}: {outcome:?}");
        assert_eq!(outcome.output, "", "{line}");
    }
    // The default one.
    assert_eq!(run(&format!("{NOWHERE} --config= program")).code, 1);
    let empty = run_words(&["link", "attach", "xdp", "5", "", "-p", "1"]);
    assert_eq!(empty.code, 80, "{empty:?}");
}

#[test]
fn usage_errors_show_a_short_usage() {
    for (line, usage) in [
        (
            "program get x",
            "\n\nUsage: bpfman program get [OPTIONS] <ID>\n",
        ),
        (
            "program -o yaml",
            "\n\nUsage: bpfman program list [OPTIONS]\n",
        ),
        (
            "program list --frobnicate",
            "\n\nUsage: bpfman program list [OPTIONS]\n",
        ),
        (
            "program load x.o",
            "\n\nUsage: bpfman program load file [OPTIONS] --programs <SPEC> <PATH>\n",
        ),
        ("--log x", "\n\nUsage: bpfman [OPTIONS] <COMMAND>\n"),
        // Global flags are read before the command is.
        (
            "--lock-timeout=1x program list",
            "\n\nUsage: bpfman program list [OPTIONS]\n",
        ),
        (
            "--runtime-dir=rel program load x",
            "\n\nUsage: bpfman program load file [OPTIONS] --programs <SPEC> <PATH>\n",
        ),
        (
            "program list --attached=maybe",
            "\n\nUsage: bpfman program list [OPTIONS]\n",
        ),
        (
            "--lock-timeout=1x version",
            "\n\nUsage: bpfman version [OPTIONS]\n",
        ),
        // What only shows when the command is carried out.
        (
            "program load /etc/passwd --programs xdp:p --maps-group no-such-group",
            "comes from elsewhere\n\nUsage: bpfman program load file [OPTIONS]",
        ),
        (
            "link attach uprobe 5 libc",
            "an --offset that is not 0\n\nUsage: bpfman link attach uprobe [OPTIONS] <",
        ),
    ] {
        let outcome = run(line);
        assert_eq!(outcome.code, 80, "{line}");
        assert!(outcome.errors.contains(usage), "{line}: {outcome:?}");
        assert!(
            outcome
                .errors
                .ends_with("\n\nFor more information, try '--help'.\n"),
            "{outcome:?}"
        );
    }
}

/// What the environment gives is not shown as if it had to be given.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the environment of this process is that of all its tests"
)]
fn usage_does_not_depend_on_the_environment() {
    for arguments in [
        &["program", "list", "--frobnicate"][..],
        &["program", "get"],
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bpfmanctl"))
            .args(arguments)
            .env("BPFMAN_RUNTIME_DIR", "/nowhere")
            .env("BPFMAN_LOG", "debug")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(80));
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("\n\nUsage: bpfmanctl program "), "{errors}");
        assert!(!errors.contains("--runtime-dir"), "{errors}");
    }
}

/// Runs the binary itself, with variables.
#[allow(
    clippy::disallowed_methods,
    reason = "the environment of this process is that of all its tests"
)]
fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_bpfmanctl"))
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// Empty variables are none, and wrong ones count for nothing beside their flag.
#[test]
fn variables_count_where_they_say_something_and_no_flag_does() {
    let empty = [
        ("BPFMAN_RUNTIME_DIR", ""),
        ("BPFMAN_CONFIG", ""),
        ("BPFMAN_LOG", ""),
        ("BPFMAN_LOCK_TIMEOUT", ""),
        ("BPFMAN_REGISTRY_AUTH", ""),
        ("BPFMAN_SOCKET_PATH", ""),
        ("SOURCE_DATE_EPOCH", ""),
    ];
    let wrong = [
        ("BPFMAN_RUNTIME_DIR", "relative"),
        ("BPFMAN_CONFIG", "/nowhere/x.toml"),
        ("BPFMAN_LOCK_TIMEOUT", "never"),
    ];
    let right = [
        "--runtime-dir=/nowhere",
        "--config=",
        "--lock-timeout",
        "1s",
    ];
    for (variables, arguments) in [
        (
            &empty[..],
            &["program", "list", "--runtime-dir", "/nowhere"][..],
        ),
        (
            &empty,
            &["--runtime-dir=/nowhere", "image", "pull", "x.example/y"],
        ),
        (&wrong, &[&right[..], &["program", "list"]].concat()),
        (&wrong, &[&["program", "list"], &right[..]].concat()),
    ] {
        let output = run_with(variables, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains("at /nowhere/bpfmanctl.sock"), "{errors}");
    }
    for line in [
        &["program", "list", "--help"][..],
        &["help", "image", "build"],
    ] {
        let help = |variables: &[(&str, &str)]| run_with(variables, line).stdout;
        assert_eq!(help(&empty), help(&[]));
    }
    // Of a variable that is wrong somebody should hear, and an image needs no service.
    for (variables, arguments, part) in [
        (
            &wrong[..1],
            &["program", "list"][..],
            "\"relative\" is not an absolute path",
        ),
        (
            &empty,
            &["image", "build", "x.example/y", "/nowhere/x.o"],
            "/nowhere/x.o",
        ),
    ] {
        let output = run_with(variables, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(part), "{errors}");
        assert!(!errors.contains("SOURCE_DATE_EPOCH"), "{errors}");
    }
}

/// `bpfmanctl --help | true`.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the test starts the command as a user would"
)]
fn help_into_a_closed_pipe_is_no_failure() {
    for flag in ["--help", "-h", "--version"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_bpfmanctl"))
            .arg(flag)
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{flag}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

/// Kong's forms of a flag that is there or not.
#[test]
fn flags_take_a_truth_behind_an_equals_sign() {
    for line in [
        "program list --attached=true",
        "program list --attached=false --unattached=Yes",
        "program unload --ignore-missing=true 1",
        "program delete --all=true",
        "program delete --all=0 1",
        "link delete --recursive=false 9",
        "image verify --allow-unsigned=false x.example/y",
        "list programs --all=1",
    ] {
        let outcome = run(&format!("{NOWHERE} {line}"));
        assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
        assert!(
            outcome.errors.contains("at /nowhere/bpfmanctl.sock"),
            "{line}: {outcome:?}"
        );
    }
    // Without the sign the next word is no value.
    let outcome = run("program unload --ignore-missing true");
    assert!(
        outcome.errors.contains("invalid program ID \"true\""),
        "{outcome:?}"
    );
    assert!(!run("program list --help").output.contains("--attached[="));
}

#[test]
fn suggestions_are_near() {
    let outcome = run("attach 5 kprobe -f do_unlinkat -c 4");
    assert_eq!(outcome.code, 80);
    assert!(
        outcome.errors.contains("unexpected argument '-c'"),
        "{outcome:?}"
    );
    let outcome = run("link attach kprobe 5 do_unlinkat --container-pid 4");
    assert!(!outcome.errors.contains("--runtime-dir"), "{outcome:?}");
    let outcome = run("program list --metadta a=b");
    assert!(
        outcome.errors.contains("'--metadata-selector'"),
        "{outcome:?}"
    );
    let outcome = run("program lst");
    assert!(outcome.errors.contains("'list'"), "{outcome:?}");
}

#[test]
fn containers_that_are_not_there_are_named_before_the_service_is_asked() {
    let outcome = run(&format!(
        "{NOWHERE} link attach uprobe 5 libc -f f --container-pid 2147483647"
    ));
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(
        outcome.errors.starts_with(
            "bpfman: error: resolve: container namespace for PID 2147483647 not accessible"
        ),
        "{outcome:?}"
    );
}

#[test]
fn help_exits_with_0_on_the_output() {
    for line in [
        "--help",
        "-h",
        "help",
        "program --help",
        "help program load file",
        "help program --help",
        "help link attach -h",
        "help -h",
        "help load file",
        "link attach xdp -h",
    ] {
        let outcome = run(line);
        assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""), "{line}");
        assert!(
            outcome.output.contains("Usage: bpfman"),
            "{line}: {outcome:?}"
        );
    }
    assert_eq!(
        run("help program load file").output,
        run("program load file --help").output
    );
}

#[test]
fn short_help_leaves_the_global_options_out() {
    assert!(!run("program list -h").output.contains("--runtime-dir"));
    assert!(run("program list --help").output.contains("--runtime-dir"));
    let hidden = run("--help").output;
    assert!(!hidden.contains("\n  get "), "{hidden}");
}

#[test]
fn global_flags_stand_before_and_after_the_command() {
    for line in [
        "--runtime-dir /nowhere program list",
        "program --runtime-dir /nowhere list",
        "program list --runtime-dir /nowhere",
        "program --runtime-dir=/nowhere",
        "--config /etc/passwd --log debug --lock-timeout 1m30s --image-cache-dir /x program --runtime-dir /nowhere",
    ] {
        let outcome = run(line);
        assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
        assert!(
            outcome.errors.contains("at /nowhere/bpfmanctl.sock;"),
            "{line}: {outcome:?}"
        );
    }
}

#[test]
fn a_configuration_file_that_is_named_must_exist() {
    for line in [
        "--config /nowhere/x.toml program list",
        "version --config /nowhere/x.toml",
    ] {
        let outcome = run(&format!("{NOWHERE} {line}"));
        assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
        assert_eq!(
            outcome.errors,
            "bpfman: error: request: the configuration file /nowhere/x.toml does not exist; name one that exists, or \
             leave out --config and BPFMAN_CONFIG\n"
        );
        assert_eq!(outcome.output, "");
    }
}

#[test]
fn the_version_needs_no_service() {
    let outcome = run(&format!("version {NOWHERE}"));
    assert_eq!(outcome.code, 0);
    assert!(outcome.output.starts_with("Version:      "), "{outcome:?}");
    // As 0.6 tells it.
    for flag in ["-V", "--version"] {
        let outcome = run(flag);
        assert_eq!(outcome.code, 0);
        assert_eq!(outcome.output, format!("bpfman {}\n", ipc::build::VERSION));
    }
}

/// The name in errors is the one of the symbolic link; environment and exit code go through the real process.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the test starts the command as a user would"
)]
fn the_binary_under_another_name() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("bpfman");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bpfmanctl"), &link).unwrap();
    let output = std::process::Command::new(&link)
        .args(["program", "list"])
        .env("BPFMAN_RUNTIME_DIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("bpfman: error: connect: "), "{errors}");
    assert!(errors.contains("at /nowhere/bpfmanctl.sock"), "{errors}");
}
