//! `cargo xtask image`: a container image as an OCI layout (image-spec 1.1, image-layout.md), reproducible, by tar and gzip.

use super::tree;
use crate::artifacts::{Artifacts, Profile, build_programs};
use crate::libraries::shared_libraries;
use crate::run::{run, workspace};
use crate::setup;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Users as the Debian package creates them.
const PASSWD: &str = "root:x:0:0:root:/root:/usr/sbin/nologin
bpfman:x:900:900:bpfman supervisor:/nonexistent:/usr/sbin/nologin
bpfman-loader:x:901:901:bpfman loader worker:/nonexistent:/usr/sbin/nologin
bpfman-image:x:902:902:bpfman image worker:/nonexistent:/usr/sbin/nologin
bpfman-api:x:903:903:bpfman API worker:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "root:x:0:
bpfman:x:900:
bpfman-loader:x:901:
bpfman-image:x:902:
bpfman-api:x:903:
";
/// Certificates of registries, where Debian has them.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Folder of the OCI layout; one that is there is replaced
    #[arg(long, value_name = "DIR", default_value = "target/packages/image")]
    output: PathBuf,
    /// Package a debug build: quickly
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run_image(options: &Options) -> Result<()> {
    setup::ensure()?;
    let layout = workspace().join(&options.output);
    let profile = if options.debug {
        Profile::Dev
    } else {
        Profile::Release
    };
    build(&build_programs(profile)?, &layout)?;
    println!("{}", layout.display());
    Ok(())
}

/// Writes the layout, with one image of one layer.
pub(crate) fn build(artifacts: &Artifacts, layout: &Path) -> Result<()> {
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let root = scratch.path().join("root");
    root_file_system(artifacts, &root)?;
    let tar = scratch.path().join("layer.tar");
    // Seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/
    let epoch = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| "0".to_owned());
    run(Command::new("tar")
        .args(["--create", "--sort=name", "--format=gnu", "--numeric-owner"])
        .args(["--owner=0", "--group=0", &format!("--mtime=@{epoch}")])
        .arg("--file")
        .arg(&tar)
        .arg("--directory")
        .arg(&root)
        .arg("."))?;
    let uncompressed = digest(&fs::read(&tar)?);
    run(Command::new("gzip").arg("--no-name").arg(&tar))?;

    if layout.exists() {
        fs::remove_dir_all(layout).with_context(|| format!("{}", layout.display()))?;
    }
    let layer = fs::read(tar.with_extension("tar.gz"))?;
    let layer = blob(
        layout,
        "application/vnd.oci.image.layer.v1.tar+gzip",
        &layer,
    )?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/bpfmand", "--require-users"],
            "Labels": {
                "org.opencontainers.image.title": "bpfman",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [uncompressed] },
    });
    let config = blob(
        layout,
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    )?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer],
    });
    let mut manifest = blob(layout, media_type, manifest.to_string().as_bytes())?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    tree::write(
        &layout.join("index.json"),
        index.to_string().as_bytes(),
        0o644,
    )?;
    tree::write(
        &layout.join("oci-layout"),
        json!({ "imageLayoutVersion": "1.0.0" })
            .to_string()
            .as_bytes(),
        0o644,
    )
}

/// Programs, their libraries, users, and folders that a runtime mounts over.
fn root_file_system(artifacts: &Artifacts, root: &Path) -> Result<()> {
    let mut libraries = BTreeSet::new();
    for program in tree::programs(artifacts, root)? {
        libraries.extend(shared_libraries(&program)?);
    }
    for library in libraries {
        tree::install(Path::new(&library), &below(root, &library), 0o755)?;
    }
    tree::write(&root.join("etc/passwd"), PASSWD.as_bytes(), 0o644)?;
    tree::write(&root.join("etc/group"), GROUP.as_bytes(), 0o644)?;
    tree::write(
        &root.join("etc/nsswitch.conf"),
        b"hosts: files dns\n",
        0o644,
    )?;
    if Path::new(CERTIFICATES).exists() {
        tree::install(Path::new(CERTIFICATES), &below(root, CERTIFICATES), 0o644)?;
    }
    for folder in [
        "dev",
        "etc/bpfman",
        "proc",
        "run/bpfman",
        "run/bpfman-sock",
        "sys",
        "tmp",
        "var/cache/bpfman",
        "var/lib/bpfman",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    tree::plain_modes(root)
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Writes a blob; returns its descriptor.
fn blob(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    let name = digest.replace(':', "/");
    tree::write(&layout.join("blobs").join(name), bytes, 0o644)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

fn digest(bytes: &[u8]) -> String {
    let hexadecimal: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hexadecimal}")
}
