//! `config check` and `config show`.

use crate::run;
use std::path::PathBuf;
use tempfile::TempDir;

fn file(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bpfman.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn a_file_in_order_is_said_to_be() {
    let (_directory, path) =
        file("[logging]\nlevel = \"debug\"\n[telemetry]\n[database]\nmax_retries = 3\n");
    let path = path.display();
    let outcome = run(&format!("config check --config {path}"));
    assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""));
    assert_eq!(
        outcome.output,
        format!(
            "line 3: telemetry is not known to this version and has no effect\n\
             line 5: database.max_retries has no effect: the store belongs to one process, which waits for nobody\n\
             {path}: in order\n"
        )
    );
}

#[test]
fn a_file_that_is_wrong_fails_with_line_key_and_suggestion() {
    let (_directory, path) = file("[logging]\nlevle = \"debug\"\n");
    for command in ["check", "show"] {
        let outcome = run(&format!("--config {} config {command}", path.display()));
        assert_eq!((outcome.code, outcome.output.as_str()), (1, ""));
        assert_eq!(
            outcome.errors,
            format!(
                "bpfman: error: configuration: {}: line 2: logging.levle is not known; did you mean \"level\"?; correct \
                 the file, or name another with --config\n",
                path.display()
            )
        );
    }
}

/// Words are right, and what they name is not.
#[test]
fn a_file_with_which_no_service_starts_or_no_image_is_accepted_fails() {
    for (text, words) in [
        (
            "[registries]\nca_file = \"/no/ca.pem\"\n",
            "line 2: registries.ca_file names /no/ca.pem: No such file",
        ),
        (
            "[signing]\nkeys = [\"missing.pub\"]\ntrust_dir = \"/proc/self/fdinfo\"\n",
            "no image would be accepted: ",
        ),
        (
            "[[signing.rules]]\nimages = \"quay.io/*/x\"\nrequire = \"nothing\"\n",
            "\"quay.io/*/x\"",
        ),
        (
            "[signing]\n\n[[signing.trusted_identities]]\ncertificate_identity_regexp = \"((\"\ncertificate_oidc_issuer = \"c\"",
            "line 3: signing.trusted_identities is wrong: certificate_identity_regexp \"((\": unclosed group",
        ),
    ] {
        let (_directory, path) = file(text);
        let outcome = run(&format!("config check --config {}", path.display()));
        assert_eq!((outcome.code, outcome.output.as_str()), (1, ""), "{text}");
        assert!(outcome.errors.contains(words), "{}", outcome.errors);
    }
    let (_directory, path) = file("");
    let outcome = run(&format!(
        "config check --log infoo --config {}",
        path.display()
    ));
    assert_eq!(outcome.code, 1);
    let words =
        "flag --log \"infoo\" has the level \"infoo\", which is not known; did you mean \"info\"?";
    assert!(outcome.errors.contains(words), "{}", outcome.errors);
}

#[test]
fn values_are_shown_with_their_origin() {
    let (_directory, path) = file(
        "[logging]\nlevel = \"debug\"\n[logging.components]\nimage = \"warn\"\n\
         [[signing.rules]]\nimages = \"*\"\nrequire = \"nothing\"\n",
    );
    let path = path.display();
    let row = |output: &str, key: &str| {
        let line = output.lines().find(|line| line.starts_with(key));
        line.unwrap()
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect::<Vec<_>>()
            .join("|")
    };
    let shown = run(&format!("config show --config {path}")).output;
    assert!(shown.starts_with("KEY "), "{shown}");
    assert_eq!(
        row(&shown, "logging.level"),
        format!("logging.level|\"debug\"|{path}:2")
    );
    assert_eq!(
        row(&shown, "logging.format"),
        "logging.format|\"text\"|default"
    );
    assert_eq!(
        row(&shown, "signing.rules"),
        format!("signing.rules|(1 of them)|{path}:5")
    );

    let shown = run(&format!("config show --config {path} --log info,api=trace")).output;
    assert_eq!(
        row(&shown, "logging.level"),
        "logging.level|\"info,api=trace\"|flag --log"
    );
    assert_eq!(
        row(&shown, "logging.components.image"),
        "logging.components.image|(overridden)|flag --log"
    );

    let json = run(&format!("config show --config {path} -o json")).output;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["file"], path.to_string());
    assert_eq!(
        json["values"][0],
        serde_json::json!({ "key": "logging.level", "value": "\"debug\"", "origin": "file", "line": 2 })
    );
    assert_eq!(json["values"][1]["line"], serde_json::Value::Null);
}

/// The environment is told from the flag.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the environment of this process is that of all its tests"
)]
fn the_environment_is_an_origin() {
    let (_directory, path) = file("");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bpfmanctl"))
        .args(["config", "show"])
        .env("BPFMAN_CONFIG", &path)
        .env("BPFMAN_LOG", "debug")
        .output()
        .unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.contains("\"debug\"") && output.contains("environment BPFMAN_LOG"),
        "{output}"
    );
}
