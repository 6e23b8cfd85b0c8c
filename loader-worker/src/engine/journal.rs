//! Changes that outlive the process: an intent before, one write batch after.

use super::Engine;
use crate::execute::Executor;
use crate::faults::Point;
use crate::remove::remove;
use crate::steps::{Removal, Step};
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
        change: Change,
    ) -> Result<(), Failure> {
        self.keep_all(vec![(executor, steps)], change).await
    }

    /// The same for a request that acts in several places: what was done in all of them is taken back when it cannot be
    /// done in one.
    pub(super) async fn keep_all(
        &self,
        mut works: Vec<(&mut Executor<'_>, Vec<Step>)>,
        mut change: Change,
    ) -> Result<(), Failure> {
        self.faults.pass(&Point::Begin)?;
        let last_first = works.iter().rev();
        let removals = last_first
            .flat_map(|(_, steps)| undo::plan(steps))
            .collect();
        let number = self.store.begin(&Intent::Back { removals })?;
        change.finished = Some(number);
        let next = match self.finish(&mut works, &change).await {
            Ok(next) => next,
            Err(failure) => {
                self.take_back(works, number).await;
                return Err(failure);
            }
        };
        for (number, intent) in next.into_iter().zip(change.followed_by) {
            match intent {
                Intent::Outdated { removals } => self.clear(number, &removals).await,
                Intent::Forward { parts } => self.go_forward(number, &parts).await?,
                // Nothing that was committed is taken back.
                Intent::Back { .. } | Intent::Leave(_) => {}
            }
        }
        self.faults.pass(&Point::Answer)
    }

    async fn finish(
        &self,
        works: &mut [(&mut Executor<'_>, Vec<Step>)],
        change: &Change,
    ) -> Result<Vec<IntentNumber>, Failure> {
        for (executor, steps) in works {
            executor.run(std::mem::take(steps)).await?;
        }
        self.faults.pass(&Point::Commit)?;
        Ok(self.store.commit(change)?)
    }

    /// What was replaced is taken away. The request has succeeded whatever comes of this; what stays is tried again.
    async fn clear(&self, number: IntentNumber, removals: &[Removal]) {
        let finished = Change {
            finished: Some(number),
            ..Change::default()
        };
        let outcome = self
            .remove_all(removals)
            .await
            .and_then(|()| self.faults.pass(&Point::Commit))
            .and_then(|()| Ok(self.store.commit(&finished)?));
        if let Err(failure) = &outcome {
            tracing::error!(%failure, "what was replaced could not be taken away");
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    async fn take_back(&self, works: Vec<(&mut Executor<'_>, Vec<Step>)>, number: IntentNumber) {
        let finished = Change {
            finished: Some(number),
            ..Change::default()
        };
        let mut taken_back = Ok(());
        for (executor, _) in works.into_iter().rev() {
            taken_back = taken_back.and(executor.undo().await);
        }
        let committed = taken_back.and_then(|()| Ok(self.store.commit(&finished)?));
        if committed.is_err() {
            self.has_leftovers.store(true, Ordering::Release);
        }
    }

    /// Takes things away with their records. Where it fails in the middle, the records of what is wholly gone go, and
    /// the rest can be taken away by asking again.
    pub(super) async fn take_away(&self, parts: Vec<Part>) -> Result<(), Failure> {
        self.faults.pass(&Point::Begin)?;
        let intent = Intent::Forward { parts };
        let number = self.store.begin(&intent)?;
        if let Intent::Forward { parts } = intent {
            self.go_forward(number, &parts).await?;
        }
        self.faults.pass(&Point::Answer)
    }

    async fn go_forward(&self, number: IntentNumber, parts: &[Part]) -> Result<(), Failure> {
        let mut change = Change {
            finished: Some(number),
            ..Change::default()
        };
        let mut outcome = Ok(());
        for part in parts {
            outcome = self.remove_all(&part.removals).await;
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
        outcome.and(committed.map(drop))
    }

    async fn remove_all(&self, removals: &[Removal]) -> Result<(), Failure> {
        for removal in removals {
            self.faults.pass(&Point::Removal(removal))?;
            remove(removal, &*self.helpers).await?;
        }
        Ok(())
    }
}
