//! gRPC beside IPC: one request, a list of a thousand programs, and two hundred clients of whom one means harm.

use crate::operations::{ask, fill, unload};
use crate::samples::Samples;
use anyhow::{Context, Result, bail};
use api_worker::proto::bpfman_client::BpfmanClient;
use api_worker::proto::{GetRequest, ListRequest};
use bpfman_tests::fixture::Objects;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::hostile::Hostile;
use bpfman_tests::instance::Instance;
use ipc::messages::client::ClientRequest;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Endpoint;

/// Programs of the long list.
pub(crate) const LISTED: usize = 1000;
/// Clients at once, the hostile one included.
pub(crate) const CLIENTS: usize = 200;

/// Requests of each client, and how long it waits between them: together a thousand in a second.
const REQUESTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(200);

/// Connections that the hostile client makes.
const HOSTILE_CONNECTIONS: usize = 10_000;

/// One request by both interfaces.
#[derive(Debug, Default)]
pub(crate) struct Both {
    pub(crate) ipc: Samples,
    pub(crate) grpc: Samples,
}

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    /// One program.
    pub(crate) get: Both,
    /// A thousand programs.
    pub(crate) list: Both,
    /// One of many clients, all of whom mean well.
    pub(crate) alone: Samples,
    /// The same while one does not.
    pub(crate) beside: Samples,
}

pub(crate) fn measure(instance: &Instance, rounds: usize) -> Result<Interface> {
    let objects = Objects::new();
    let object = File::open(objects.object("counter"))?;
    let mut client = instance.client();
    let programs = fill(&mut client, &object, LISTED)?;
    let program_id = *programs.first().context("a program")?;
    let grpc = Grpc::to(instance);
    let mut measured = Interface::default();
    for _ in 0..rounds {
        let get = ClientRequest::GetProgram { program_id };
        measured.get.ipc.time(|| ask(&mut client, &get, &[]))?;
        measured.get.grpc.time(|| grpc.get(program_id))?;
        measured
            .list
            .ipc
            .time(|| ask(&mut client, &ClientRequest::ListPrograms, &[]))?;
        let listed = measured
            .list
            .grpc
            .time(|| grpc.list(ListRequest::default()))?;
        if listed.len() != LISTED {
            bail!("{} programs are listed", listed.len());
        }
    }
    let socket = instance.grpc_socket();
    measured.alone = many(&socket, program_id)?;
    let mut hostile = Hostile::start(&socket, HOSTILE_CONNECTIONS);
    measured.beside = many(&socket, program_id)?;
    hostile.wait_for_harm();
    drop(hostile);
    for program_id in programs {
        unload(&mut client, program_id)?;
    }
    Ok(measured)
}

/// Many clients over connections of their own, each of which asks at its own pace; how long each answer took.
fn many(socket: &Path, program_id: u32) -> Result<Samples> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut clients = Vec::new();
        for number in 0..CLIENTS - 1 {
            let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()))?;
            let mut client = BpfmanClient::new(endpoint.connect().await?);
            clients.push(tokio::spawn(async move {
                // Not all at the same moment.
                tokio::time::sleep(PAUSE * u32::try_from(number)? / u32::try_from(CLIENTS)?).await;
                let mut taken = Vec::with_capacity(REQUESTS);
                for _ in 0..REQUESTS {
                    let started = Instant::now();
                    client.get(GetRequest { id: program_id }).await?;
                    taken.push(started.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                anyhow::Ok(taken)
            }));
        }
        let mut samples = Samples::default();
        for client in clients {
            for taken in client.await?? {
                samples.push(taken);
            }
        }
        Ok(samples)
    })
}
