//! Building the workspace once, and where what was built lies.

use crate::run::{cargo, workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// How to build.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Executables of the workspace.
#[derive(Default)]
pub(crate) struct Artifacts {
    /// Programs: bpfmand, its workers, bpfmanctl and the helpers of the tests.
    pub(crate) programs: Vec<PathBuf>,
    /// System tests.
    pub(crate) system_tests: Vec<PathBuf>,
    /// All other tests.
    pub(crate) unit_tests: Vec<UnitTest>,
    /// Where the kernel-side programs were compiled to.
    pub(crate) kernel_side: Option<PathBuf>,
}

/// A test executable of a crate.
pub(crate) struct UnitTest {
    /// Folder of the crate: the working directory that its tests expect.
    pub(crate) folder: PathBuf,
    /// The executable.
    pub(crate) executable: PathBuf,
}

impl Artifacts {
    /// A kernel-side object file by name.
    pub(crate) fn object(&self, name: &str) -> Result<PathBuf> {
        let folder = self
            .kernel_side
            .as_ref()
            .context("the crate `bpf` was not built")?;
        Ok(folder.join(name))
    }

    /// A test of a crate by the name of its target.
    pub(crate) fn unit_test(&self, name: &str) -> Option<&Path> {
        let prefix = format!("{name}-");
        self.unit_tests
            .iter()
            .map(|test| test.executable.as_path())
            .find(|test| {
                test.file_name()
                    .is_some_and(|file| file.to_string_lossy().starts_with(&prefix))
            })
    }

    /// A program by name.
    pub(crate) fn program(&self, name: &str) -> Result<&Path> {
        self.programs
            .iter()
            .find(|program| program.file_name().is_some_and(|file| file == name))
            .map(PathBuf::as_path)
            .with_context(|| format!("`{name}` was not built"))
    }
}

/// Programs only.
pub(crate) fn build_programs(profile: Profile) -> Result<Artifacts> {
    build(&["--bins", "--workspace", "--exclude", "xtask"], profile)
}

/// Programs and tests with one resolution of features, so that no dependency is built twice.
pub(crate) fn build_all(profile: Profile) -> Result<Artifacts> {
    build(&["--all-targets", "--workspace"], profile)
}

fn build(selection: &[&str], profile: Profile) -> Result<Artifacts> {
    let mut command = cargo();
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(selection);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut artifacts = Artifacts::default();
    for line in BufReader::new(output).lines() {
        // Build scripts may print lines that are not messages.
        if let Ok(message) = serde_json::from_str::<Value>(&line?) {
            artifacts.note(&message);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the build failed ({status})");
    }
    Ok(artifacts)
}

impl Artifacts {
    fn note(&mut self, message: &Value) {
        let kernel_side = format!("{}#", workspace().join("bpf").display());
        if message["reason"] == "build-script-executed"
            && message["package_id"]
                .as_str()
                .is_some_and(|package| package.contains(&kernel_side))
        {
            self.kernel_side = message["out_dir"].as_str().map(PathBuf::from);
        }
        let (Some(executable), Some(manifest)) = (
            message["executable"].as_str(),
            message["manifest_path"].as_str(),
        ) else {
            return;
        };
        let executable = PathBuf::from(executable);
        let folder = Path::new(manifest)
            .parent()
            .unwrap_or(workspace())
            .to_owned();
        let is_test = message["profile"]["test"].as_bool() == Some(true);
        // The other integration test of that crate reads the sources, which no virtual machine has.
        let is_system = folder == workspace().join("tests")
            && message["target"]["name"].as_str() == Some("system");
        let is_build_script = message["target"]["kind"][0].as_str() == Some("custom-build");
        if is_build_script {
            return;
        }
        if !is_test {
            self.programs.push(executable);
        } else if is_system {
            self.system_tests.push(executable);
        } else {
            self.unit_tests.push(UnitTest { folder, executable });
        }
    }
}
