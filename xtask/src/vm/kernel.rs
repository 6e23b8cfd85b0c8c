//! Debian's kernels: fetched as packages and unpacked beside the build, the machine's own boot untouched.

use crate::run::{capture, run, workspace};
use crate::setup::apt_get;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A kernel series that the tests run on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Series {
    /// Debian 12's own kernel: no tcx.
    #[value(name = "6.1")]
    V6_1,
    /// The kernel of Debian 12's backports.
    #[value(name = "6.12")]
    V6_12,
}

impl Series {
    /// As in the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Series::V6_1 => "6.1",
            Series::V6_12 => "6.12",
        }
    }

    /// The upload number if the package is a signed cloud kernel of this series.
    fn version_of(self, package: &str) -> Option<u32> {
        let release = package.strip_prefix("linux-image-")?;
        match self {
            Series::V6_1 => release
                .strip_prefix("6.1.0-")?
                .strip_suffix("-cloud-amd64")?
                .parse()
                .ok(),
            Series::V6_12 => release
                .strip_prefix("6.12.")?
                .strip_suffix("+deb12-cloud-amd64")?
                .parse()
                .ok(),
        }
    }
}

/// An unpacked kernel.
pub(super) struct Kernel {
    /// `uname -r`.
    pub(super) release: String,
    /// Its image.
    pub(super) image: PathBuf,
    modules: BTreeMap<String, PathBuf>,
}

/// The newest kernel of the series that the package lists know, from the cache when it is there.
pub(super) fn fetch(series: Series) -> Result<Kernel> {
    let cache = workspace().join("target/vm").join(series.name());
    if let Ok(kernel) = open(&cache.join("root")) {
        return Ok(kernel);
    }
    let package = match newest(series)? {
        Some(package) => package,
        None => {
            run(apt_get().args(["-q", "update"]).stdout(Stdio::null()))?;
            newest(series)?.with_context(|| {
                format!("the package lists have no {} cloud kernel", series.name())
            })?
        }
    };
    println!("fetching {package}");
    let _ = std::fs::remove_dir_all(&cache);
    std::fs::create_dir_all(&cache)?;
    // The lists may name a file that the archive has replaced by a newer one.
    let download = |cache: &Path| {
        run(apt_get()
            .args(["-q", "-o", "APT::Sandbox::User=root", "download", &package])
            .current_dir(cache))
    };
    if download(&cache).is_err() {
        run(apt_get().args(["-q", "update"]).stdout(Stdio::null()))?;
        download(&cache)?;
    }
    let archive = std::fs::read_dir(&cache)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    // Unpacked under another name first, so that an interrupted run is not taken for a whole one.
    let partial = cache.join("partial");
    run(Command::new("dpkg").arg("-x").arg(&archive).arg(&partial))?;
    std::fs::rename(&partial, cache.join("root"))?;
    std::fs::remove_file(archive)?;
    open(&cache.join("root"))
}

fn newest(series: Series) -> Result<Option<String>> {
    let listed = capture(Command::new("apt-cache").args(["pkgnames", "linux-image-6"]))?;
    Ok(listed
        .lines()
        .filter_map(|package| Some((series.version_of(package)?, package.to_owned())))
        .max()
        .map(|(_, package)| package))
}

fn open(root: &Path) -> Result<Kernel> {
    let image = std::fs::read_dir(root.join("boot"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        })
        .context("the package has no kernel image")?;
    let release = image
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix("vmlinuz-"))
        .context("the kernel image has no version in its name")?
        .to_owned();
    let mut modules = BTreeMap::new();
    index(&root.join("lib/modules").join(&release), &mut modules)?;
    Ok(Kernel {
        release,
        image,
        modules,
    })
}

/// Modules below a folder by name, `-` and `_` being the same to the kernel.
fn index(folder: &Path, modules: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            index(&path, modules)?;
        } else if let Some((stem, _)) = path
            .file_name()
            .and_then(|name| name.to_str()?.split_once(".ko"))
        {
            modules.insert(stem.replace('-', "_"), path.clone());
        }
    }
    Ok(())
}

impl Kernel {
    /// The modules and what they depend on, each after its dependencies, uncompressed. Names that are not modules of this
    /// kernel are built into it.
    pub(super) fn modules(&self, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut ordered = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.resolve(name, &mut seen, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn resolve(
        &self,
        name: &str,
        seen: &mut BTreeSet<String>,
        ordered: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let name = name.replace('-', "_");
        let Some(path) = self.modules.get(&name) else {
            return Ok(());
        };
        if !seen.insert(name.clone()) {
            return Ok(());
        }
        let content = read_module(path)?;
        for dependency in dependencies(&content) {
            self.resolve(&dependency, seen, ordered)?;
        }
        ordered.push((name, content));
        Ok(())
    }
}

fn read_module(path: &Path) -> Result<Vec<u8>> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        let output = Command::new("xz")
            .arg("-dc")
            .arg(path)
            .output()
            .context("cannot start xz")?;
        if !output.status.success() {
            bail!("xz cannot unpack {}", path.display());
        }
        return Ok(output.stdout);
    }
    Ok(std::fs::read(path)?)
}

/// The `depends=` entry of a module's `.modinfo` section: the package has no `modules.dep`, which is made at installation.
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value = &module[start + key.len()..];
    let end = value
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end])
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signed_cloud_kernels_of_the_series_count() {
        assert_eq!(
            Series::V6_12.version_of("linux-image-6.12.117+deb12-cloud-amd64"),
            Some(117)
        );
        assert_eq!(
            Series::V6_12.version_of("linux-image-6.12.117+deb12-cloud-amd64-dbg"),
            None
        );
        assert_eq!(
            Series::V6_12.version_of("linux-image-6.12.117+deb12-rt-amd64"),
            None
        );
        assert_eq!(
            Series::V6_1.version_of("linux-image-6.1.0-56-cloud-amd64"),
            Some(56)
        );
        assert_eq!(
            Series::V6_1.version_of("linux-image-6.1.0-56-cloud-amd64-unsigned"),
            None
        );
        assert_eq!(
            Series::V6_1.version_of("linux-image-6.12.117+deb12-cloud-amd64"),
            None
        );
    }

    #[test]
    fn dependencies_are_read_from_modinfo() {
        assert_eq!(
            dependencies(b"license=GPL\0depends=udp_tunnel,ip6-udp\0name=x\0"),
            ["udp_tunnel", "ip6-udp"]
        );
        assert!(dependencies(b"license=GPL\0depends=\0name=x\0").is_empty());
        assert!(dependencies(b"nothing").is_empty());
    }
}
