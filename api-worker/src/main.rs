//! `bpfman-api`: started by the spawner of `bpfmand`, never by hand.

use std::alloc::System;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Credentials of registries come in requests over gRPC, through buffers of libraries that do not clear them: here whatever is
/// given back is.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    api_worker::run()
}
