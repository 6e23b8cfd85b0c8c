//! Generates messages, servers and clients of `bpfman.v1` and `csi.v1`; protoc is not needed.

#![allow(
    clippy::disallowed_methods,
    reason = "cargo tells build scripts by the environment where to write"
)]

use std::path::PathBuf;

const PROTO: &str = "bpfman/v1/bpfman.proto";
const CSI_PROTO: &str = "csi/v1/csi.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/{PROTO}");
    let output = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut descriptors = protox::compile([PROTO], ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .btree_map(".")
        // It may hold a password; its own form is in `grpc/credentials.rs`.
        .skip_debug(["bpfman.v1.BytecodeImage"])
        .compile_fds(descriptors.clone())?;
    println!("cargo:rerun-if-changed=proto/{CSI_PROTO}");
    tonic_prost_build::configure()
        .build_transport(false)
        .btree_map(".")
        .compile_fds(protox::compile([CSI_PROTO], ["proto"])?)?;
    // The reflection service tells what the interface is, not what its authors had to say about it.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let bytes = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(output.join("bpfman.v1.descriptors"), bytes)?;
    Ok(())
}
