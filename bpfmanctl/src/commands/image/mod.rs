//! `image`.

mod build;
mod inspect;
mod publish;
mod verify;

use crate::cli::ImageCommand;
use crate::console::Console;
use crate::exit::Error;

pub(super) fn run(command: &ImageCommand, console: &mut Console<'_>) -> Result<(), Error> {
    match command {
        ImageCommand::Build(arguments) => build::build(arguments, console),
        ImageCommand::Push(arguments) => build::push(arguments, console),
        ImageCommand::GenerateBuildArgs(arguments) => {
            build::generate_build_args(arguments, console)
        }
        ImageCommand::Inspect(arguments) => inspect::inspect(arguments, console),
        ImageCommand::Verify(arguments) => verify::verify(arguments, console),
    }
}
