//! `bpfman-image`.

use std::process::ExitCode;

fn main() -> ExitCode {
    image_worker::run()
}
