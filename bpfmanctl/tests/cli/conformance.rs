//! The grammar of the established command, row by row: each command with each of its flags is understood.

use crate::Outcome;

/// Runs a line; SELF stands for this process, whose memory the command may read.
fn run(line: &str) -> Outcome {
    crate::run(&line.replace("SELF", &std::process::id().to_string()))
}

/// Commands with their operands, and the flags that each takes.
const GRAMMAR: &[(&str, &[&str])] = &[
    (
        "program load file /etc/passwd --programs xdp:pass",
        &[
            "--programs tc:a,tcx:b --programs tracepoint:c,kprobe:d,kretprobe:e,uprobe:f,uretprobe:g",
            "--programs fentry:a:f,fexit:b:f,lsm:c:h",
            "-m owner=acme,team=net",
            "--metadata owner=",
            "-g limit=0x10,other=00",
            "--global limit=",
            "-a shop",
            "--application shop",
            "--map-owner-id 5",
            "-o json",
            "-o text",
            "--output json",
        ],
    ),
    ("program load /etc/passwd --programs xdp:pass", &["-o json"]),
    (
        "program load image quay.io/acme/x:v1 --programs xdp:pass",
        &[
            "--programs tc:a,tcx:b",
            "-m owner=acme,team=net",
            "-g limit=0x10,other=00",
            "-a shop",
            "--map-owner-id 5",
            "-p always",
            "--pull-policy IFNOTPRESENT",
            "--registry-auth dXNlcjpwYXNz",
            "-o json",
        ],
    ),
    ("program unload 1 2", &["--ignore-missing"]),
    ("program get 1", &["-o json"]),
    (
        "program list",
        &[
            "-q",
            "--quiet",
            "--attached",
            "--unattached",
            "--type xdp,TC --type fentry",
            "-p kprobe",
            "--program-type lsm,fexit",
            "--application shop",
            "-m a=b,c=d",
            "--metadata-selector a=b",
            "-a",
            "--all",
            "-l a=b,c!=d,e,!f",
            "--selector a",
            "-o json",
        ],
    ),
    ("program", &["-q", "-o json"]),
    ("program delete 1 2", &["-r", "--recursive"]),
    ("program delete --all", &["-r"]),
    (
        "link attach xdp 1 eth0 -p 50",
        &[
            "--proceed-on pass,DROP --proceed-on dispatcher_return",
            "-n /proc/self/ns/net",
            "--netns /proc/self/ns/net",
            "-m a=b",
            "--metadata a=b",
            "-o json",
        ],
    ),
    (
        "link attach tc 1 eth0 INGRESS --priority 50",
        &[
            "--proceed-on pipe,ok,unspec",
            "-n /proc/self/ns/net",
            "-m a=b",
            "-o json",
        ],
    ),
    (
        "link attach tcx 1 eth0 egress -p 50",
        &["-n /proc/self/ns/net", "-m a=b", "-o json"],
    ),
    (
        "link attach tracepoint 1 sched/sched_switch",
        &["-m a=b", "-o json"],
    ),
    (
        "link attach kprobe 1 do_unlinkat",
        &["--offset 4", "-m a=b", "-o json"],
    ),
    (
        "link attach uprobe 1 /etc/passwd -f main",
        &[
            "--fn-name other",
            "--offset 4",
            "--pid SELF",
            "--container-pid SELF",
            "-m a=b",
            "-o json",
        ],
    ),
    ("link attach fentry 1", &["-m a=b", "-o json"]),
    ("link attach fexit 1", &["-m a=b", "-o json"]),
    ("link attach lsm 1", &["-m a=b", "-o json"]),
    ("link detach 1 2", &["--ignore-missing"]),
    ("link get 1", &["-o json"]),
    (
        "link list",
        &[
            "-q",
            "--program-id 1",
            "--kind xdp,TC --kind uretprobe",
            "-p xdp",
            "--program-type xdp,tc",
            "--application shop",
            "-m a=b",
            "--metadata-selector a=b",
            "-o json",
        ],
    ),
    ("link", &["-q", "-o json"]),
    ("link delete 1 2", &["-r", "--recursive"]),
    ("get link 1", &["-o json"]),
    ("get program 1", &["-o json"]),
    (
        "dispatcher list",
        &[
            "--type xdp",
            "--type TC-Ingress",
            "--nsid 0",
            "--ifindex 2",
            "-o json",
        ],
    ),
    ("dispatcher", &["-o json"]),
    ("dispatcher get tc-egress 4026531840 2", &["-o json"]),
    ("dispatcher delete xdp 4026531840 2", &[]),
    (
        "image verify quay.io/acme/x:v1",
        &["--registry-auth dXNlcjpwYXNz"],
    ),
];

