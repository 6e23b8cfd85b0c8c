//! Round trips of any settings, and refusals.

use super::*;
use proptest::prelude::*;

fn arguments() -> WorkerArguments {
    WorkerArguments {
        role: Role::Loader,
        helper: None,
        identity: Identity {
            uid: 61184,
            gid: 61185,
            groups: vec![4, 5],
        },
        client_gid: Some(990),
        generation: 3,
        mode: Mode::Enforce,
        runtime_dir: "/run/bpfman".into(),
        state_dir: "/var/lib/bpfman".into(),
        cache_dir: "/var/cache/bpfman".into(),
        log: "info,loader=debug".into(),
        kubelet_dir: Some("/var/lib/kubelet".into()),
        read: vec!["/etc/resolv.conf".into()],
    }
}

fn refused(change: impl FnOnce(&mut Vec<OsString>)) -> ArgumentError {
    let mut argv = arguments().to_argv();
    change(&mut argv);
    WorkerArguments::parse(argv).unwrap_err()
}

fn replaced(key: &str, value: &str) -> ArgumentError {
    refused(|argv| {
        let prefix = format!("{key}=");
        argv.retain(|argument| !argument.as_bytes().starts_with(prefix.as_bytes()));
        argv.push(format!("{prefix}{value}").into());
    })
}

fn any_path() -> impl Strategy<Value = PathBuf> {
    proptest::collection::vec(1u8..=255, 0..40).prop_map(|mut bytes| {
        bytes.insert(0, b'/');
        PathBuf::from(OsString::from_vec(bytes))
    })
}

proptest! {
    #[test]
    fn any_settings_round_trip(
        role in prop_oneof![Just(Role::Supervisor), Just(Role::Loader), Just(Role::Image), Just(Role::Api), Just(Role::Helper)],
        kind in prop_oneof![Just(HelperKind::PerfEvent), Just(HelperKind::ChangeGroup), Just(HelperKind::NetworkNamespace), Just(HelperKind::OpenPath), Just(HelperKind::DescribeXdp), Just(HelperKind::OpenInContainer), Just(HelperKind::MountVolume), Just(HelperKind::Libxdp)],
        ids in (0..u32::MAX, 0..u32::MAX, proptest::collection::vec(0..u32::MAX, 0..=limits::GROUPS)),
        generation in 0..u32::MAX,
        mode in prop_oneof![Just(Mode::Enforce), Just(Mode::Log)],
        dirs in (any_path(), any_path(), any_path(), any_path()),
        log in "[a-z=,: ]{0,64}",
        read in proptest::collection::vec(any_path(), 0..=limits::EXTRA_PATHS),
    ) {
        let arguments = WorkerArguments {
            role,
            helper: (role == Role::Helper).then_some(kind),
            identity: Identity { uid: ids.0, gid: ids.1, groups: ids.2 },
            client_gid: (ids.0 % 2 == 0).then_some(ids.1),
            generation,
            mode,
            runtime_dir: dirs.0,
            state_dir: dirs.1,
            cache_dir: dirs.2,
            log,
            kubelet_dir: (ids.1 % 2 == 0).then_some(dirs.3),
            read,
        };
        prop_assert_eq!(WorkerArguments::parse(arguments.to_argv()), Ok(arguments));
    }

    #[test]
    fn no_input_panics(argv in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let _refused_or_not = WorkerArguments::parse(argv.into_iter().map(OsString::from_vec));
    }
}

#[test]
fn each_missing_setting_is_named() {
    for key in SINGLE
        .into_iter()
        .filter(|&key| !["helper", "client-gid", "kubelet-dir"].contains(&key))
    {
        let error = refused(|argv| {
            argv.retain(|argument| {
                !argument
                    .as_bytes()
                    .starts_with(format!("{key}=").as_bytes())
            });
        });
        assert_eq!(error, ArgumentError::Missing(key));
    }
}

#[test]
fn unknown_repeated_and_malformed_settings_are_refused() {
    assert_eq!(
        refused(|argv| argv.push("colour=red".into())),
        ArgumentError::Unknown("colour".into())
    );
    assert_eq!(
        refused(|argv| argv.push("uid=7".into())),
        ArgumentError::Repeated("uid")
    );
    assert_eq!(
        refused(|argv| argv.push("--help".into())),
        ArgumentError::Malformed("--help".into())
    );
    assert_eq!(
        refused(|argv| argv.push("=x".into())),
        ArgumentError::Unknown(String::new())
    );
}

#[test]
fn wrong_values_are_refused() {
    for (key, value) in [
        ("role", "client"),
        ("role", "root"),
        ("uid", "-1"),
        ("uid", "+1"),
        ("uid", "01"),
        ("uid", ""),
        ("uid", "4294967295"),
        ("gid", "4294967296"),
        ("groups", "1,,2"),
        ("groups", "1 2"),
        ("generation", "x"),
        ("mode", "off"),
        ("runtime-dir", "run/bpfman"),
        ("state-dir", ""),
        ("helper", "perf-event"),
        ("read", "resolv.conf"),
    ] {
        let error = replaced(key, value);
        assert!(
            matches!(error, ArgumentError::Invalid { .. }),
            "{key}={value}: {error}"
        );
    }
}

#[test]
fn a_helper_says_for_what() {
    assert!(matches!(
        replaced("role", "helper"),
        ArgumentError::Invalid { key: "helper", .. }
    ));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let error = refused(|argv| {
        argv.retain(|argument| !argument.as_bytes().starts_with(b"log="));
        argv.push(OsString::from_vec(b"log=\xff".to_vec()));
    });
    assert_eq!(
        error,
        ArgumentError::Invalid {
            key: "log",
            expected: "valid UTF-8"
        }
    );
}

#[test]
fn one_more_than_each_bound_is_refused() {
    let groups = vec!["1"; limits::GROUPS + 1].join(",");
    assert_eq!(
        replaced("groups", &groups),
        ArgumentError::TooMany("groups")
    );
    let log = "x".repeat(limits::LOG_SPEC_BYTES + 1);
    assert_eq!(
        replaced("log", &log),
        ArgumentError::TooMany("bytes in the log specification")
    );
    let path = format!(
        "/{}",
        "x".repeat(limits::ARGUMENT_BYTES - "state-dir=".len())
    );
    assert_eq!(
        replaced("state-dir", &path),
        ArgumentError::TooMany("bytes in one argument")
    );
    let reads = |count| {
        WorkerArguments {
            read: vec!["/x".into(); count],
            ..arguments()
        }
        .to_argv()
    };
    assert!(WorkerArguments::parse(reads(limits::EXTRA_PATHS)).is_ok());
    assert_eq!(
        WorkerArguments::parse(reads(limits::EXTRA_PATHS + 1)),
        Err(ArgumentError::TooMany("paths to read"))
    );
}
