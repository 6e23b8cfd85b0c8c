//! Attaching: from a program and a place to a link with a pin and a record.

use super::admission::of_attachment;
use super::{Engine, now};
use crate::chains;
use crate::execute::{Executor, Subject};
use crate::helpers::Helpers;
use crate::kernel::pin;
use crate::kinds::{self, AttachRequest, Kind, Network, Prepared, Target};
use crate::network_namespace::{NetworkNamespace, NetworkPlace};
use crate::observe;
use crate::policy::Identity;
use crate::request;
use crate::steps;
use crate::store::Change;
use ipc::messages::attach::{AttachSpec, Link, LinkRecord, ProbePlace};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The open file of a network namespace.
#[derive(Debug)]
pub struct NamespaceFile {
    /// Opened by whoever has the right to.
    pub file: OwnedFd,
    /// What the client called it.
    pub path: String,
}

/// An attach request.
#[derive(Debug)]
pub struct AttachCommand {
    /// Which program.
    pub program_id: u32,
    /// Where.
    pub spec: AttachSpec,
    /// What the client opened: the target of a uprobe, the directory of a control group.
    pub target: Option<OwnedFd>,
    /// Places in the file.
    pub places: Vec<ProbePlace>,
    /// The network namespace that the client opened, if not the loader's own is meant.
    pub namespace: Option<NamespaceFile>,
    /// Labels of the link.
    pub metadata: BTreeMap<String, String>,
}

impl Engine {
    /// Attaches a program for somebody.
    pub async fn attach(
        &self,
        caller: &Identity,
        command: &AttachCommand,
    ) -> Result<Link, Failure> {
        request::check_metadata(&command.metadata)?;
        let kind = kinds::of(&command.spec);
        kind.bounds(&command.spec)?;
        let id = command.program_id;
        let stored = || {
            let found = self.store.program(id)?;
            let stored = found.ok_or_else(|| Failure::no_such_program(id, Stage::Attach))?;
            command.spec.check_kind(id, stored.record.kind)?;
            Ok::<_, Failure>(stored)
        };
        stored()?;
        let network = network_place(kind, command, &*self.helpers).await?;
        let _claim = self
            .claim(|| Ok(of_attachment(command, network.as_ref())))
            .await?;
        let (stored, links) = (stored()?, self.store.links()?);
        let program = open_program(&stored.record.pin_path, id)?;
        let request = AttachRequest {
            program: program.as_fd(),
            record: &stored.record,
            spec: &command.spec,
            target: command.target.as_ref().map(|file| Target {
                file: file.as_fd(),
                places: &command.places,
            }),
            network: network.as_ref(),
            links: &links,
        };
        let prepared = kinds::prepare(&request)?;
        if chains::takes(stored.record.kind) {
            chains::member::check_is_for_interfaces(&stored)?;
            let place = network.as_ref().ok_or_else(|| {
                Failure::new(
                    FailureCode::Internal,
                    Stage::Attach,
                    "a chain on what is no interface",
                )
            })?;
            return match &command.spec {
                AttachSpec::XdpGuest { .. } => {
                    self.attach_as_guest(command, stored, place, program).await
                }
                _ => self.attach_to_chain(caller, command, stored, place).await,
            };
        }
        let steps = steps::attach(matches!(prepared, Prepared::NeedsHelper { .. }));
        let subject = Subject::Attachment {
            request,
            prepared: Some(prepared),
        };
        let mut executor = Executor::new(subject, &*self.helpers, &self.faults);
        if let Err(failure) = executor.run(steps).await {
            drop(executor);
            return Err(self.name_moved_link(failure, command, network.as_ref()));
        }

        let made = executor.attached()?;
        let kernel = made.kernel.clone();
        let link_id = self.store.take_link_id();
        let pin = self.layout.fs().join(kind.pin(link_id, id, &made.details));
        let pin = free_pin(pin, link_id, &links);
        let record = LinkRecord {
            id: link_id,
            program_id: id,
            kernel_link_id: Some(kernel.id),
            kind: made.kind,
            pin_path: pin.display().to_string(),
            details: made.details.clone(),
            created_at: now(),
            metadata: command.metadata.clone(),
        };
        let _coming = self.admit(&record, &stored)?;
        let change = Change {
            links: vec![record.clone()],
            ..Change::default()
        };
        let steps = steps::keep_link(pin);
        self.keep(&mut executor, steps, change).await?;
        tracing::info!(
            link = link_id,
            program = id,
            hook = command.spec.name(),
            "attached"
        );
        let numbers = observe::link_numbers(&record);
        Ok(Link {
            record,
            program_name: stored.record.name,
            kernel: Some(kernel),
            pin_present: true,
            numbers,
        })
    }
}