/// Commands that do not ask the service, with their flags: understood, if they say what they lack.
const ALONE: &[(&str, &[&str], &str)] = &[
    (
        "image build localhost:1/x:v1 /etc/passwd",
        &["--registry-auth dXNlcjpwYXNz"],
        "ELF",
    ),
    (
        "image build localhost:1/x:v1",
        &["-c /nowhere", "--cilium-ebpf-project /nowhere"],
        "/nowhere",
    ),
    (
        "image generate-build-args /etc/passwd",
        &["-o json", "-o text"],
        "ELF",
    ),
    (
        "image generate-build-args",
        &["-c /nowhere", "-c /nowhere -o json"],
        "/nowhere",
    ),
    ("image inspect localhost:1/x:v1", &[], "localhost:1"),
    (
        "image verify localhost:1/x:v1 --certificate-identity a --certificate-oidc-issuer b",
        &["--allow-unsigned", "--registry-auth dXNlcjpwYXNz"],
        "",
    ),
    (
        "image verify localhost:1/x:v1 --certificate-identity-regexp a --certificate-oidc-issuer-regexp b",
        &["--allow-unsigned"],
        "",
    ),
];

#[test]
fn commands_of_images_take_their_flags() {
    for (command, flags, part) in ALONE {
        for flag in *flags {
            let line = format!("{command} {flag}");
            let outcome = run(&line);
            assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
            assert!(outcome.errors.contains(part), "{line}: {outcome:?}");
        }
        let line = format!("{command} --frobnicate");
        assert_eq!(run(&line).code, 80, "{line}");
    }
}

#[test]
fn every_command_takes_every_flag() {
    let globals = [
        "--log debug",
        "--image-cache-dir /x",
        "--lock-timeout 1m30s",
        "--config /etc/passwd",
    ];
    for (command, flags) in GRAMMAR {
        for flag in [""].iter().chain(*flags).chain(&globals) {
            for line in [
                format!("--runtime-dir /nowhere {command} {flag}"),
                format!("{command} --runtime-dir=/nowhere {flag}"),
            ] {
                let outcome = run(&line);
                // Understood, and then there is no service.
                assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
                assert!(
                    outcome.errors.contains("at /nowhere/bpfmanctl.sock;"),
                    "{line}: {outcome:?}"
                );
                assert_eq!(outcome.output, "", "{line}");
            }
        }
        let line = format!("{command} --frobnicate");
        assert_eq!(run(&line).code, 80, "{line}");
    }
}

/// Commands in the words of 0.6.
#[test]
fn the_older_grammar_is_understood() {
    for line in [
        "load file -p /etc/passwd --programs xdp:a tc:b -g x=01 y=02 -m k=v -a shop --map-owner-id 5",
        "unload 1",
        "attach 1 xdp -i eth0 -p 50 --proceed-on pass drop -n /proc/self/ns/net -m k=v",
        "attach 1 tc -d ingress -i eth0 -p 50 --proceed-on ok pipe",
        "attach 1 tcx -d ingress -i eth0 -p 50",
        "attach 1 tracepoint -t sched/sched_switch",
        "attach 1 kprobe -f do_unlinkat -o 4",
        "attach 1 uprobe -f main -t /etc/passwd -p SELF -o 4",
        "attach 1 fentry",
        "attach 1 fexit -m k=v",
        "detach 1",
        "list programs -p probe --application shop -m k=v -a",
        "list links -p tc --application shop -m k=v",
        "get program 1",
        "get link 1",
        "load image -i quay.io/acme/x:v1 -r dXNlcjpwYXNz -p Never --programs xdp:a tc:b",
        "image pull -i quay.io/acme/x:v1 -r dXNlcjpwYXNz -p Never",
    ] {
        let outcome = run(&format!("--runtime-dir /nowhere {line}"));
        assert_eq!(outcome.code, 1, "{line}: {outcome:?}");
        assert!(
            outcome.errors.contains("at /nowhere/bpfmanctl.sock;"),
            "{line}: {outcome:?}"
        );
    }
    for (line, part) in [
        ("load file --programs xdp:a", "<PATH>"),
        ("attach 1 tc -d ingress -p 50", "<INTERFACE>"),
        ("attach 1 xdp -i eth0", "--priority <N>"),
        ("attach x xdp -i eth0 -p 1", "invalid program ID \"x\""),
        ("attach 1", "a command is missing"),
        ("image build -b /etc/passwd", "<IMAGE>"),
    ] {
        let outcome = run(line);
        assert_eq!(outcome.code, 80, "{line}: {outcome:?}");
        assert!(outcome.errors.contains(part), "{line}: {outcome:?}");
    }
    assert_eq!(
        run("help load file").output,
        run("program load file --help").output
    );
}

