//! `cargo xtask demo|test|matrix|bench|fuzz|vm|setup|deb|image`: what the README's commands call.
//!
//! This crate must build on a machine where nothing is installed yet, since it is what installs the rest:
//! it depends on no crate of the product.

#![allow(
    clippy::disallowed_methods,
    reason = "a build tool starts processes and reads the environment"
)]

mod artifacts;
mod bench;
mod demo;
mod deny;
mod fuzz;
mod libraries;
mod matrix;
mod package;
mod python;
mod run;
mod setup;
mod test;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Demonstrate, test and measure bpfman")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what a Debian machine lacks to build and test bpfman
    Setup,
    /// Carry the main job through in a network namespace of its own, explaining each step
    Demo,
    /// Run every tier of tests: formatting, lints, licences, unit, system on this kernel and in virtual machines
    Test(test::Options),
    /// Run the tests that show each kind of program on each kernel, and write the table in docs/kinds.md
    Matrix,
    /// Measure a release build and write docs/benchmarks.md
    Bench(bench::Options),
    /// Run the fuzz targets, from where the last run ended
    Fuzz(fuzz::Options),
    /// Run the system tests on a Debian kernel in a virtual machine
    Vm(vm::Options),
    /// Build a Debian package of a release build
    Deb(package::deb::Options),
    /// Build a container image of a release build, as an OCI layout, without a container tool
    Image(package::container::Options),
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> Result<()> {
    match command {
        Command::Setup => setup::run(),
        Command::Demo => demo::run_demo(),
        Command::Test(options) => test::run_all(&options),
        Command::Matrix => matrix::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run_fuzz(&options),
        Command::Vm(options) => vm::run(&options),
        Command::Deb(options) => package::deb::run_deb(&options),
        Command::Image(options) => package::container::run_image(&options),
    }
}
