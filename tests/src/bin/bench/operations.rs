//! Load, attach, list, detach, unload: by the floor, over one connection, and through `bpfmanctl` as a whole process.

use crate::floor;
use crate::samples::Samples;
use anyhow::{Context, Result, bail};
use bpfman_tests::fixture::Objects;
use bpfman_tests::instance::{Client, Instance};
use bpfman_tests::netns::INTERFACE;
use image_worker::compile::{Request, RunningKernel, compile};
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::program::{LoadOptions, ProgramKind, ProgramRequest, Source};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// Programs that are there while the list is measured.
const LISTED: usize = 10;

const PROGRAM: &str = "tcx_ingress_count";

/// One way of doing the five things.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    pub(crate) load: Samples,
    pub(crate) attach: Samples,
    pub(crate) list: Samples,
    pub(crate) detach: Samples,
    pub(crate) unload: Samples,
}

impl Operations {
    /// Each with its name, in the order in which they are done.
    pub(crate) fn each(&self) -> [(&'static str, &Samples); 5] {
        [
            ("load", &self.load),
            ("attach (tcx)", &self.attach),
            ("list", &self.list),
            ("detach", &self.detach),
            ("unload", &self.unload),
        ]
    }
}

fn wanted() -> Vec<ProgramRequest> {
    vec![ProgramRequest {
        name: PROGRAM.to_owned(),
        kind: ProgramKind::Tcx,
        attach_function: None,
    }]
}

/// The system calls alone.
pub(crate) fn by_floor(instance: &Instance, rounds: usize) -> Result<Operations> {
    let programs = wanted();
    let mut kernel = RunningKernel::default();
    let plan = compile(
        bpf::COUNTER,
        &Request {
            programs: &programs,
            globals: &[],
            types: &[],
        },
        &mut kernel,
    )
    .map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let folder = instance.fs().join("floor");
    fs::create_dir(&folder)?;
    let link = folder.join("link");
    let mut operations = Operations::default();
    instance.netns().inside(|| -> Result<()> {
        let interface = interface_index()?;
        for _ in 0..rounds {
            let loaded = operations.load.time(|| floor::load(&plan, &folder))?;
            drop(
                operations
                    .attach
                    .time(|| floor::attach(&loaded.program, interface, &link))?,
            );
            operations
                .list
                .time(|| (0..LISTED).try_for_each(|_| floor::inspect(&folder.join("program"))))?;
            operations.detach.time(|| floor::detach(&link))?;
            operations
                .unload
                .time(|| floor::unload(&plan, loaded, &folder))?;
        }
        Ok(())
    })?;
    fs::remove_dir(&folder)?;
    Ok(operations)
}

fn interface_index() -> Result<u32> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, INTERFACE)?)
}

/// Over one connection of a client.
pub(crate) fn by_connection(instance: &Instance, rounds: usize) -> Result<Operations> {
    let objects = Objects::new();
    let object = File::open(objects.object("counter"))?;
    let mut client = instance.client();
    let mut operations = Operations::default();
    // With the measured one there are as many as should be.
    let others = fill(&mut client, &object, LISTED - 1)?;
    for _ in 0..rounds {
        let id = operations.load.time(|| load(&mut client, &object))?;
        let spec = AttachSpec::Tcx {
            interface: INTERFACE.to_owned(),
            direction: Direction::Ingress,
            priority: 50,
        };
        let attach = ClientRequest::Attach {
            program_id: id,
            spec,
            metadata: BTreeMap::new(),
        };
        let link_id = match operations.attach.time(|| ask(&mut client, &attach, &[]))? {
            ClientReply::Link(link) => link.record.id,
            other => bail!("attach answered {other:?}"),
        };
        operations
            .list
            .time(|| ask(&mut client, &ClientRequest::ListPrograms, &[]))?;
        done(
            operations
                .detach
                .time(|| ask(&mut client, &ClientRequest::Detach { link_id }, &[]))?,
        )?;
        operations.unload.time(|| unload(&mut client, id))?;
    }
    for program_id in others {
        unload(&mut client, program_id)?;
    }
    Ok(operations)
}

/// So many programs.
pub(crate) fn fill(client: &mut Client, object: &File, count: usize) -> Result<Vec<u32>> {
    (0..count).map(|_| load(client, object)).collect()
}

/// Loads from a file; the program's id.
pub(crate) fn load(client: &mut Client, object: &File) -> Result<u32> {
    let options = options(Source::File("counter.o".to_owned()));
    // A descriptor of its own: the position in the file is shared by its copies.
    loaded(ask(
        client,
        &ClientRequest::Load(options),
        &[object.as_fd()],
    )?)
}

/// What is asked for, whatever it comes from.
pub(crate) fn options(source: Source) -> LoadOptions {
    LoadOptions {
        programs: wanted(),
        metadata: BTreeMap::new(),
        globals: Vec::new(),
        map_owner: None,
        maps_mode: None,
        maps_group: None,
        source,
    }
}

/// The program that was loaded.
pub(crate) fn loaded(reply: ClientReply) -> Result<u32> {
    match reply {
        ClientReply::Loaded(programs) => Ok(programs
            .first()
            .context("no program in the answer")?
            .record
            .program_id),
        other => bail!("load answered {other:?}"),
    }
}

pub(crate) fn unload(client: &mut Client, program_id: u32) -> Result<()> {
    done(ask(client, &ClientRequest::Unload { program_id }, &[])?)
}

/// One request and its answer; a failure is an error.
pub(crate) fn ask(
    client: &mut Client,
    request: &ClientRequest,
    beside: &[BorrowedFd<'_>],
) -> Result<ClientReply> {
    client.send(1, request, beside)?;
    let answer = client
        .receive(Duration::from_secs(30))?
        .context("the connection was closed")?;
    match answer.message {
        ClientReply::Failed(failure) => bail!("{failure}"),
        reply => Ok(reply),
    }
}

/// Nothing was to be said.
pub(crate) fn done(reply: ClientReply) -> Result<()> {
    match reply {
        ClientReply::Done => Ok(()),
        other => bail!("answered {other:?}"),
    }
}

/// Through `bpfmanctl`, from its start to its end.
pub(crate) fn by_process(instance: &Instance, rounds: usize) -> Result<Operations> {
    let objects = Objects::new();
    let object = objects.object("counter");
    let mut operations = Operations::default();
    let others: Vec<u32> = (1..LISTED)
        .map(|_| load_by_process(instance, &object))
        .collect();
    for _ in 0..rounds {
        let id = operations
            .load
            .time(|| load_by_process(instance, &object))
            .to_string();
        let (link, _) = operations
            .attach
            .time(|| instance.attach(&["tcx", &id, INTERFACE, "ingress", "--priority", "50"]));
        operations
            .list
            .time(|| instance.ctl(&["program", "list"]))
            .ok();
        operations
            .detach
            .time(|| instance.ctl(&["link", "detach", &link.to_string()]))
            .ok();
        operations
            .unload
            .time(|| instance.ctl(&["program", "unload", &id]))
            .ok();
    }
    for id in others {
        instance.ctl(&["program", "unload", &id.to_string()]).ok();
    }
    Ok(operations)
}

fn load_by_process(instance: &Instance, object: &Path) -> u32 {
    instance.load(object, &format!("tcx:{PROGRAM}"), &[])[0]
}
