//! `cargo xtask deb`: a Debian package, put together by dpkg's own tools.

use super::tree::CONFIGURATION;
use super::{documents, tree};
use crate::artifacts::{Artifacts, Profile, build_programs};
use crate::run::{capture, run, workspace};
use crate::setup;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to put the package
    #[arg(long, value_name = "DIR", default_value = "target/packages")]
    output: PathBuf,
    /// Its version
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    version: String,
    /// Package a debug build, without compression: quickly
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run_deb(options: &Options) -> Result<()> {
    setup::ensure()?;
    let (profile, compression) = if options.debug {
        (Profile::Dev, "none")
    } else {
        (Profile::Release, "xz")
    };
    let package = build(
        &build_programs(profile)?,
        &options.version,
        &workspace().join(&options.output),
        compression,
    )?;
    println!("{}", package.display());
    Ok(())
}

/// Puts a package of these programs together; returns its path.
pub(crate) fn build(
    artifacts: &Artifacts,
    version: &str,
    output: &Path,
    compression: &str,
) -> Result<PathBuf> {
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let root = scratch.path().join("root");
    let programs = tree::programs(artifacts, &root)?;
    tree::units(&root)?;
    documents::install(&root)?;
    documents::texts(&root)?;
    tree::configuration(&root)?;
    // An administrator's changes survive upgrades.
    tree::write(
        &root.join("DEBIAN/conffiles"),
        format!("/{CONFIGURATION}\n").as_bytes(),
        0o644,
    )?;
    let debian = workspace().join("packaging/debian");
    let homepage = env!("CARGO_PKG_REPOSITORY");
    let copyright = fs::read_to_string(debian.join("copyright"))?.replace("@HOMEPAGE@", homepage);
    tree::write(
        &root.join("usr/share/doc/bpfman/copyright"),
        copyright.as_bytes(),
        0o644,
    )?;
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        tree::install(
            &debian.join(script),
            &root.join("DEBIAN").join(script),
            0o755,
        )?;
    }
    let architecture = capture(Command::new("dpkg").arg("--print-architecture"))?;
    let control = fs::read_to_string(debian.join("control"))?
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", architecture.trim())
        .replace("@SIZE@", &kibibytes(&root)?.to_string())
        .replace("@DEPENDS@", &libraries(scratch.path(), &programs)?)
        .replace("@HOMEPAGE@", homepage);
    tree::write(&root.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
    tree::plain_modes(&root)?;

    fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    let package = output.join(format!("bpfman_{version}_{}.deb", architecture.trim()));
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build", &format!("-Z{compression}")])
        .args([&root, &package])
        .stdout(std::process::Stdio::null()))?;
    Ok(package)
}

/// Packages whose libraries the programs are linked with, by dpkg-shlibdeps(1).
fn libraries(scratch: &Path, programs: &[PathBuf]) -> Result<String> {
    // It wants to be called from a source package.
    tree::write(
        &scratch.join("debian/control"),
        b"Source: bpfman\n\nPackage: bpfman\nArchitecture: any\n",
        0o644,
    )?;
    let answer = capture(
        Command::new("dpkg-shlibdeps")
            .current_dir(scratch)
            .arg("-O")
            .args(programs),
    )?;
    answer
        .trim()
        .strip_prefix("shlibs:Depends=")
        .map(str::to_owned)
        .context("dpkg-shlibdeps names no package")
}

/// Installed-Size of deb-control(5): KiB on disk.
fn kibibytes(root: &Path) -> Result<u64> {
    let answer = capture(
        Command::new("du")
            .args(["--summarize", "--block-size=1024"])
            .arg(root),
    )?;
    answer
        .split_whitespace()
        .next()
        .and_then(|number| number.parse().ok())
        .context("du names no size")
}
