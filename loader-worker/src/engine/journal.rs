//! Changes that outlive the process: an intent before, one write batch after.

use super::Engine;
use crate::execute::Executor;
use crate::faults::{Faults, Point};
use crate::remove::remove;
use crate::steps::Step;
use crate::store::intents::{Intent, IntentNumber, Part};
use crate::store::{Change, Store};
use crate::undo;
use ipc::messages::failure::Failure;

/// Carries out the part of a request that leaves traces, and commits; or takes all of it back. The flag is set when
/// that fails too: the intent then stays.
pub(super) async fn keep(
    store: &mut Store,
    executor: &mut Executor<'_>,
    steps: Vec<Step>,
    link_id: Option<u64>,
    mut change: Change,
    has_leftovers: &mut bool,
) -> Result<(), Failure> {
    executor.faults().pass(&Point::Begin)?;
    let intent = Intent::Back {
        removals: undo::plan(&steps),
    };
    let number = store.begin(&intent, link_id)?;
    change.finished = Some(number);
    match carry_out(store, executor, steps, &change).await {
        Ok(None) => {}
        Ok(Some(next)) => *has_leftovers |= !clear(store, executor.faults(), next, &change),
        Err(failure) => {
            *has_leftovers |= !take_back(store, executor, number);
            return Err(failure);
        }
    }
    executor.faults().pass(&Point::Answer)
}

/// What was replaced is taken away. The request has succeeded whatever comes of this; what stays is tried again.
fn clear(store: &mut Store, faults: &mut Faults, number: IntentNumber, change: &Change) -> bool {
    let Some(Intent::Outdated { removals }) = &change.followed_by else {
        return true;
    };
    let finished = Change {
        finished: Some(number),
        ..Change::default()
    };
    let cleared = removals.iter().try_for_each(|removal| {
        faults.pass(&Point::Removal(removal))?;
        remove(removal)
    });
    let outcome = cleared
        .and_then(|()| faults.pass(&Point::Commit))
        .and_then(|()| Ok(store.commit(&finished)?));
    if let Err(failure) = &outcome {
        tracing::error!(%failure, "what was replaced could not be taken away");
    }
    outcome.is_ok()
}

async fn carry_out(
    store: &mut Store,
    executor: &mut Executor<'_>,
    steps: Vec<Step>,
    change: &Change,
) -> Result<Option<IntentNumber>, Failure> {
    executor.run(steps).await?;
    executor.faults().pass(&Point::Commit)?;
    Ok(store.commit(change)?)
}

fn take_back(store: &mut Store, executor: &mut Executor<'_>, number: IntentNumber) -> bool {
    let finished = Change {
        finished: Some(number),
        ..Change::default()
    };
    executor
        .undo()
        .and_then(|()| Ok(store.commit(&finished)?))
        .is_ok()
}

impl Engine {
    /// Takes things away with their records. Where it fails in the middle, the records of what is wholly gone go, and
    /// the rest can be taken away by asking again.
    pub(super) fn take_away(&mut self, parts: Vec<Part>) -> Result<(), Failure> {
        self.faults.pass(&Point::Begin)?;
        let intent = Intent::Forward { parts };
        let number = self.store.begin(&intent, None)?;
        let Intent::Forward { parts } = intent else {
            return Ok(());
        };
        let mut change = Change {
            finished: Some(number),
            ..Change::default()
        };
        let mut outcome = Ok(());
        for part in &parts {
            outcome = self.remove_all(part);
            if outcome.is_err() {
                break;
            }
            change.gone.push(part.row);
        }
        let committed = self
            .faults
            .pass(&Point::Commit)
            .and_then(|()| Ok(self.store.commit(&change)?));
        self.has_leftovers |= committed.is_err();
        outcome.and(committed)?;
        self.faults.pass(&Point::Answer)
    }

    fn remove_all(&mut self, part: &Part) -> Result<(), Failure> {
        for removal in &part.removals {
            self.faults.pass(&Point::Removal(removal))?;
            remove(removal)?;
        }
        Ok(())
    }
}
