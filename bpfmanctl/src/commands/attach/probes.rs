//! `link attach` for kinds with several places.

use super::{Service, attach, open_named};
use crate::cli::{KprobeMultiArgs, UprobeMultiArgs, UsdtArgs};
use crate::console::Console;
use crate::exit::Error;
use ipc::messages::attach::AttachSpec;
use std::os::fd::AsFd;

pub(in crate::commands) fn kprobe_multi(
    arguments: KprobeMultiArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let KprobeMultiArgs {
        program_id,
        functions,
        link,
    } = arguments;
    let spec = AttachSpec::KprobeMulti { functions };
    attach(program_id, spec, None, link, service, console)
}

pub(in crate::commands) fn uprobe_multi(
    arguments: UprobeMultiArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let UprobeMultiArgs {
        program_id,
        target,
        functions,
        process,
        link,
    } = arguments;
    let (path, file) = open_named(&target, process.pid, None)?;
    let spec = AttachSpec::UprobeMulti {
        target,
        path,
        functions,
        pid: process.pid,
    };
    attach(program_id, spec, Some(file.as_fd()), link, service, console)
}

pub(in crate::commands) fn usdt(
    arguments: UsdtArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let UsdtArgs {
        program_id,
        target,
        probe: (provider, name),
        process,
        link,
    } = arguments;
    let (path, file) = open_named(&target, process.pid, None)?;
    let spec = AttachSpec::Usdt {
        target,
        path,
        provider,
        name,
        pid: process.pid,
    };
    attach(program_id, spec, Some(file.as_fd()), link, service, console)
}
