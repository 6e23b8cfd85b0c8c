//! Where the programs under test are.

use std::path::PathBuf;

/// The path of a program: in `BPFMAN_BIN_DIR` (virtual machines), else in the folder of the build that this test is of.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("BPFMAN_BIN_DIR").map_or_else(build_folder, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --workspace` or `cargo xtask test`",
        path.display()
    );
    path
}

/// `target/<profile>`: tests lie in its `deps`, programs directly in it.
fn build_folder() -> PathBuf {
    let mut folder = std::env::current_exe().expect("a running program has a path");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    folder
}
