//! Programs from images: a real registry, the peer's tool, the worker in its sandbox.

mod cache;
mod canary;
mod encrypted;
mod progress;
pub(crate) mod waiting;
mod ways;

use bpfman_tests::ctl::Run;
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::Instance;
use bpfman_tests::registry::Registry;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unsigned images are accepted: signatures have tests of their own.
pub(super) const UNSIGNED: &str = "[signing]\nallow_unsigned = true\n";

/// A service with this configuration, and a registry that it reaches.
pub(super) struct Place {
    pub(super) instance: Instance,
    pub(super) objects: Objects,
}

impl Place {
    pub(super) fn new(configuration: &str) -> Self {
        let (folder, netns) = Instance::fresh_place();
        let objects = Objects::new();
        let file = objects.file("bpfman.toml", configuration.as_bytes());
        let file = file.display().to_string();
        Self {
            instance: Instance::start_in(folder, netns, &["--config", &file]),
            objects,
        }
    }

    /// A registry in the namespace of the service.
    pub(super) fn registry(&self, http: &str, sections: &str) -> Registry {
        self.instance
            .netns()
            .inside(|| Registry::start_with(http, sections))
    }

    /// Runs a program in the namespace of the service.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) -> String {
        let output = self.instance.netns().inside(|| {
            Command::new(program)
                .args(arguments)
                .output()
                .expect("started")
        });
        assert!(
            output.status.success(),
            "{} {arguments:?}: {}{}",
            program.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Builds an image of the object `counter` as an OCI layout in a file.
    pub(super) fn layout(&self) -> PathBuf {
        let object = self.objects.object("counter").display().to_string();
        let layout = self
            .objects
            .file("unused", b"")
            .with_file_name("counter.tar");
        let bpfmanctl = bpfman_tests::binaries::program("bpfmanctl");
        self.run(
            &bpfmanctl,
            &[
                "image",
                "build",
                "localhost/counter:v1",
                &object,
                "--save",
                &layout.display().to_string(),
            ],
        );
        layout
    }

    /// Copies the layout to a registry with the peer's tool.
    pub(super) fn copy(&self, layout: &Path, image: &str, more: &[&str]) {
        let from = format!("oci-archive:{}", layout.display());
        let to = format!("docker://{image}");
        let mut arguments = vec!["copy", "--quiet", "--dest-tls-verify=false"];
        arguments.extend(more);
        arguments.extend([from.as_str(), to.as_str()]);
        self.run(Path::new("skopeo"), &arguments);
    }

    pub(super) fn load(&self, image: &str, more: &[&str]) -> Run {
        let mut arguments = vec![
            "program",
            "load",
            "image",
            image,
            "--programs",
            "xdp:xdp_count",
            "-o",
            "json",
        ];
        arguments.extend(more);
        self.instance.ctl(&arguments)
    }
}
