//! `image`.

mod build;
mod cache;
mod inspect;
mod publish;
mod verify;

pub(super) use cache::credentials;

use super::Service;
use crate::cli::ImageCommand;
use crate::console::Console;
use crate::exit::Error;

pub(super) fn run(
    command: &ImageCommand,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    match command {
        ImageCommand::Build(arguments) => build::build(arguments, console),
        ImageCommand::Push(arguments) => build::push(arguments, console),
        ImageCommand::GenerateBuildArgs(arguments) => {
            build::generate_build_args(arguments, console)
        }
        ImageCommand::Inspect(arguments) => inspect::inspect(arguments, console),
        ImageCommand::Verify(arguments) => verify::verify(arguments, service, console),
        ImageCommand::Pull(arguments) => cache::pull(arguments, service, console),
        ImageCommand::List(arguments) => cache::list(arguments, service, console),
        ImageCommand::Prune(arguments) => cache::prune(arguments, service, console),
    }
}
