//! Carrying commands out.

mod attach;
mod chain;
mod config;
mod delete;
mod generate;
mod image;
mod link;
mod map;
mod program;
mod serve;
mod service;

use crate::cli::{
    AttachCommand, ChainCommand, Cli, Command, DispatcherCommand, GetCommand, LinkCommand,
    LoadCommand, MapCommand, Output, ProgramCommand,
};
use crate::client::{self, Client};
use crate::console::Console;
use crate::exit::Error;
use crate::json;
pub(crate) use config::{Given, Row as ConfigRow};
use ipc::messages::attach::AttachSpec;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Runs a command that parsed; `name` is what bpfmanctl was called by, `log` where `--log` comes from if it was given.
pub(crate) fn run(
    cli: Cli,
    name: &str,
    log: Option<Given>,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    check_config(cli.globals.config.as_deref())?;
    let service = Service(cli.globals.runtime_dir.clone());
    match cli.command {
        Command::Serve(arguments) => Err(serve::serve(arguments, cli.globals, name)),
        Command::Config(command) => config::run(command, &cli.globals, log, console),
        Command::Program(command) => match command {
            ProgramCommand::Load(LoadCommand::File(arguments)) => {
                program::load(arguments, &service, console)
            }
            ProgramCommand::Load(LoadCommand::Image(arguments)) => {
                program::load_image(arguments, &service, console)
            }
            ProgramCommand::Unload(arguments) => program::unload(&arguments, &service, console),
            ProgramCommand::Get(arguments) => program::get(&arguments, &service, console),
            ProgramCommand::List(arguments) => program::list(arguments, &service, console),
            ProgramCommand::Delete(arguments) => delete::programs(&arguments, &service, console),
        },
        Command::Link(command) => match command {
            LinkCommand::Attach(command) => attach(command, &service, console),
            LinkCommand::Detach(arguments) => link::detach(&arguments, &service, console),
            LinkCommand::Get(arguments) => link::get(&arguments, &service, console),
            LinkCommand::List(arguments) => link::list(arguments, &service, console),
            LinkCommand::Delete(arguments) => delete::links(&arguments, &service, console),
        },
        Command::Image(command) => image::run(&command, &service, console),
        Command::Map(MapCommand::List(arguments)) => map::list(&arguments, &service, console),
        Command::Dispatcher(DispatcherCommand::List(arguments)) => {
            chain::list(&arguments, &service, console)
        }
        Command::Dispatcher(DispatcherCommand::Get(arguments)) => {
            chain::get(&arguments, &service, console)
        }
        Command::Dispatcher(DispatcherCommand::Delete(arguments)) => {
            delete::dispatcher(arguments, &service)
        }
        Command::Chain(ChainCommand::Show(arguments)) => chain::show(&arguments, &service, console),
        Command::Chain(ChainCommand::Explain(arguments)) => {
            chain::explain(&arguments, &service, console)
        }
        Command::Chain(ChainCommand::Convert(arguments)) => {
            chain::convert(&arguments, &service, console)
        }
        Command::Get(GetCommand::Program(arguments)) => program::get(&arguments, &service, console),
        Command::Get(GetCommand::Link(arguments)) => link::get(&arguments, &service, console),
        Command::Status(arguments) => service::status(arguments, &service, console),
        Command::Doctor(arguments) => service::doctor(arguments, &service, console),
        Command::Version => service::version(console),
        Command::Completions(arguments) => generate::completions(&arguments, name, console),
        Command::Man(arguments) => generate::manual(&arguments, name),
    }
}

/// A configuration file that is named must be there, as it must for the service. Nothing in it is meant for commands, and
/// users need no right to read it.
fn check_config(path: Option<&Path>) -> Result<(), Error> {
    match path.map(|path| (path, path.try_exists())) {
        Some((path, Ok(false))) => Err(Failure::new(
            FailureCode::NotFound,
            Stage::Request,
            format!("the configuration file {} does not exist", path.display()),
        )
        .remedy("name one that exists, or leave out --config and BPFMAN_CONFIG")
        .into()),
        _ => Ok(()),
    }
}

fn attach(
    command: AttachCommand,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let (arguments, spec) = match command {
        AttachCommand::Tcx(arguments) => return attach::tcx(arguments, service, console),
        AttachCommand::Tracepoint(arguments) => {
            return attach::tracepoint(arguments, service, console);
        }
        AttachCommand::Uprobe(arguments) => return attach::uprobe(arguments, service, console),
        AttachCommand::Xdp(arguments) => return attach::xdp(arguments, service, console),
        AttachCommand::Kprobe(arguments) => return attach::kprobe(arguments, service, console),
        AttachCommand::Fentry(arguments) => (arguments, AttachSpec::Fentry),
        AttachCommand::Fexit(arguments) => (arguments, AttachSpec::Fexit),
        AttachCommand::Lsm(arguments) => (arguments, AttachSpec::Lsm),
        AttachCommand::TpBtf(arguments) => (arguments, AttachSpec::TpBtf),
        AttachCommand::Iter(arguments) => (arguments, AttachSpec::Iter),
        AttachCommand::RawTracepoint(arguments) => {
            return attach::raw_tracepoint(arguments, service, console);
        }
        AttachCommand::PerfEvent(arguments) => {
            return attach::perf_event(arguments, service, console);
        }
        AttachCommand::KprobeMulti(arguments) => {
            return attach::kprobe_multi(arguments, service, console);
        }
        AttachCommand::UprobeMulti(arguments) => {
            return attach::uprobe_multi(arguments, service, console);
        }
        AttachCommand::Usdt(arguments) => return attach::usdt(arguments, service, console),
        AttachCommand::SkLookup(arguments) => {
            return attach::sk_lookup(arguments, service, console);
        }
        AttachCommand::Netkit(arguments) => return attach::netkit(arguments, service, console),
        AttachCommand::Netfilter(arguments) => {
            return attach::netfilter(arguments, service, console);
        }
        AttachCommand::Cgroup(command) => return attach::cgroup(command, service, console),
        AttachCommand::Tc(arguments) => return attach::tc(arguments, service, console),
    };
    attach::fixed(arguments, spec, service, console)
}

/// Where the service is; connected to when everything on this side is in order.
struct Service(PathBuf);

impl Service {
    fn connect(&self) -> Result<Client, Error> {
        Ok(client::connect(&self.0)?)
    }

    fn runtime_dir(&self) -> &Path {
        &self.0
    }
}

/// Prints a result in the wanted format; `text` gets the terminal's width.
fn print<T: Serialize>(
    console: &mut Console<'_>,
    output: Output,
    text: impl FnOnce(Option<u16>) -> String,
    value: impl FnOnce() -> T,
) -> Result<(), Error> {
    let result = match output {
        Output::Text => text(console.width),
        Output::Json => json::render(&value())?,
    };
    write(console, &result)
}

fn write(console: &mut Console<'_>, text: &str) -> Result<(), Error> {
    console.output.write_all(text.as_bytes())?;
    console.output.flush()?;
    Ok(())
}

/// One id per line.
fn write_ids(
    console: &mut Console<'_>,
    ids: impl Iterator<Item = impl std::fmt::Display>,
) -> Result<(), Error> {
    let lines: String = ids.map(|id| format!("{id}\n")).collect();
    write(console, &lines)
}
