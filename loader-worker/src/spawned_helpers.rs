//! Helpers by way of the supervisor: it has the spawner start one, its socket comes back, one job goes over it.

use crate::helpers::{Done, Helpers, Outcome};
use ipc::call::{CallError, Caller};
use ipc::limits::HELPER_DEADLINE;
use ipc::link::{self, Envelope, LinkError};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::supervision::{Control, Status};
use ipc::role::Role;
use std::os::fd::{AsFd, OwnedFd};
use tokio::time::timeout;

/// See the module.
#[derive(Clone, Debug)]
pub struct SpawnedHelpers {
    supervisor: Caller<Status, Control>,
    generation: u32,
}

impl SpawnedHelpers {
    /// Asks this supervisor.
    pub fn new(supervisor: Caller<Status, Control>, generation: u32) -> Self {
        Self {
            supervisor,
            generation,
        }
    }

    async fn start(&self, kind: HelperKind) -> Result<OwnedFd, Failure> {
        let started = self
            .supervisor
            .call(&Status::StartHelper { kind }, &[], HELPER_DEADLINE)
            .await;
        let mut envelope = started.map_err(|error| match error {
            CallError::DeadlineExceeded(_) => late(kind),
            error => unavailable(kind, &error.to_string()),
        })?;
        match envelope.message {
            Control::HelperStarted => envelope
                .descriptors
                .pop()
                .ok_or_else(|| unavailable(kind, "its socket is missing")),
            Control::HelperRefused { reason } => Err(unavailable(kind, &reason)),
            other => Err(unavailable(
                kind,
                &format!("the supervisor answered {other:?}"),
            )),
        }
    }

    async fn employ(
        &self,
        kind: HelperKind,
        job: HelperJob,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Done, Failure> {
        let socket = self.start(kind).await?;
        let answer = timeout(
            HELPER_DEADLINE,
            converse(socket, self.generation, &job, &descriptors),
        )
        .await
        .map_err(|_| late(kind))?
        .map_err(|error| unavailable(kind, &error.to_string()))?
        .ok_or_else(|| unavailable(kind, "it ended without an answer"))?;
        match answer.message {
            HelperResult::Failed(failure) => Err(failure),
            HelperResult::Hello(_) => Err(unavailable(kind, "it greeted twice")),
            result => Ok(Done {
                result,
                descriptors: answer.descriptors,
            }),
        }
    }
}

impl Helpers for SpawnedHelpers {
    fn run(&self, kind: HelperKind, job: HelperJob, descriptors: Vec<OwnedFd>) -> Outcome {
        let this = self.clone();
        Box::pin(async move { this.employ(kind, job, descriptors).await })
    }
}

async fn converse(
    socket: OwnedFd,
    generation: u32,
    job: &HelperJob,
    descriptors: &[OwnedFd],
) -> Result<Option<Envelope<HelperResult>>, LinkError> {
    let (sender, mut receiver, _) =
        link::establish::<HelperResult, HelperJob>(socket, Role::Loader, generation, Role::Helper)
            .await?;
    let beside: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    sender.send(1, job, &beside).await?;
    receiver.receive().await
}

fn late(kind: HelperKind) -> Failure {
    let cause = format!(
        "the helper for {} did not answer within {HELPER_DEADLINE:?}",
        purpose(kind)
    );
    Failure::new(FailureCode::DeadlineExceeded, Stage::Attach, cause)
        .remedy("retry; see the service's log")
}

fn unavailable(kind: HelperKind, reason: &str) -> Failure {
    let cause = format!("there is no helper for {}: {reason}", purpose(kind));
    Failure::new(FailureCode::Unavailable, Stage::Attach, cause).remedy(format!(
        "retry; if it stays so, see the service's log: bpfmand must have been started with {}",
        capabilities(kind)
    ))
}

/// What a helper has; without one of them it ends at once.
fn capabilities(kind: HelperKind) -> &'static str {
    match kind {
        HelperKind::PerfEvent | HelperKind::DescribeXdp | HelperKind::Libxdp => "CAP_SYS_ADMIN",
        HelperKind::ChangeGroup => "CAP_CHOWN",
        HelperKind::NetworkNamespace => "CAP_SYS_ADMIN and CAP_NET_ADMIN",
        HelperKind::OpenPath => "CAP_SETUID and CAP_SETGID",
        HelperKind::OpenInContainer => "CAP_SYS_PTRACE",
        HelperKind::MountVolume => "CAP_SYS_ADMIN and CAP_CHOWN",
    }
}

fn purpose(kind: HelperKind) -> &'static str {
    match kind {
        HelperKind::PerfEvent => "opening perf events",
        HelperKind::ChangeGroup => "changing the group of map pins",
        HelperKind::NetworkNamespace => "other network namespaces",
        HelperKind::OpenPath => "opening paths of clients",
        HelperKind::OpenInContainer => "opening paths of clients in containers",
        HelperKind::DescribeXdp => "looking at XDP programs of others",
        HelperKind::MountVolume => "volumes of pods",
        HelperKind::Libxdp => "dispatchers of libxdp",
    }
}
