//! Files with credentials as container tools write them.

#![allow(
    clippy::disallowed_methods,
    reason = "a test starts itself with another environment"
)]

use super::*;
use std::os::unix::fs::PermissionsExt;

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn pair(credentials: &Credentials) -> (String, String) {
    match credentials {
        Credentials::Basic { user, password } => (user.clone(), password.clone()),
        Credentials::Identity(token) => (String::new(), token.clone()),
    }
}

fn found(text: &str, image: &str) -> Option<(String, String)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let found = from_file(file.path(), &reference(image)).unwrap();
    found.as_ref().map(pair)
}

fn is(user: &str, password: &str) -> Option<(String, String)> {
    Some((user.to_owned(), password.to_owned()))
}

#[test]
fn given_credentials_are_whole() {
    let given = |text: &str| find(&reference("localhost:5000/a"), Some(text));
    assert_eq!(
        pair(&given("dTpwOnE=").unwrap().unwrap()),
        ("u".into(), "p:q".into())
    );
    assert!(given("").unwrap().is_none());
    for text in ["dTpw=", "dXA=", "dTo=", "OnA=", "/w==", "!"] {
        assert!(matches!(given(text), Err(Error::Usage(_))), "{text}");
    }
    assert!(
        find(&reference("localhost:5000/a"), None)
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_nearest_entry_counts() {
    let text = r#"{"auths":{
        "quay.io":{"auth":"cmVnaXN0cnk6MQ=="},
        "quay.io/acme":{"auth":"YWNtZToy"},
        "quay.io/acme/xdp":{"username":"xdp","password":"3"},
        "https://index.docker.io/v1/":{"auth":"aHViOjQ="},
        "ghcr.io":{},
        "https://old.example/v1/":{"auth":"b2xkOjUAAAA="},
        "cloud.example":{"auth":"AA==","identitytoken":"token"}
    }}"#;
    assert_eq!(found(text, "quay.io/other/a"), is("registry", "1"));
    assert_eq!(found(text, "quay.io/acme/tc"), is("acme", "2"));
    assert_eq!(found(text, "quay.io/acme/xdp:v1"), is("xdp", "3"));
    assert_eq!(found(text, "xdp"), is("hub", "4"));
    assert_eq!(found(text, "old.example/a"), is("old", "5"));
    assert_eq!(found(text, "cloud.example/a"), is("", "token"));
    assert_eq!(found(text, "ghcr.io/a/b"), None);
    assert_eq!(found(text, "quay.io.example/a"), None);
    assert_eq!(found("{}", "quay.io/a"), None);
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_its_secrets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = |text: &[u8]| {
        std::fs::write(file.path(), text).unwrap();
        from_file(file.path(), &reference("quay.io/a"))
            .unwrap_err()
            .to_string()
    };
    for text in [
        &b"canary"[..],
        b"{\"auths\":{\"quay.io\":\"canary\"}}",
        b"{\"auths\":{\"quay.io\":{\"auth\":\"canary\"}}}",
        b"{\"auths\":{\"quay.io\":{\"username\":\"canary\"}}}",
    ] {
        let words = refused(text);
        assert!(
            !words.contains("canary") && words.contains("credentials file"),
            "{words}"
        );
    }
    let longest = format!("{{}}{}", " ".repeat(AUTH_FILE_BYTES as usize - 2));
    std::fs::write(file.path(), &longest).unwrap();
    assert!(from_file(file.path(), &reference("quay.io/a")).is_ok());
    assert!(refused(format!("{longest} ").as_bytes()).contains("larger"));
}

#[test]
fn helpers_are_asked_by_their_name_only() {
    for helper in ["", "../sh", "/bin/sh", "that-does-not-exist"] {
        assert!(ask(helper, "quay.io").is_err(), "{helper}");
    }
}

#[test]
fn a_helper_answers() {
    let directory = tempfile::tempdir().unwrap();
    let helper = directory.path().join("docker-credential-test");
    std::fs::write(
        &helper,
        "#!/bin/sh\nread -r registry\n[ \"$registry\" = quay.io ] || { echo none; exit 1; }\n\
         echo '{\"ServerURL\":\"quay.io\",\"Username\":\"<token>\",\"Secret\":\"secret\"}'\n",
    )
    .unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    // As a child with its own PATH: that of this process is shared by all tests.
    let own = std::env::current_exe().unwrap();
    let status = Command::new(own)
        .args([
            "--exact",
            "credentials::tests::in_a_child_with_the_helper_in_its_path",
            "--ignored",
        ])
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", directory.path().display()),
        )
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "run by a_helper_answers with the helper in PATH"]
fn in_a_child_with_the_helper_in_its_path() {
    let known = ask("test", "quay.io").unwrap().unwrap();
    assert_eq!(pair(&known), (String::new(), "secret".to_owned()));
    assert!(ask("test", "ghcr.io").unwrap().is_none());
    let text = r#"{"credHelpers":{"quay.io":"test"}}"#;
    assert_eq!(found(text, "quay.io/a"), is("", "secret"));
    assert_eq!(
        found(r#"{"credsStore":"test"}"#, "quay.io/a"),
        is("", "secret")
    );
    assert_eq!(found(r#"{"credsStore":"test"}"#, "ghcr.io/a"), None);
}

#[test]
fn what_was_passed_is_gone_when_the_answer_is_there() {
    let passed = Passed::new(&Credentials::basic("user", "secret").unwrap()).unwrap();
    let other = passed.as_fd().try_clone_to_owned().unwrap();
    drop(passed);
    assert_eq!(File::from(other).metadata().unwrap().len(), 0);
}
