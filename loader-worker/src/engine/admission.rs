//! What a change claims before it begins, and the links that are being made.

use super::claims::{Claim, Key, Need};
use super::{AttachCommand, Engine};
use crate::chains::records;
use crate::limits::LINKS;
use crate::network_namespace::NetworkPlace;
use crate::poison;
use crate::reconcile;
use crate::request;
use crate::room;
use crate::store::records::StoredProgram;
use ipc::messages::attach::{AttachSpec, LinkRecord};
use ipc::messages::chain::{HookKey, HookKind};
use ipc::messages::failure::Failure;
use ipc::messages::mprog::MprogPlace;
use std::sync::atomic::Ordering;

/// A link that is being made: it counts for the bounds until it is on record, or is not made after all.
pub(super) struct Coming<'a> {
    engine: &'a Engine,
    id: u64,
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        poison::lock(&self.engine.coming).retain(|link| link.id != self.id);
    }
}

impl Engine {
    /// Claims what `needs` names. It looks at the records, which may change while the claim waits: then it is asked
    /// again. What could not be finished before is finished first, for a new change must not rely on what is half there.
    pub(super) async fn claim(
        &self,
        needs: impl Fn() -> Result<Vec<Need>, Failure>,
    ) -> Result<Claim, Failure> {
        self.finish_leftovers().await?;
        loop {
            let keys = needs()?;
            let share = Need::shared(Key::Everything);
            let all = keys.iter().copied().chain([share]).collect();
            let claim = self.claims.claim(all).await;
            if needs()? == keys {
                return Ok(claim);
            }
        }
    }

    /// Waits until nothing is being changed; nothing is as long as this is held.
    pub(super) async fn claim_everything(&self) -> Claim {
        let alone = vec![Need::alone(Key::Everything)];
        self.claims.claim(alone).await
    }

    /// Finishes what could not be finished before, if there is anything.
    pub async fn finish_leftovers(&self) -> Result<(), Failure> {
        if !self.has_leftovers.load(Ordering::Acquire) {
            return Ok(());
        }
        let _alone = self.claim_everything().await;
        if self.has_leftovers.load(Ordering::Acquire) {
            // No change is under way, so every intent is one that was left.
            let unfinished = reconcile::replay(&self.store, &self.faults, &*self.helpers).await?;
            self.has_leftovers.store(unfinished > 0, Ordering::Release);
        }
        Ok(())
    }

    /// Counts a link that is about to be made, if there is room for it beside those that others are making.
    pub(super) fn admit(
        &self,
        record: &LinkRecord,
        program: &StoredProgram,
    ) -> Result<Coming<'_>, Failure> {
        let mut coming = poison::lock(&self.coming);
        let links = self.store.links()?;
        let others = coming
            .iter()
            .filter(|other| !links.iter().any(|link| link.id == other.id));
        request::check_room("links", links.len() + others.clone().count(), 1, LINKS)?;
        let with_it = links.iter().chain(others).chain([record]);
        room::check_links(with_it, &self.store.programs()?, program)?;
        coming.push(record.clone());
        Ok(Coming {
            engine: self,
            id: record.id,
        })
    }
}

/// What an attachment needs for itself: its hook, or, where that is on no interface, its program.
pub(super) fn of_attachment(command: &AttachCommand, place: Option<&NetworkPlace>) -> Vec<Need> {
    let program = Key::Program(command.program_id);
    let Some(place) = place.filter(|place| place.ifindex != 0) else {
        return vec![Need::alone(program)];
    };
    let chain = match &command.spec {
        // On the same hook, though no chain of bpfman's.
        AttachSpec::XdpGuest { .. } => Some(HookKey {
            kind: HookKind::Xdp,
            nsid: place.namespace.id(),
            ifindex: place.ifindex,
        }),
        spec => records::details(spec, place)
            .ok()
            .and_then(|(details, _)| details.hook()),
    };
    let hook = match chain {
        Some(chain) => Key::Chain(chain),
        None => Key::Interface {
            nsid: place.namespace.id(),
            ifindex: place.ifindex,
        },
    };
    vec![Need::alone(hook), Need::shared(program)]
}

/// What taking a link away needs for itself.
pub(super) fn of_link(link: &LinkRecord) -> Vec<Need> {
    let program = Key::Program(link.program_id);
    let chain = link.details.hook().or(link.details.guest_hook());
    match (chain, link.details.mprog()) {
        (Some(chain), _) => vec![Need::alone(Key::Chain(chain)), Need::shared(program)],
        (None, Some((MprogPlace { nsid, ifindex, .. }, _))) => {
            let hook = Key::Interface { nsid, ifindex };
            vec![Need::alone(hook), Need::shared(program)]
        }
        (None, None) => vec![Need::alone(program)],
    }
}

/// What taking a program away needs for itself: it, the hooks that it is on, and what it shares with other programs.
pub(super) fn of_program(program_id: u32, links: &[LinkRecord]) -> Vec<Need> {
    let own = links.iter().filter(|link| link.program_id == program_id);
    let alone = [Key::Programs, Key::Program(program_id)].map(Need::alone);
    alone.into_iter().chain(own.flat_map(of_link)).collect()
}
