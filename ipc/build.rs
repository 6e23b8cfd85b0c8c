//! Gives the build its identity: a digest of the sources of this crate, which are what two processes must agree about. It
//! needs no checkout and is the same wherever the same sources are compiled.

#![allow(
    clippy::disallowed_methods,
    reason = "a build script is told by the environment"
)]

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let digest = digest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    let version = env::var("CARGO_PKG_VERSION").map_err(io::Error::other)?;
    println!("cargo::rustc-env=BPFMAN_BUILD_ID={version}-{digest}");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

/// The first half of the SHA-256 over names and contents of all files below a folder, in the order of their names.
pub(crate) fn digest(folder: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for file in files(folder)? {
        let name = file.strip_prefix(folder).map_err(io::Error::other)?;
        for part in [name.as_os_str().as_encoded_bytes(), &fs::read(&file)?] {
            // With its length, so that nothing can move from one part into the next.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    let half = &hash.finalize()[..16];
    Ok(half.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
