//! Detaching and unloading.

use super::admission::{of_link, of_program};
use super::{Engine, no_such_link};
use crate::steps;
use crate::store::intents::{Part, Row};
use ipc::messages::attach::LinkRecord;
use ipc::messages::failure::{Failure, Stage};
use std::path::PathBuf;

impl Engine {
    /// Detaches a link and forgets it. When this returns, the program does not run through it any more.
    pub async fn detach(&self, link_id: u64) -> Result<(), Failure> {
        let link = || {
            let found = self.store.link(link_id)?;
            found.ok_or_else(|| no_such_link(link_id, Stage::Detach))
        };
        let _claim = self.claim(|| Ok(of_link(&link()?))).await?;
        let link = link()?;
        match link.details.hook() {
            Some(hook) => self.detach_from_chain(&link, hook).await?,
            None if link.details.guest_hook().is_some() => self.detach_guest(&link).await?,
            None => self.take_away(vec![link_part(&link)]).await?,
        }
        tracing::info!(link = link_id, program = link.program_id, "detached");
        Ok(())
    }

    /// Detaches all links of a program and forgets it, with its maps when no other program uses them: all of it, or, when
    /// a chain cannot be changed, nothing. Only guests of libxdp's are taken off before that.
    pub async fn unload(&self, program_id: u32) -> Result<(), Failure> {
        let program = || {
            let found = self.store.program(program_id)?;
            found.ok_or_else(|| Failure::no_such_program(program_id, Stage::Unload))
        };
        let _claim = self
            .claim(|| {
                program()?;
                Ok(of_program(program_id, &self.store.links()?))
            })
            .await?;
        let program = program()?;
        let others: Vec<_> = self
            .store
            .programs()?
            .into_iter()
            .filter(|other| other.record.program_id != program_id)
            .collect();
        let shares_maps = others
            .iter()
            .any(|other| other.map_set() == program.map_set());
        let shares_plan = others
            .iter()
            .any(|other| other.record.plan_path == program.record.plan_path);
        let shared = self.shared_by_nobody_else(&program, &others);
        let removals = steps::unload(
            PathBuf::from(&program.record.pin_path),
            program
                .member
                .and_then(|form| form.sections)
                .map(PathBuf::from),
            shared,
            (!shares_maps).then(|| PathBuf::from(&program.record.maps_dir)),
            (!shares_plan).then(|| PathBuf::from(&program.record.plan_path)),
        );
        let mut links = self.store.links()?;
        links.retain(|link| link.program_id == program_id);
        // Each in a step of its own, which is repeated when the program is unloaded again.
        self.detach_guests(&links).await?;
        links.retain(|link| link.details.guest_hook().is_none());
        let alone = links.iter().filter(|link| link.details.hook().is_none());
        let mut parts: Vec<Part> = alone.map(link_part).collect();
        parts.push(Part {
            row: Row::Program(program_id),
            removals,
        });
        self.leave_chains(program_id, &links, parts).await?;
        tracing::info!(program = program_id, "unloaded");
        Ok(())
    }
}

fn link_part(link: &LinkRecord) -> Part {
    Part {
        row: Row::Link(link.id),
        removals: steps::detach(PathBuf::from(&link.pin_path)),
    }
}
