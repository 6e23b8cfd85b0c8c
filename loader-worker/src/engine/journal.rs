//! Changes that outlive the process: an intent before, one write batch after.

use super::Engine;
use crate::execute::Executor;
use crate::faults::Point;
use crate::remove::remove;
use crate::steps::Step;
use crate::store::Change;
use crate::store::intents::{Intent, IntentNumber, Part};
use crate::undo;
use ipc::messages::failure::Failure;
use std::sync::atomic::Ordering;

impl Engine {
    /// Carries out the part of a request that leaves traces, and commits; or takes all of it back. Where that fails too,
    /// the intent stays, and is tried again before the next change.
    pub(super) async fn keep(
        &self,
        executor: &mut Executor<'_>,
        steps: Vec<Step>,
        mut change: Change,
    ) -> Result<(), Failure> {
        self.faults.pass(&Point::Begin)?;
        let intent = Intent::Back {
            removals: undo::plan(&steps),
        };
        let number = self.store.begin(&intent)?;
        change.finished = Some(number);
        match self.finish(executor, steps, &change).await {
            Ok(None) => {}
            Ok(Some(next)) => self.clear(next, &change),
            Err(failure) => {
                self.take_back(executor, number);
                return Err(failure);
            }
        }
        self.faults.pass(&Point::Answer)
    }

    async fn finish(
        &self,
        executor: &mut Executor<'_>,
        steps: Vec<Step>,
        change: &Change,
    ) -> Result<Option<IntentNumber>, Failure> {
        executor.run(steps).await?;
        self.faults.pass(&Point::Commit)?;
        Ok(self.store.commit(change)?)
    }

    /// What was replaced is taken away. The request has succeeded whatever comes of this; what stays is tried again.
    fn clear(&self, number: IntentNumber, change: &Change) {
        let Some(Intent::Outdated { removals }) = &change.followed_by else {
            return;
        };
        let finished = Change {
            finished: Some(number),
            ..Change::default()
        };
        let cleared = removals.iter().try_for_each(|removal| {
            self.faults.pass(&Point::Removal(removal))?;
            remove(removal)
        });
        let outcome = cleared
            .and_then(|()| self.faults.pass(&Point::Commit))
            .and_then(|()| Ok(self.store.commit(&finished)?));
        if let Err(failure) = &outcome {
            tracing::error!(%failure, "what was replaced could not be taken away");
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    fn take_back(&self, executor: &mut Executor<'_>, number: IntentNumber) {
        let finished = Change {
            finished: Some(number),
            ..Change::default()
        };
        let taken_back = executor
            .undo()
            .and_then(|()| Ok(self.store.commit(&finished)?));
        if taken_back.is_err() {
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    /// Takes things away with their records. Where it fails in the middle, the records of what is wholly gone go, and
    /// the rest can be taken away by asking again.
    pub(super) fn take_away(&self, parts: Vec<Part>) -> Result<(), Failure> {
        self.faults.pass(&Point::Begin)?;
        let intent = Intent::Forward { parts };
        let number = self.store.begin(&intent)?;
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
        if committed.is_err() {
            self.has_leftovers.store(true, Ordering::Release);
        }
        outcome.and(committed.map(drop))?;
        self.faults.pass(&Point::Answer)
    }

    fn remove_all(&self, part: &Part) -> Result<(), Failure> {
        for removal in &part.removals {
            self.faults.pass(&Point::Removal(removal))?;
            remove(removal)?;
        }
        Ok(())
    }
}
