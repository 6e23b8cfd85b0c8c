//! The machine's whole user space, as one initramfs: busybox, our programs and tests with their libraries, modules.

use super::cpio::Archive;
use super::kernel::Kernel;
use crate::libraries::shared_libraries;
use crate::run::capture;
use crate::setup::XDP_DISPATCHER;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where our executables are inside.
pub(super) const PROGRAM_FOLDER: &str = "/opt/bpfman";

/// What the tests need of the kernel beyond what Debian builds in.
const MODULES: &[&str] = &[
    "veth",
    "dummy",
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "act_bpf",
    "tun",
    "overlay",
];

/// Users as the packages create them, and one without any right.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
bpfman:x:900:900:bpfman supervisor:/nonexistent:/usr/sbin/nologin
bpfman-loader:x:901:901:bpfman loader:/nonexistent:/usr/sbin/nologin
bpfman-image:x:902:902:bpfman image worker:/nonexistent:/usr/sbin/nologin
bpfman-api:x:903:903:bpfman API worker:/nonexistent:/usr/sbin/nologin
tester:x:1000:1000:unprivileged:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "root:x:0:
bpfman:x:900:
bpfman-loader:x:901:
bpfman-image:x:902:
bpfman-api:x:903:
tester:x:1000:
nogroup:x:65534:
";

const INIT: &str = include_str!("init.sh");

/// What goes in beside the fixed part.
pub(super) struct Content<'a> {
    /// Programs, found by the tests in one folder.
    pub(super) programs: &'a [PathBuf],
    /// Test executables, run in this order, with their arguments.
    pub(super) tests: &'a [(PathBuf, Vec<String>)],
}

/// Writes the initramfs.
pub(super) fn write(path: &Path, kernel: &Kernel, content: &Content<'_>) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    for directory in [
        "/proc",
        "/sys",
        "/dev",
        "/tmp",
        "/run",
        "/root",
        "/mnt",
        "/var/lib",
        "/var/cache",
    ] {
        archive.directory(directory)?;
    }
    archive.character_device("/dev/console", 5, 1)?;
    archive.file("/init", 0o755, INIT.as_bytes())?;
    archive.file("/etc/passwd", 0o644, PASSWD.as_bytes())?;
    archive.file("/etc/group", 0o644, GROUP.as_bytes())?;
    archive.file("/etc/shadow", 0o640, b"root:*:19000:0:99999:7:::\n")?;
    archive.file(
        "/etc/nsswitch.conf",
        0o644,
        b"passwd: files\ngroup: files\nhosts: files\n",
    )?;
    archive.file("/etc/hosts", 0o644, b"127.0.0.1 localhost\n")?;

    let busybox = find(&["/usr/bin/busybox", "/bin/busybox"])?;
    archive.file("/bin/busybox", 0o755, &std::fs::read(busybox)?)?;
    for name in capture(Command::new(busybox).arg("--list"))?.lines() {
        // The real ones are beside it.
        if !["busybox", "ip", "tc"].contains(&name) {
            archive.symlink(&format!("/bin/{name}"), "busybox")?;
        }
    }

    let mut libraries = BTreeSet::new();
    let ip = find(&["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"])?;
    let tc = find(&["/usr/sbin/tc", "/sbin/tc"])?;
    let xdp_loader = find(&["/usr/sbin/xdp-loader", "/sbin/xdp-loader"])?;
    archive.file(XDP_DISPATCHER, 0o644, &std::fs::read(XDP_DISPATCHER)?)?;
    for (name, tool) in [
        ("/bin/ip", ip),
        ("/bin/tc", tc),
        ("/bin/xdp-loader", xdp_loader),
    ] {
        archive.file(name, 0o755, &std::fs::read(tool)?)?;
        libraries.extend(shared_libraries(tool)?);
    }
    for program in content.programs {
        archive.file(&inside(program), 0o755, &stripped(program)?)?;
        libraries.extend(shared_libraries(program)?);
    }
    let mut script = String::from("#!/bin/sh\n");
    for (test, arguments) in content.tests {
        archive.file(&inside(test), 0o755, &stripped(test)?)?;
        libraries.extend(shared_libraries(test)?);
        script.push_str(&shell_line(&inside(test), arguments));
        script.push_str("result=$?; [ $result -eq 0 ] || status=$result\n");
    }
    script.push_str("return $status\n");
    archive.file("/tests.sh", 0o644, script.as_bytes())?;
    for library in &libraries {
        archive.file(library, 0o755, &std::fs::read(library)?)?;
    }
    // The resolver of library names for uprobes reads it.
    if let Ok(cache) = std::fs::read("/etc/ld.so.cache") {
        archive.file("/etc/ld.so.cache", 0o644, &cache)?;
    }

    let mut order = String::new();
    for (name, module) in kernel.modules(MODULES)? {
        archive.file(&format!("/modules/{name}.ko"), 0o644, &module)?;
        order.push_str(&name);
        order.push('\n');
    }
    archive.file("/modules/order", 0o644, order.as_bytes())?;
    archive.finish()?.flush()?;
    Ok(())
}

fn inside(executable: &Path) -> String {
    let name = executable.file_name().unwrap_or_default().to_string_lossy();
    format!("{PROGRAM_FOLDER}/{name}")
}

fn shell_line(program: &str, arguments: &[String]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push_str(&format!(" '{}'", argument.replace('\'', r"'\''")));
    }
    line.push('\n');
    line
}

fn find(candidates: &'static [&'static str]) -> Result<&'static Path> {
    candidates
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .with_context(|| format!("none of {candidates:?} is there; run `cargo xtask setup`"))
}

/// Without debug information (symbols stay: probes attach to them): an initramfs is memory and boot time.
fn stripped(executable: &Path) -> Result<Vec<u8>> {
    let copy = tempfile::NamedTempFile::new()?;
    let status = Command::new("strip")
        .arg("--strip-debug")
        .arg("-o")
        .arg(copy.path())
        .arg(executable)
        .status()
        .context("cannot start strip")?;
    if !status.success() {
        bail!("strip refused {}", executable.display());
    }
    Ok(std::fs::read(copy.path())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_survive_the_shell() {
        assert_eq!(shell_line("/t", &["it's".to_owned()]), "/t 'it'\\''s'\n");
    }
}
