//! Tests of reading.

use super::*;

fn errors(text: &str) -> String {
    parse(text)
        .unwrap_err()
        .of(Path::new("/etc/bpfman/bpfman.toml"))
        .to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let loaded = parse("").unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.without_effect().is_empty());
    assert_eq!(loaded.config.logging.specification(), "info");
    assert!(
        loaded
            .values
            .iter()
            .all(|value| value.origin == Origin::Default)
    );
}

#[test]
fn values_know_their_lines() {
    let loaded = parse(
        "# ours\n[logging]\nlevel = \"warn\"\nformat='json'\n\n[logging.components]\nserver = \"debug\"\nimage = \"err\"\n",
    )
    .unwrap();
    assert_eq!(loaded.config.logging.format, Format::Json);
    assert_eq!(
        loaded.config.logging.specification(),
        "warn,image=err,server=debug"
    );
    let of = |key: &str| {
        let value = loaded.values.iter().find(|value| value.key == key);
        value.map(|value| (value.text.as_str(), value.origin))
    };
    assert_eq!(of("logging.level"), Some(("\"warn\"", Origin::File(3))));
    assert_eq!(of("logging.format"), Some(("'json'", Origin::File(4))));
    assert_eq!(
        of("logging.components.server"),
        Some(("\"debug\"", Origin::File(7)))
    );
    assert_eq!(of("signing.rules"), Some(("[]", Origin::Default)));
    assert_eq!(of("interfaces.eth0.xdp_mode"), None);
}

#[test]
fn a_file_of_the_established_implementations_is_understood() {
    let loaded = parse(
        "[signing]\nallow_unsigned = true\nverify_enabled = true\n[database]\nmax_retries = 5\nmillisec_delay = 100\n\
         [interfaces]\n[interfaces.eth0]\nxdp_mode = \"skb\"\n",
    )
    .unwrap();
    assert!(loaded.config.signing.settings.allow_unsigned);
    assert_eq!(loaded.config.database.max_retries, 5);
    assert_eq!(loaded.config.interfaces["eth0"].xdp_mode, XdpMode::Skb);
    let told = loaded.without_effect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("line 9: interfaces.eth0.xdp_mode has no effect: "),
        "{told:?}"
    );
}

#[test]
fn keys_of_other_versions_are_named_and_left_alone() {
    let loaded = parse("[telemetry]\nurl = \"x\"\n[logging]\ncolour = true\n").unwrap();
    assert_eq!(
        loaded.without_effect(),
        [
            "line 4: logging.colour is not known to this version and has no effect",
            "line 1: telemetry is not known to this version and has no effect",
        ]
    );
}

#[test]
fn a_misspelt_key_is_an_error_and_not_a_default() {
    for (text, expected) in [
        (
            "[logging]\nlevle = \"warn\"",
            "line 2: logging.levle is not known; did you mean \"level\"?",
        ),
        (
            "\n[loging]\nlevel = \"warn\"",
            "line 2: loging is not known; did you mean \"logging\"?",
        ),
        (
            "level = \"warn\"",
            "line 1: level is not known outside of a table; did you mean \"logging.level\"?",
        ),
        (
            "[database]\nmax_retry = 1",
            "line 2: database.max_retry is not known; did you mean \"max_retries\"?",
        ),
        (
            "[interfaces.eth0]\nxdpmode = \"drv\"",
            "line 2: interfaces.eth0.xdpmode is not known; did you mean \"xdp_mode\"?",
        ),
        // Whatever it means, it may have been meant to make the service trust less.
        ("[signing]\nshine = 1", "line 2: signing.shine is not known"),
        (
            "[signing]\n[[signing.trusted_identities]]\n[[signing.trusted_identities]]\ncertificate_identiy = \"a\"",
            "line 4: signing.trusted_identities.certificate_identiy is not known; did you mean \"certificate_identity\"?",
        ),
        (
            "[[signing.rules]]\nimages = \"*\"\nkey = []",
            "line 3: signing.rules.key is not known; did you mean \"keys\"?",
        ),
        (
            "[[signing.rules]]\n[[signing.rules.trusted_identities]]\nissuer = \"a\"",
            "line 3: signing.rules.trusted_identities.issuer is not known",
        ),
        (
            "[logging]\nlevel = \"loud\"",
            "line 2: logging.level has the level \"loud\", which is not known; known are off",
        ),
        (
            "[logging]\nlevel = \"info,image=debgu\"",
            "level \"debgu\", which is not known; did you mean \"debug\"?",
        ),
        (
            "[logging.components]\nstore = \"wran\"",
            "line 2: logging.components.store has the level \"wran\"",
        ),
    ] {
        let errors = errors(text);
        assert!(errors.contains(expected), "{errors}");
        assert!(
            errors.starts_with("/etc/bpfman/bpfman.toml: ")
                && errors.ends_with("; correct the file, or name another with --config"),
            "{errors}"
        );
    }
    let several = errors("[logging]\nlevle = 1\nfromat = 2\n");
    assert!(
        several.contains("line 2: ") && several.contains("; line 3: "),
        "{several}"
    );
}

