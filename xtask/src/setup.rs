//! Installs what a fresh Debian machine lacks, and only that.

use crate::{python, run};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Something needed, how to see that it is there, and the package that brings it.
struct Need {
    package: &'static str,
    present: fn() -> bool,
    reason: &'static str,
}

/// What xdp-loader puts on an interface.
pub(crate) const XDP_DISPATCHER: &str = "/usr/lib/x86_64-linux-gnu/bpf/xdp-dispatcher.o";

/// What building, testing and demonstrating needs beside Rust itself.
const NEEDS: &[Need] = &[
    Need {
        package: "clang",
        present: || {
            ["clang", "clang-19", "clang-14"]
                .iter()
                .any(|name| on_path(name))
        },
        reason: "compiles the kernel-side programs in bpf/",
    },
    Need {
        package: "libbpf-dev",
        present: || exists("/usr/include/bpf/bpf_helpers.h"),
        reason: "headers of the kernel-side programs",
    },
    Need {
        package: "librocksdb-dev",
        present: || exists("/usr/include/rocksdb/c.h"),
        reason: "the loader's store",
    },
    Need {
        package: "libclang-dev",
        present: || has_libclang("/usr/lib/x86_64-linux-gnu") || has_libclang_under("/usr/lib"),
        reason: "bindings to the store are generated with it",
    },
    Need {
        package: "pkg-config",
        present: || on_path("pkg-config"),
        reason: "finds libraries",
    },
    Need {
        package: "g++",
        present: || on_path("c++"),
        reason: "links the store's C++ library",
    },
    Need {
        package: "dpkg-dev",
        present: || on_path("dpkg-shlibdeps"),
        reason: "finds what the Debian package depends on",
    },
    Need {
        package: "systemd",
        present: || on_path("systemd-analyze") && on_path("systemd-sysusers"),
        reason: "checks the units, installs the package",
    },
    Need {
        package: "crun",
        present: || on_path("crun"),
        reason: "runs the container image in the tests",
    },
    Need {
        package: "make",
        present: || on_path("make"),
        reason: "builds the example application in C",
    },
    Need {
        package: "golang-go",
        present: || on_path("go"),
        reason: "builds the example application in Go",
    },
    Need {
        package: "golang-github-cilium-ebpf-dev",
        present: || exists("/usr/share/gocode/src/github.com/cilium/ebpf"),
        reason: "the library of the example application in Go",
    },
    Need {
        package: "protobuf-compiler",
        present: || on_path("protoc"),
        reason: "generates the client in Go of the gRPC interface",
    },
    Need {
        package: "protoc-gen-go",
        present: || on_path("protoc-gen-go"),
        reason: "generates its messages",
    },
    Need {
        package: "protoc-gen-go-grpc",
        present: || on_path("protoc-gen-go-grpc"),
        reason: "generates its stub",
    },
    Need {
        package: "golang-google-grpc-dev",
        present: || exists("/usr/share/gocode/src/google.golang.org/grpc"),
        reason: "its library",
    },
    Need {
        package: "golang-google-protobuf-dev",
        present: || exists("/usr/share/gocode/src/google.golang.org/protobuf"),
        reason: "the library of its messages",
    },
    Need {
        package: "golang-github-golang-protobuf-1-5-dev",
        present: || exists("/usr/share/gocode/src/github.com/golang/protobuf/ptypes/empty"),
        reason: "the older library of messages, in the version that goes with the newer",
    },
    Need {
        package: "python3-venv",
        present: || runs("python3", &["-c", "import ensurepip, venv"]),
        reason: "runs the client in Python of the gRPC interface",
    },
    Need {
        package: "docker-registry",
        present: || on_path("docker-registry"),
        reason: "keeps images on loopback for tests",
    },
    Need {
        package: "skopeo",
        present: || on_path("skopeo"),
        reason: "reads the images that are built, and copies them for bpfman to read",
    },
    Need {
        package: "binutils",
        present: || on_path("strip"),
        reason: "makes test binaries small",
    },
    Need {
        package: "zsh",
        present: || on_path("zsh"),
        reason: "completes command lines in the tests",
    },
    Need {
        package: "fish",
        present: || on_path("fish"),
        reason: "completes command lines in the tests, too",
    },
    Need {
        package: "iproute2",
        present: || on_path("ip"),
        reason: "network namespaces of the tests",
    },
    Need {
        package: "xdp-tools",
        present: || on_path("xdp-loader") && exists(XDP_DISPATCHER),
        reason: "xdp-loader, whose programs bpfman must not disturb",
    },
    Need {
        package: "iputils-ping",
        present: || on_path("ping"),
        reason: "traffic of the demonstration",
    },
    Need {
        package: "util-linux",
        present: || on_path("setpriv"),
        reason: "drops to an unprivileged uid in the demonstration",
    },
    Need {
        package: "qemu-system-x86",
        present: || on_path("qemu-system-x86_64"),
        reason: "virtual machines for other kernels",
    },
    Need {
        package: "busybox-static",
        present: || exists("/usr/bin/busybox") || exists("/bin/busybox"),
        reason: "user space of the virtual machines",
    },
    Need {
        package: "xz-utils",
        present: || on_path("xz"),
        reason: "unpacks kernel modules",
    },
];

/// Installs what is missing; says what it is for.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("missing: {:<18} {}", need.package, need.reason);
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !on_path("apt-get") {
        bail!(
            "this is not a Debian machine: install the equivalents of {}",
            packages.join(" ")
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "not root: run `apt-get install {}` as root, then again",
            packages.join(" ")
        );
    }
    println!("installing with apt-get: {}", packages.join(" "));
    run::run(apt_get().args(["-q", "update"]).stdout(Stdio::null()))?;
    run::run(
        apt_get()
            .args(["-q", "-y", "--no-install-recommends", "install"])
            .args(&packages)
            .stdout(Stdio::null()),
    )?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => bail!(
            "{} was installed, but what it brings was not found",
            need.package
        ),
    }
}

/// The command: as [`ensure`], with a word when all is there.
pub(crate) fn run() -> Result<()> {
    ensure()?;
    python::ensure()?;
    println!(
        "all {} things that building and testing needs are installed",
        NEEDS.len()
    );
    Ok(())
}

/// `apt-get` that asks nothing.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

/// Whether a program is found as the shell would find it.
pub(crate) fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(name).is_file())
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let quiet = |command: &mut Command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    };
    quiet(Command::new(program).args(arguments)).is_ok_and(|status| status.success())
}

fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

fn has_libclang(directory: &str) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libclang.so") || name.starts_with("libclang-")
        })
    })
}

fn has_libclang_under(directory: &str) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            entry.file_name().to_string_lossy().starts_with("llvm-")
                && has_libclang(&entry.path().join("lib").to_string_lossy())
        })
    })
}
