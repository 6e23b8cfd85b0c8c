//! The identity of a build: equal sources, equal identity.

#![allow(clippy::unwrap_used, reason = "a test may")]

#[allow(dead_code, reason = "its main is for cargo")]
#[path = "../build.rs"]
mod script;

use std::fs;
use std::path::Path;

#[test]
fn the_sources_alone_decide_and_every_byte_and_name_of_them() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let digest = script::digest(&sources).unwrap();
    assert_eq!(
        ipc::build::BUILD_ID,
        format!("{}-{digest}", ipc::build::VERSION)
    );

    let copy = || {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        // Written in another order than they sort.
        fs::write(folder.path().join("c.rs"), "one").unwrap();
        fs::write(folder.path().join("b/a.rs"), "two").unwrap();
        folder
    };
    let [original, same, changed, renamed] = [copy(), copy(), copy(), copy()];
    fs::write(changed.path().join("b/a.rs"), "twO").unwrap();
    fs::rename(renamed.path().join("c.rs"), renamed.path().join("d.rs")).unwrap();
    let id = |folder: &tempfile::TempDir| script::digest(folder.path()).unwrap();
    assert_eq!(id(&original), id(&same));
    assert_ne!(id(&original), id(&changed));
    assert_ne!(id(&original), id(&renamed));
}
