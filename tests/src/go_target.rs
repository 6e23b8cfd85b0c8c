//! A program in Go that uprobes attach to.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The source, where the machine has it: compilers are on the machine that builds, not in its virtual machines.
pub fn source() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/go_target/main.go");
    if source.is_file() {
        Ok(source)
    } else {
        Err("the source of the Go program is not in this machine".to_owned())
    }
}

/// Builds it in a folder of its own.
pub fn build(source: &Path, folder: &Path, linker_flags: &str) -> PathBuf {
    let program = folder.join("go-target");
    let output = Command::new("go")
        .env("GO111MODULE", "off")
        .env("GOCACHE", folder.join("cache"))
        .args(["build", "-ldflags", linker_flags, "-o"])
        .args([program.as_path(), source])
        .output()
        .expect("go");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}
