//! `bpfman-loader`: started by the spawner of `bpfmand`, never by hand.

use std::process::ExitCode;

fn main() -> ExitCode {
    loader_worker::run()
}