#[test]
fn a_wrong_value_is_an_error_with_its_line_and_key() {
    for (text, expected) in [
        (
            "logging = 1",
            "line 1: logging is 1; it must be a table: [logging]",
        ),
        (
            "[logging]\nlevel = 3",
            "line 2: logging.level is 3; it must be text in quotes",
        ),
        (
            "[logging]\n\nformat = \"jsno\"",
            "line 3: logging.format is \"jsno\", which is not known; did you mean \"json\"?; known are \"text\", \"json\"",
        ),
        (
            "[logging]\nformat = true",
            "line 2: logging.format is true; it must be one of \"text\", \"json\"",
        ),
        (
            "[logging.components]\nimage = 3",
            "line 2: logging.components.image is 3; it must be text in quotes",
        ),
        (
            "[logging.components]\nimgae = \"debug\"",
            "line 2: logging.components.imgae is a component \"imgae\", which is not known; did you mean \"image\"?",
        ),
        (
            "[logging]\nlevel = \"info,imgae=debug\"",
            "line 2: logging.level has the component \"imgae\", which is not known; did you mean \"image\"?",
        ),
        ("[logging", "line 1, column"),
        ("\u{0}", "line 1, column"),
        (
            "[interfaces.eth0]\nxdp_mode = \"drw\"",
            "line 2: interfaces.eth0.xdp_mode is \"drw\", which is not known; did you mean \"drv\"?",
        ),
        (
            "[database]\nmax_retries = -1",
            "line 2: database.max_retries is -1; it must be a whole number from 0 to 4294967295",
        ),
        (
            "[registries]\ntimeout = 3601",
            "line 2: registries.timeout is 3601; it must be a whole number from 1 to 3600",
        ),
        ("[registries]\ncache_bytes = -0x1", "line 2"),
        (
            "[registries.mirrors]\n\"a.b\" = \"c\"",
            "line 2: registries.mirrors.a.b is \"c\"; it must be a list of texts",
        ),
        (
            "[csi]\nenabled = \"yes\"",
            "line 2: csi.enabled is \"yes\"; it must be true or false, without quotes",
        ),
        (
            "[csi]\nkubelet_dir = \"x\"",
            "line 2: csi.kubelet_dir is wrong: it must be an absolute path of a directory",
        ),
        (
            "[signing]\nkeys = [1]",
            "line 2: signing.keys is [1]; it must be a list of texts",
        ),
        (
            "[signing]\nrules = true",
            "line 2: signing.rules is true; it must be tables: [[signing.rules]]",
        ),
        (
            "[signing]\nrules = [1]",
            "line 2: signing.rules is 1; it must be a table: [[signing.rules]]",
        ),
        (
            "[signing]\nallow_unsigned = true\n\ntrust_dir = \"keys\"",
            "line 4: signing.trust_dir is wrong: it must be an absolute path",
        ),
        (
            "[signing]\nkeys = [\n\"a/b\"]",
            "signing.keys is wrong: \"a/b\" must be the name of a file in signing.trust_dir",
        ),
        (
            "[signing]\n\n[[signing.trusted_identities]]\ncertificate_identity = \"a\"\ncertificate_oidc_issuer = \"b\"\n\
             [[signing.trusted_identities]]\ncertificate_identity = \"a\"",
            "line 6: signing.trusted_identities is wrong: a trusted identity needs certificate_oidc_issuer or \
             certificate_oidc_issuer_regexp",
        ),
        (
            "[[signing.rules]]\nimages = \"*\"\nkeys = [\"a\"]\n[[signing.rules]]\nrequire = \"nothing\"",
            "line 4: signing.rules is wrong: missing field `images`",
        ),
        (
            "[[signing.rules]]\nimages = \"*\"\nkeys = [\"a\"]\n[[signing.rules.trusted_identities]]\ncertificate_identity = 3",
            "line 5: signing.rules.trusted_identities.certificate_identity is 3; it must be text in quotes",
        ),
        (
            "[[signing.rules]]\nimages = \"*\"\n[[signing.rules.trusted_identities]]\ncertificate_identity = \"a\"",
            "line 3: signing.rules.trusted_identities is wrong: a trusted identity needs",
        ),
    ] {
        let errors = errors(text);
        assert!(errors.contains(expected), "{text}\n{errors}");
    }
}

#[test]
fn modules_are_components() {
    for name in [
        "loader_worker::store",
        "h2",
        "supervisor::tree",
        "csi",
        "helper",
    ] {
        let text = format!("[logging.components]\n\"{name}\" = \"debug\"");
        assert!(parse(&text).is_ok(), "{name}");
    }
}

#[test]
fn a_named_file_must_exist_and_be_readable_text() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let error = read(Some(&missing)).unwrap_err().to_string();
    assert!(
        error.contains("missing.toml") && error.contains("--config"),
        "{error}"
    );
    assert!(read(Some(directory.path())).is_err());
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, b"\xff\xfe").unwrap();
    assert!(read(Some(&binary)).is_err());
}

#[test]
fn a_file_one_byte_past_the_limit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.toml");
    std::fs::write(&path, "#".repeat(FILE_BYTES as usize)).unwrap();
    assert!(read(Some(&path)).is_ok());
    std::fs::write(&path, "#".repeat(FILE_BYTES as usize + 1)).unwrap();
    assert!(matches!(read(Some(&path)), Err(ConfigError::TooLarge(_))));
}

/// The file that packages install: as it is nothing but defaults, and with its examples every key.
#[test]
fn the_sample_names_every_key() {
    let sample = include_str!("../../supervisor/dist/bpfman.toml");
    let loaded = parse(sample).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.unknown.is_empty());

    // Examples have no blank after the mark, words have one.
    let examples: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(example) if !example.starts_with(' ') => format!("{example}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let loaded = match parse(&examples) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{}", error.of(Path::new("sample"))),
    };
    assert!(loaded.unknown.is_empty(), "{:?}", loaded.unknown);
    let left_out: Vec<_> = loaded
        .values
        .iter()
        .filter(|value| value.origin == Origin::Default)
        .collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    assert!(!loaded.config.interfaces.is_empty() && !loaded.config.logging.components.is_empty());
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in "(\\[logging\\]\n|level = |\"info\"\n|[a-z.]{0,5} = [0-9\"\\[{]{0,3}\n?){0,6}") {
        let _ = parse(&text);
    }
}