/// Where in the network the hook is. In another namespace than the loader's own it takes a helper to look.
async fn network_place(
    kind: &dyn Kind,
    command: &AttachCommand,
    helpers: &dyn Helpers,
) -> Result<Option<NetworkPlace>, Failure> {
    let interface = match kind.network(&command.spec) {
        Network::Nowhere if command.namespace.is_some() => {
            return Err(wrong_namespace(&command.spec));
        }
        Network::Nowhere => return Ok(None),
        Network::Namespace => None,
        Network::Interface(interface) => Some(interface),
    };
    let namespace = namespace(command.namespace.as_ref())?;
    NetworkPlace::find(namespace, interface, helpers)
        .await
        .map(Some)
}

/// The network namespace of this file, or the loader's own.
pub(super) fn namespace(file: Option<&NamespaceFile>) -> Result<NetworkNamespace, Failure> {
    match file {
        Some(NamespaceFile { file, path }) => {
            request::check_path(path)?;
            NetworkNamespace::of(file.as_fd(), path)
        }
        None => NetworkNamespace::own(),
    }
}

/// A pin that no other link on record has. A network namespace that is gone leaves its number, and with it the names of
/// its pins, to the next one, while the links that were there are still on record.
fn free_pin(pin: PathBuf, link_id: u64, links: &[LinkRecord]) -> PathBuf {
    let is_taken = |link: &LinkRecord| Path::new(&link.pin_path) == pin;
    if !links.iter().any(is_taken) {
        return pin;
    }
    let mut name = pin.file_name().unwrap_or_default().to_owned();
    name.push(format!("_{link_id}"));
    pin.with_file_name(name)
}

fn wrong_namespace(spec: &AttachSpec) -> Failure {
    let cause = format!(
        "the hook of a {} attach is in no network namespace",
        spec.name()
    );
    Failure::new(FailureCode::InvalidArgument, Stage::Request, cause)
        .remedy("leave the network namespace out")
}

pub(super) fn open_program(path: &str, id: u32) -> Result<OwnedFd, Failure> {
    pin::get(Path::new(path)).map_err(|error| {
        if error.is_not_found() {
            Failure::new(
                FailureCode::FailedPrecondition,
                Stage::Attach,
                format!("program {id} cannot be opened: its pin {path} is gone"),
            )
            .remedy(format!("unload program {id} and load it again"))
        } else {
            error.into_failure(Stage::Attach, format!("program {id}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::LinkDetails;
    use ipc::messages::program::ProgramKind;

    #[test]
    fn a_pin_is_not_given_twice() {
        let link = LinkRecord {
            id: 3,
            program_id: 1,
            kernel_link_id: None,
            kind: ProgramKind::Tcx,
            pin_path: "/fs/tcx-ingress/link_7_2_1".into(),
            details: LinkDetails::Fentry {
                function: String::new(),
            },
            created_at: 0,
            metadata: BTreeMap::new(),
        };
        let free = |pin: &str| free_pin(pin.into(), 4, std::slice::from_ref(&link));
        let (taken, other) = ("/fs/tcx-ingress/link_7_2_1", "/fs/tcx-ingress/link_7_2_2");
        assert_eq!(free(other), Path::new(other));
        assert_eq!(free(taken), Path::new("/fs/tcx-ingress/link_7_2_1_4"));
    }
}