#[test]
fn deletes_want_ids_or_all() {
    for line in ["program delete", "program delete 1 --all", "link delete"] {
        assert_eq!(run(line).code, 80, "{line}");
    }
}

/// Hidden from help, and there.
#[test]
fn what_only_scripts_use_is_hidden() {
    let help = run("--help").output;
    for hidden in ["\n  get ", "\n  serve ", "\n  man "] {
        assert!(!help.contains(hidden), "{help}");
    }
    for noun in ["program", "link", "dispatcher"] {
        let help = run(&format!("{noun} --help")).output;
        assert!(!help.contains("\n  delete "), "{help}");
        assert_eq!(run(&format!("{noun} delete --help")).code, 0);
    }
}

#[test]
fn shells_learn_every_command() {
    for (shell, part) in [
        ("bash", "complete -F _bpfman"),
        ("zsh", "#compdef bpfman"),
        ("fish", "complete -c bpfman"),
    ] {
        let outcome = run(&format!("completions {shell}"));
        assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""), "{shell}");
        assert!(outcome.output.contains(part), "{shell}");
        for word in ["tracepoint", "metadata-selector", "dispatcher"] {
            assert!(outcome.output.contains(word), "{shell}: {word}");
        }
    }
    let refused = run("completions csh");
    assert_eq!(refused.code, 80);
    assert!(
        refused.errors.contains("no shell of bash, elvish, fish"),
        "{}",
        refused.errors
    );
}

/// As bpfman 0.6 had it.
#[test]
fn completions_are_written_into_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let written = |line: &str| {
        let outcome = run(line);
        assert_eq!((outcome.code, outcome.output.as_str()), (0, ""), "{line}");
        let entries = std::fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        written(&format!("completions {path} -s bash")),
        ["bpfman.bash"]
    );
    assert_eq!(
        written(&format!("completions {path}")),
        [
            "_bpfman",
            "_bpfman.ps1",
            "bpfman.bash",
            "bpfman.elv",
            "bpfman.fish"
        ]
    );
    let file = std::fs::read_to_string(directory.path().join("bpfman.bash")).unwrap();
    assert_eq!(file, run("completions bash").output);
    assert_eq!(run(&format!("completions {path} -s csh")).code, 80);
    assert_eq!(run("completions bash -s zsh").code, 80);
    assert_eq!(run("completions /nowhere").code, 80);
}

#[test]
fn every_command_has_a_page() {
    let directory = tempfile::tempdir().unwrap();
    let outcome = run(&format!("man {}", directory.path().display()));
    assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""));
    for (page, part) in [
        ("bpfman.1", "Exit codes: 0 success"),
        ("bpfman-program-load-file.1", "maps\\-group"),
        ("bpfman-link-attach-xdp.1", "proceed\\-on"),
        ("bpfman-status.1", "SYNOPSIS"),
        ("bpfman-program-unload.1", "Directory of the service"),
        ("bpfman-program-unload.1", "BPFMAN_RUNTIME_DIR"),
        // Hidden from help.
        ("bpfman-serve.1", "csi\\-support"),
        ("bpfman-program-delete.1", "recursive"),
        ("bpfman-link-delete.1", "recursive"),
        ("bpfman-dispatcher-delete.1", "NSID"),
    ] {
        let text = std::fs::read_to_string(directory.path().join(page)).unwrap();
        assert!(
            text.starts_with(".ie \\n(.g .ds Aq") || text.contains(".TH "),
            "{text}"
        );
        assert!(text.contains(part), "{page}: {text}");
    }
    assert_eq!(run("man /nowhere").code, 1);
}

/// The service is started in the place of this process, with what was said.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the test starts the command as a user would"
)]
fn serve_becomes_the_service() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let command = directory.path().join("bpfman");
    std::fs::copy(env!("CARGO_BIN_EXE_bpfmanctl"), &command).unwrap();
    let service = directory.path().join("bpfmand");
    std::fs::write(&service, "#!/bin/sh\necho \"$$ $@ $BPFMAN_LOG\"; exit 7\n").unwrap();
    std::fs::set_permissions(&service, std::fs::Permissions::from_mode(0o755)).unwrap();
    let child = std::process::Command::new(&command)
        .args(["serve", "--socket-path", "/s", "--log", "debug"])
        // Empty is none, and a flag is stronger than whatever else.
        .env("BPFMAN_CONFIG", "")
        .env("BPFMAN_RUNTIME_DIR", "")
        .env("BPFMAN_LOG", "nothing")
        .env("BPFMAN_SOCKET_PATH", "relative")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{id} --log debug --runtime-dir /run/bpfman --socket-path /s \n")
    );
}
