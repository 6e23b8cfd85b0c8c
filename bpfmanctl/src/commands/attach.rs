//! `link attach`.

mod cgroup;
mod network;
mod probes;

use super::{Service, print};
use crate::cli::{
    FixedArgs, KprobeArgs, LinkArgs, OutputArgs, PerfEventArgs, RawTracepointArgs, TracepointArgs,
    UprobeArgs,
};
use crate::client::ClientError;
use crate::console::Console;
use crate::exit::Error;
use crate::target::open_target;
use crate::{json, text};
pub(super) use cgroup::cgroup;
use ipc::messages::attach::{AttachSpec, Link};
use ipc::messages::failure::{Failure, FailureCode, Stage};
pub(super) use network::{namespace, netfilter, netkit, sk_lookup, tc, tcx, xdp};
pub(super) use probes::{kprobe_multi, uprobe_multi, usdt};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(super) fn tracepoint(
    arguments: TracepointArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let (group, name) = arguments.tracepoint;
    let spec = AttachSpec::Tracepoint { group, name };
    attach(
        arguments.program_id,
        spec,
        None,
        arguments.link,
        service,
        console,
    )
}

pub(super) fn uprobe(
    arguments: UprobeArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    if arguments.fn_name.is_none() && arguments.offset == 0 {
        return Err(Error::Usage(
            "a uprobe needs --fn-name, or an --offset that is not 0".to_owned(),
        ));
    }
    let pid = arguments.pid.filter(|pid| *pid != 0);
    let container_pid = arguments.container_pid.filter(|pid| *pid != 0);
    let binary = Binary {
        target: &arguments.target,
        pid,
        container_pid,
    };
    let spec = |path| AttachSpec::Uprobe {
        target: arguments.target.clone(),
        path,
        function: arguments.fn_name.clone(),
        offset: arguments.offset,
        pid,
        container_pid,
    };
    attach_to_binary(
        arguments.program_id,
        binary,
        spec,
        arguments.link,
        service,
        console,
    )
}

/// What a probe is put into, as the user says it.
#[derive(Clone, Copy)]
struct Binary<'a> {
    target: &'a str,
    pid: Option<i32>,
    container_pid: Option<i32>,
}

/// Attaches to places of a binary; `spec` makes the request of its path.
fn attach_to_binary(
    program_id: u32,
    binary: Binary<'_>,
    spec: impl Fn(String) -> AttachSpec,
    link: LinkArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let opened = open_named(binary);
    let (path, file) = fit_first(opened, program_id, &spec(String::new()), service)?;
    attach(
        program_id,
        spec(path),
        Some(file.as_fd()),
        link,
        service,
        console,
    )
}

/// What was opened for an attachment, or why not. That there is such a program, and that it fits, is a matter before that.
fn fit_first<T>(
    opened: Result<T, Error>,
    program_id: u32,
    spec: &AttachSpec,
    service: &Service,
) -> Result<T, Error> {
    let error = match opened {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    let found = service
        .connect()
        .and_then(|mut client| Ok(client.program(program_id)?));
    match found {
        Ok(program) => spec.check_kind(program_id, program.record.kind)?,
        Err(Error::Client(ClientError::Failed(unknown)))
            if unknown.code == FailureCode::NotFound =>
        {
            return Err(Failure::no_such_program(program_id, Stage::Attach).into());
        }
        // Who cannot ask hears of the file.
        _ => {}
    }
    Err(error)
}

/// The target's path, and the open file.
fn open_named(binary: Binary<'_>) -> Result<(String, OwnedFd), Error> {
    let Binary {
        target,
        pid,
        container_pid,
    } = binary;
    let (path, file) = open_target(target, pid, container_pid)
        .map_err(|error| Error::Failed(error.to_string()))?;
    let path = path.into_os_string().into_string().map_err(|path| {
        Error::Failed(format!(
            "target \"{}\": the path is not UTF-8",
            path.display()
        ))
    })?;
    Ok((path, file))
}

pub(super) fn kprobe(
    arguments: KprobeArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let KprobeArgs {
        program_id,
        function,
        offset,
        link,
    } = arguments;
    let spec = AttachSpec::Kprobe { function, offset };
    attach(program_id, spec, None, link, service, console)
}

pub(super) fn raw_tracepoint(
    arguments: RawTracepointArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let RawTracepointArgs {
        program_id,
        name,
        link,
    } = arguments;
    let spec = AttachSpec::RawTracepoint { name };
    attach(program_id, spec, None, link, service, console)
}

pub(super) fn perf_event(
    arguments: PerfEventArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let spec = AttachSpec::PerfEvent {
        sampling: arguments.sampling(),
        event: arguments.event,
        pid: arguments.scope.pid,
        cpu: arguments.scope.cpu,
    };
    attach(
        arguments.program_id,
        spec,
        None,
        arguments.link,
        service,
        console,
    )
}

/// Kinds that attach to one place only.
pub(super) fn fixed(
    arguments: FixedArgs,
    spec: AttachSpec,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    attach(
        arguments.program_id,
        spec,
        None,
        arguments.link,
        service,
        console,
    )
}

fn attach(
    program_id: u32,
    spec: AttachSpec,
    target: Option<BorrowedFd<'_>>,
    arguments: LinkArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let metadata = arguments.metadata.into_iter().collect();
    let link = service
        .connect()?
        .attach(program_id, spec, metadata, target)?;
    show(link, arguments.output, console)
}

fn show(link: Link, output: OutputArgs, console: &mut Console<'_>) -> Result<(), Error> {
    print(
        console,
        output.output,
        |width| text::link(&link, false, width),
        || json::Link::from(link.clone()),
    )
}
