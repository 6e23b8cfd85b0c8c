//! `bpfman-api`: started by the spawner of `bpfmand`, never by hand.

use std::process::ExitCode;

fn main() -> ExitCode {
    api_worker::run()
}
