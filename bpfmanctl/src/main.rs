//! `bpfmanctl`: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    bpfmanctl::main(std::env::args_os())
}
