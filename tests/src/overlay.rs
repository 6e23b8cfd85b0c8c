//! A copy of this machine's files that may be changed: an overlay over `/`, in mount, network and process namespaces of its
//! own. Packages are installed into it.
//!
//! Nothing is copied and nothing of the machine changes; its kernel is the same, and so are the programs in it.

use crate::wait;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What a first process does there. `$1` is the scratch folder; when it ends, the kernel takes namespaces and mounts away.
const BOOT: &str = r#"
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
ip link set lo up
echo ready
exec sleep 1000000
"#;

/// The copy, until it is dropped.
#[derive(Debug)]
pub struct Overlay {
    first: Child,
    scratch: TempDir,
}

impl Overlay {
    /// Makes one.
    pub fn new() -> Self {
        let scratch = tempfile::Builder::new()
            .prefix("bpfman-overlay-")
            .tempdir()
            .expect("a directory");
        let mut first = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["--propagation", "private", "sh", "-c", BOOT, "sh"])
            .arg(scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut said = [0; 6];
        let output = first.stdout.as_mut().expect("its output");
        std::io::Read::read_exact(output, &mut said).expect("the overlay is mounted");
        assert_eq!(&said, b"ready\n");
        Self { first, scratch }
    }

    /// Where its root is, seen from inside of its mount namespace.
    fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    /// A command in it; give its arguments after.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.beside("chroot");
        command.arg(self.root()).arg(program);
        command
    }

    /// What differs from the machine: files below `/` that were made or changed, without `/run` and `/tmp`.
    pub fn changed(&self) -> Vec<String> {
        let output = self
            .beside("find")
            .arg(self.scratch.path().join("upper"))
            // A character device stands for a file that was removed.
            .args(["-not", "-type", "c", "-printf", "/%P\\n"])
            .output()
            .expect("find");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(str::to_owned).collect()
    }

    /// A command in its namespaces, with the machine's own root.
    fn beside(&self, program: &str) -> Command {
        // The process that unshare(1) has forked is the first of the process namespace.
        let first = wait::until(Duration::from_secs(5), || {
            let path = format!("/proc/{0}/task/{0}/children", self.first.id());
            let children = std::fs::read_to_string(path).ok()?;
            children.split_whitespace().next().map(str::to_owned)
        });
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(first.expect("the first process"))
            .args(["--mount", "--net", "--pid", "--"])
            .arg(program)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Runs a line of shell in it to the end.
    pub fn shell(&self, line: &str) -> Output {
        self.command("sh")
            .args(["-c", line])
            .output()
            .expect("nsenter")
    }

    /// The same; what it prints, if it succeeds.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let output = self.shell(line);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "`{line}`: {}\n{text}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        text
    }

    /// Takes a file of the machine in.
    pub fn bring(&self, file: &Path, name: &str) {
        let pipe = std::fs::File::open(file).expect("the file");
        let status = self
            .command("sh")
            .args(["-c", &format!("cat > {name}")])
            .stdin(pipe)
            .status();
        assert!(status.expect("nsenter").success(), "{}", file.display());
    }
}

impl Default for Overlay {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Its child is killed with it, and all that is in the process namespace with that.
        let _ = self.first.kill();
        let _ = self.first.wait();
    }
}
