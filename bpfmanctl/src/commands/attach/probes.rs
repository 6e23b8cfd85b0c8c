//! `link attach` for kinds with several places.

use super::{Binary, Service, attach, attach_to_binary};
use crate::cli::{KprobeMultiArgs, UprobeMultiArgs, UsdtArgs};
use crate::console::Console;
use crate::exit::Error;
use ipc::messages::attach::AttachSpec;

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
    let binary = Binary {
        target: &target,
        pid: process.pid,
        container_pid: process.container_pid,
    };
    let spec = |path| AttachSpec::UprobeMulti {
        target: target.clone(),
        path,
        functions: functions.clone(),
        pid: process.pid,
        container_pid: process.container_pid,
    };
    attach_to_binary(program_id, binary, spec, link, service, console)
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
    let binary = Binary {
        target: &target,
        pid: process.pid,
        container_pid: process.container_pid,
    };
    let spec = |path| AttachSpec::Usdt {
        target: target.clone(),
        path,
        provider: provider.clone(),
        name: name.clone(),
        pid: process.pid,
        container_pid: process.container_pid,
    };
    attach_to_binary(program_id, binary, spec, link, service, console)
}
