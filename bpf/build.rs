//! Compiles `src/*.bpf.c` with clang into `OUT_DIR`. Nothing compiled is committed.
#![allow(
    clippy::disallowed_methods,
    reason = "a build script starts the compiler and reads the environment"
)]
#![allow(
    clippy::print_stderr,
    reason = "cargo shows what a failing build script prints"
)]

#[path = "build/templates.rs"]
mod templates;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Compilers that are tried, first the one that the user names.
const COMPILERS: [&str; 7] = [
    "clang", "clang-19", "clang-18", "clang-17", "clang-16", "clang-15", "clang-14",
];

/// Sources that are compiled without debug information, hence without BTF.
const WITHOUT_BTF: [&str; 1] = ["bare"];

const REMEDY: &str = "on Debian and Ubuntu: apt-get install clang libbpf-dev linux-libc-dev";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("bpf: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=BPFMAN_CLANG");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build");
    let compiler = find_compiler()?;
    let headers = find_headers()?;
    let out = PathBuf::from(variable("OUT_DIR")?);
    for source in sources(Path::new("src"))? {
        compile(&compiler, &headers, &source, &out)?;
    }
    templates::write(&out.join("iterators.o"), &out.join("iterators.rs"))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn find_compiler() -> Result<String, String> {
    if let Ok(named) = env::var("BPFMAN_CLANG") {
        return if runs(&named) {
            Ok(named)
        } else {
            Err(format!(
                "BPFMAN_CLANG names {named}, which does not run as a compiler for BPF; {REMEDY}"
            ))
        };
    }
    COMPILERS.into_iter().find(|name| runs(name)).map(str::to_owned).ok_or_else(|| {
        format!(
            "no clang with the BPF target found (tried {}; BPFMAN_CLANG names another); {REMEDY}",
            COMPILERS.join(", ")
        )
    })
}

/// Whether it compiles an empty file: asked for its version alone, clang takes any target.
fn runs(compiler: &str) -> bool {
    Command::new(compiler)
        .args(["-target", "bpf", "-x", "c", "-c", "-", "-o", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The directory with `asm/types.h`: Debian keeps it under the name of the architecture.
fn find_headers() -> Result<Vec<PathBuf>, String> {
    let architecture = variable("CARGO_CFG_TARGET_ARCH")?;
    let include = PathBuf::from("/usr/include");
    let multiarch = include.join(format!("{architecture}-linux-gnu"));
    let candidates = [multiarch, include];
    let find = |header: &str| {
        candidates
            .iter()
            .map(|directory| directory.join(header))
            .find(|path| path.exists())
    };
    for (header, package) in [
        ("bpf/bpf_helpers.h", "libbpf-dev"),
        ("linux/bpf.h", "linux-libc-dev"),
        ("asm/types.h", "linux-libc-dev"),
    ] {
        let path = find(header).ok_or_else(|| {
            format!("the header {header} is missing (Debian package {package}); {REMEDY}")
        })?;
        println!("cargo::rerun-if-changed={}", path.display());
    }
    Ok(candidates
        .into_iter()
        .filter(|directory| directory.is_dir())
        .collect())
}

fn sources(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = directory
        .read_dir()
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.to_string_lossy().ends_with(".bpf.c"))
        .collect();
    found.sort();
    Ok(found)
}

fn compile(compiler: &str, headers: &[PathBuf], source: &Path, out: &Path) -> Result<(), String> {
    let file = source.file_name().unwrap_or_default().to_string_lossy();
    let name = file.trim_end_matches(".bpf.c");
    let object = out.join(format!("{name}.o"));
    let mut command = Command::new(compiler);
    command.args(["-target", "bpf", "-mcpu=v3", "-O2", "-Wall", "-Werror"]);
    // Where registers lie for a probe.
    let target = match variable("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => "x86".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    command.arg(format!("-D__TARGET_ARCH_{target}"));
    // The source's own path would stand in the line table of every load plan.
    command.arg(format!(
        "-ffile-prefix-map={}=.",
        env::current_dir().unwrap_or_default().display()
    ));
    if !WITHOUT_BTF.contains(&name) {
        command.arg("-g");
    }
    for directory in headers {
        command.arg("-idirafter").arg(directory);
    }
    command.arg("-c").arg(source).arg("-o").arg(&object);
    let output = command
        .output()
        .map_err(|error| format!("{compiler}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{compiler} cannot compile {}:\n{}\nif headers are missing: {REMEDY}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    ))
}
