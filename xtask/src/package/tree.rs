//! The files of an installation, below a root.

use crate::artifacts::Artifacts;
use crate::run::{run, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs by where they go.
const PROGRAMS: [(&str, &str); 5] = [
    ("bpfmand", "usr/bin"),
    ("bpfmanctl", "usr/bin"),
    ("bpfman-loader", "usr/libexec/bpfman"),
    ("bpfman-image", "usr/libexec/bpfman"),
    ("bpfman-api", "usr/libexec/bpfman"),
];

/// Files of the service manager, from supervisor/dist.
const UNITS: [(&str, &str); 6] = [
    ("bpfman.service", "usr/lib/systemd/system/bpfman.service"),
    ("bpfman.socket", "usr/lib/systemd/system/bpfman.socket"),
    (
        "bpfman-csi.conf",
        "usr/share/doc/bpfman/examples/bpfman-csi.conf",
    ),
    (
        "run-bpfman-fs.mount",
        "usr/lib/systemd/system/run-bpfman-fs.mount",
    ),
    ("bpfman.sysusers", "usr/lib/sysusers.d/bpfman.conf"),
    ("bpfman.tmpfiles", "usr/lib/tmpfiles.d/bpfman.conf"),
];

/// The configuration file, below the root.
pub(super) const CONFIGURATION: &str = "etc/bpfman/bpfman.toml";

/// The programs, stripped, and `bpfman` as a second name of `bpfmanctl`; where each lies.
pub(super) fn programs(artifacts: &Artifacts, root: &Path) -> Result<Vec<PathBuf>> {
    let mut installed = Vec::new();
    for (name, folder) in PROGRAMS {
        let path = root.join(folder).join(name);
        install(artifacts.program(name)?, &path, 0o755)?;
        run(Command::new("strip").arg("--strip-unneeded").arg(&path))?;
        installed.push(path);
    }
    symlink("bpfmanctl", root.join("usr/bin/bpfman")).context("the second name of bpfmanctl")?;
    Ok(installed)
}

/// Units, users and directories.
pub(super) fn units(root: &Path) -> Result<()> {
    let dist = workspace().join("supervisor/dist");
    UNITS
        .iter()
        .try_for_each(|(from, to)| install(&dist.join(from), &root.join(to), 0o644))
}

/// The commented configuration.
pub(super) fn configuration(root: &Path) -> Result<()> {
    let sample = workspace().join("supervisor/dist/bpfman.toml");
    install(&sample, &root.join(CONFIGURATION), 0o644)
}

/// Copies one file and makes the folders above it.
pub(super) fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    write(to, &bytes, mode)
}

/// Writes one file and makes the folders above it.
pub(super) fn write(to: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("cannot write {}", to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(to, bytes).with_context(failed)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(failed)
}

/// Folders that anybody may enter, whatever the umask of whoever builds.
pub(super) fn plain_modes(folder: &Path) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            plain_modes(&entry.path())?;
        }
    }
    Ok(())
}
