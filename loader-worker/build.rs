//! Compiles the dispatchers into load plans, which the loader embeds: the loader itself never sees an object file, and
//! nobody at run time can give it other dispatchers. They have no CO-RE relocations, so the plans hold on every kernel.
#![allow(
    clippy::disallowed_methods,
    reason = "a build script reads the environment and writes to its folder"
)]
#![allow(
    clippy::print_stderr,
    reason = "cargo shows what a failing build script prints"
)]

use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::program::{ProgramKind, ProgramRequest};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    for (name, object, program, kind) in [
        (
            "xdp_dispatcher",
            bpf::XDP_DISPATCHER,
            "xdp_dispatcher",
            ProgramKind::Xdp,
        ),
        (
            "tc_dispatcher",
            bpf::TC_DISPATCHER,
            "tc_dispatcher",
            ProgramKind::Tc,
        ),
    ] {
        if let Err(cause) = embed(name, object, program, kind) {
            eprintln!("{name}: {cause}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn embed(name: &str, object: &[u8], program: &str, kind: ProgramKind) -> Result<(), String> {
    let request = Request {
        programs: &[ProgramRequest {
            name: program.to_owned(),
            kind,
            attach_function: None,
        }],
        globals: &[],
        types: &[],
    };
    let plan = compile(object, &request, &mut RunningKernel::default())
        .map_err(|failure| failure.to_string())?;
    let bytes =
        ipc::codec::encode(&plan, ipc::limits::PLAN_BYTES).map_err(|error| error.to_string())?;
    let folder = std::env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or("OUT_DIR is not set")?;
    std::fs::write(folder.join(format!("{name}.plan")), bytes).map_err(|error| error.to_string())
}
