//! `bpfman-image`.

use std::alloc::System;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Credentials of registries pass through buffers of libraries that do not clear them: here whatever is given back is.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    image_worker::run()
}
