//! A file of golden bytes, one line each, in `tests/golden/`.

use std::path::Path;

/// The lines are those of the file. With `UPDATE_GOLDEN` in the environment the file is written first.
#[track_caller]
pub(crate) fn assert_lines(file: &str, lines: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(file);
    #[allow(
        clippy::disallowed_methods,
        reason = "whoever changes messages asks for the file to be written"
    )]
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, lines).unwrap();
    }
    let expected = std::fs::read_to_string(&path).expect("write it with UPDATE_GOLDEN=1");
    for (got, expected) in lines.lines().zip(expected.lines()) {
        assert_eq!(
            got, expected,
            "these bytes changed: append variants, or raise PROTOCOL_VERSION"
        );
    }
    assert_eq!(lines.lines().count(), expected.lines().count());
}
