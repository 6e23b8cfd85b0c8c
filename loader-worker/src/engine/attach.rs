//! Attaching: from a program and a place to a link with a pin and a record.

use super::journal::keep;
use super::{Engine, no_such_program, now};
use crate::execute::{Executor, Subject};
use crate::kernel::pin;
use crate::kinds::{self, AttachRequest, Prepared, Target};
use crate::limits::LINKS;
use crate::request;
use crate::room;
use crate::steps;
use crate::store::Change;
use ipc::messages::attach::{AttachSpec, Link, LinkRecord, Place};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

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
    pub places: Vec<Place>,
    /// Labels of the link.
    pub metadata: BTreeMap<String, String>,
}

impl Engine {
    /// Attaches a program.
    pub async fn attach(&mut self, command: &AttachCommand) -> Result<Link, Failure> {
        self.finish_leftovers()?;
        request::check_metadata(&command.metadata)?;
        let kind = kinds::of(&command.spec);
        kind.bounds(&command.spec)?;
        let id = command.program_id;
        let stored = self
            .store
            .program(id)?
            .ok_or_else(|| no_such_program(id, Stage::Attach))?;
        let links = self.store.links()?;
        request::check_room("links", links.len(), 1, LINKS)?;
        let program = open_program(&stored.record.pin_path, id)?;
        let request = AttachRequest {
            program: program.as_fd(),
            record: &stored.record,
            spec: &command.spec,
            target: command.target.as_ref().map(|file| Target {
                file: file.as_fd(),
                places: &command.places,
            }),
            links: &links,
        };
        let prepared = kinds::prepare(&request)?;
        let steps = steps::attach(matches!(prepared, Prepared::NeedsHelper { .. }));
        let subject = Subject::Attachment {
            request,
            prepared: Some(prepared),
        };
        let mut executor = Executor::new(subject, &*self.helpers, &mut self.faults);
        executor.run(steps).await?;

        let made = executor.attached()?;
        let kernel = made.kernel.clone();
        let link_id = self.store.next_link_id();
        let pin = self.layout.fs().join(kind.pin(link_id, id, &made.details));
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
        let with_it = links.iter().chain([&record]);
        room::check_links(with_it, &self.store.programs()?, &stored)?;
        let change = Change {
            links: vec![record.clone()],
            ..Change::default()
        };
        let steps = steps::keep_link(pin);
        keep(
            &mut self.store,
            &mut executor,
            steps,
            Some(link_id),
            change,
            &mut self.has_leftovers,
        )
        .await?;
        tracing::info!(
            link = link_id,
            program = id,
            hook = command.spec.name(),
            "attached"
        );
        Ok(Link {
            record,
            program_name: stored.record.name,
            kernel: Some(kernel),
            pin_present: true,
        })
    }
}

fn open_program(path: &str, id: u32) -> Result<OwnedFd, Failure> {
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
