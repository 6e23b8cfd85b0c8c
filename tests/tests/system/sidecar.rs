//! The sidecar example: the service in one container, an application without any right in another, by crun.

use bpfman_tests::binaries::program;
use bpfman_tests::ctl::ctl;
use bpfman_tests::fixture::Objects;
use bpfman_tests::netns::{INTERFACE, Netns};
use bpfman_tests::{kernel, require, wait};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use tempfile::TempDir;

/// User and group of the application.
const APPLICATION: &str = "1234";

/// The image that `cargo xtask test` has built.
fn image() -> Result<PathBuf, String> {
    let folder = std::env::var_os("BPFMAN_PACKAGES")
        .ok_or("no image was built: `cargo xtask test` builds it")?;
    Ok(Path::new(&folder).join("image"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program");
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a descriptor points to, after its digest was checked.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let sum = run(Command::new("sha256sum").arg(&path));
    assert!(
        sum.starts_with(digest.trim_start_matches("sha256:")),
        "{sum}"
    );
    let size = path.metadata().expect("a blob").len();
    assert_eq!(descriptor["size"].as_u64(), Some(size));
    path
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// Containers and what they share; taken away in the reverse order.
struct Sidecar {
    folder: TempDir,
    netns: Netns,
    service: Option<Child>,
}

impl Sidecar {
    fn new(image: &Path) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("bpfman-sidecar-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a directory");
        for name in [
            "shared/run/fs",
            "shared/sock",
            "shared/state",
            "shared/cache",
            "state",
        ] {
            fs::create_dir_all(folder.path().join(name)).expect("a directory");
        }
        let index = json(&image.join("index.json"));
        let manifest = json(&blob(image, &index["manifests"][0]));
        let layer = blob(image, &manifest["layers"][0]);
        for bundle in ["service", "application"] {
            let root = folder.path().join(bundle).join("rootfs");
            fs::create_dir_all(&root).expect("a directory");
            run(Command::new("tar")
                .arg("-xzf")
                .arg(&layer)
                .arg("-C")
                .arg(&root));
        }
        let root = folder.path().join("application/rootfs");
        fs::copy(
            program("example-traffic"),
            root.join("usr/bin/example-traffic"),
        )
        .expect("copy");
        // A mount point on what is read-only in the container.
        fs::create_dir(root.join("maps")).expect("a directory");
        run(Command::new("mount")
            .args(["-t", "bpf", "-o", "nosuid,nodev,noexec,mode=0755", "bpffs"])
            .arg(folder.path().join("shared/run/fs")));
        Self {
            folder,
            netns: Netns::new(),
            service: None,
        }
    }

    fn runtime_dir(&self) -> PathBuf {
        self.folder.path().join("shared/run")
    }

    /// crun with a container's configuration, in the network namespace that stands for the host's.
    fn crun(&self, bundle: &str, program: &str) -> Command {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/sidecar");
        let shared = self.folder.path().join("shared");
        let configuration = fs::read_to_string(sources.join(format!("{bundle}.json")))
            .expect("a configuration")
            .replace("@SHARED@", &shared.to_string_lossy())
            .replace("@PROGRAM@", program);
        let folder = self.folder.path().join(bundle);
        fs::write(folder.join("config.json"), configuration).expect("write");
        // crun wants one tree of control groups, also where it is told to use none; this machine may have many.
        const ONE_TREE: &str = "umount -R /sys/fs/cgroup 2>/dev/null; \
                                mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"";
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.netns.path()))
            .args([
                "--", "unshare", "--mount", "sh", "-c", ONE_TREE, "sh", "crun", "--root",
            ])
            .arg(self.folder.path().join("state"))
            // Whatever control groups this machine has; the example asks for none.
            .args(["--cgroup-manager", "disabled", "run", "--bundle"])
            .arg(folder)
            .arg(format!("{bundle}-{}", self.netns.name()));
        command
    }

    fn start_service(&mut self) {
        let log = fs::File::create(self.folder.path().join("log")).expect("a file");
        let mut crun = self.crun("service", "");
        let crun = crun.stderr(log).spawn().expect("crun");
        self.service = Some(crun);
        let serves = wait::until(Duration::from_secs(10), || {
            self.runtime_dir()
                .join("bpfmanctl.sock")
                .exists()
                .then_some(())
        });
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(serves.is_some(), "the service does not serve\n{log}");
    }

    fn ctl(&self, arguments: &[&str]) -> Value {
        ctl(&self.runtime_dir(), arguments).json()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if let Some(mut service) = self.service.take() {
            let name = format!("service-{}", self.netns.name());
            let _ = Command::new("crun")
                .arg("--root")
                .arg(self.folder.path().join("state"))
                .args(["--cgroup-manager", "disabled", "kill", &name, "TERM"])
                .status();
            let _ = service.wait();
        }
        let _ = Command::new("umount")
            .arg(self.runtime_dir().join("fs"))
            .status();
    }
}

#[test]
fn sidecar_serves_an_application_without_any_right() {
    require!(kernel::tcx());
    require!(image());
    let mut sidecar = Sidecar::new(&image().expect("the image"));
    sidecar.start_service();

    let objects = Objects::new();
    let object = objects.object("counter");
    let loaded = sidecar.ctl(&[
        "program",
        "load",
        "file",
        &object.to_string_lossy(),
        "--programs",
        "tcx:tcx_ingress_count",
        "--maps-mode",
        "0660",
        "--maps-group",
        APPLICATION,
        "-o",
        "json",
    ]);
    let id = loaded["programs"][0]["record"]["program_id"]
        .as_u64()
        .expect("an id")
        .to_string();
    sidecar.ctl(&[
        "link", "attach", "tcx", &id, INTERFACE, "ingress", "-p", "50", "-o", "json",
    ]);
    sidecar.netns.send_packets(5);

    let printed = run(&mut sidecar.crun("application", &id));
    let counted: Vec<u64> = printed
        .lines()
        .next()
        .expect("a line")
        .split(' ')
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert!(counted[0] == 0 && counted[1] >= 5, "{printed}");
}
