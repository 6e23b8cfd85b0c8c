//! Brings kernel and store together after a start, before anything is served.
//!
//! 1. Intents are replayed: what was being made is taken away, what was being taken away is finished. What takes a helper
//!    is left for the moment when there are any, right after the start.
//! 2. Store, pins and kernel are compared. What differs is reported and kept: a program that a reboot took away stays a
//!    record, so that it is known what is missing; a pin without a record and without an intent was made by somebody
//!    else (or outlived a lost store) and is never removed. Only the kernel's link id of a lost link is erased.
//! 3. Files in the plan directory that no record names are removed: they are nobody's, since the directory is ours alone.

pub mod leaving;

use crate::drift::{self, Behind, Drift, Wanted};
use crate::faults::{Faults, Point};
use crate::helpers::{Helpers, Outcome};
use crate::layout::Layout;
use crate::observe;
use crate::plan_file;
use crate::remove::remove;
use crate::store::intents::{Intent, IntentNumber};
use crate::store::{Change, Store};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::helper::{HelperJob, HelperKind};
use ipc::messages::loader::DoctorReport;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Replays, compares, repairs what may be repaired; returns what still differs. There are no helpers yet.
pub async fn reconcile(
    store: &Store,
    layout: &Layout,
    faults: &Faults,
) -> Result<Vec<Drift>, Failure> {
    replay(store, faults, &NotYet).await?;
    let (programs, mut links, hooks) = (store.programs()?, store.links()?, store.hooks()?);
    let plans = programs
        .iter()
        .map(|program| PathBuf::from(&program.record.plan_path))
        .collect();
    let swept = plan_file::sweep(&layout.plans(), &plans).map_err(|error| unreadable(&error))?;
    if swept > 0 {
        tracing::info!(swept, "removed plans that no program uses");
    }
    let seen = observe::observe(layout, &programs, &links, &hooks, None)
        .await
        .map_err(|error| unreadable(&error))?;
    let mut changed = Change::default();
    for link in &mut links {
        let is_gone = seen.links.get(&link.id) == Some(&Behind::Nothing);
        if is_gone && link.kernel_link_id.take().is_some() {
            changed.links.push(link.clone());
        }
    }
    if !changed.links.is_empty() {
        store.commit(&changed)?;
    }
    let unfinished = store.intents()?.len();
    Ok(drift::compare(
        Wanted {
            layout,
            programs: &programs,
            links: &links,
            hooks: &hooks,
            unfinished,
        },
        &seen,
    ))
}

/// What differs now, without repairing anything.
pub async fn doctor(
    store: &Store,
    layout: &Layout,
    helpers: &dyn Helpers,
) -> Result<DoctorReport, Failure> {
    let (programs, links, hooks) = (store.programs()?, store.links()?, store.hooks()?);
    let seen = observe::observe(layout, &programs, &links, &hooks, Some(helpers))
        .await
        .map_err(|error| unreadable(&error))?;
    let wanted = Wanted {
        layout,
        programs: &programs,
        links: &links,
        hooks: &hooks,
        unfinished: store.intents()?.len(),
    };
    Ok(drift::report(wanted, &drift::compare(wanted, &seen)))
}

/// Replays every intent; returns how many could not be finished. Those stay.
pub async fn replay(
    store: &Store,
    faults: &Faults,
    helpers: &dyn Helpers,
) -> Result<usize, Failure> {
    let mut unfinished = 0;
    for (number, intent) in store.intents()? {
        if let Err(failure) = replay_one(store, number, &intent, faults, helpers).await {
            tracing::error!(%failure, ?intent, "an unfinished change could not be finished");
            unfinished += 1;
        }
    }
    Ok(unfinished)
}

async fn replay_one(
    store: &Store,
    number: IntentNumber,
    intent: &Intent,
    faults: &Faults,
    helpers: &dyn Helpers,
) -> Result<(), Failure> {
    if let Intent::Leave(leaving) = intent {
        tracing::warn!(?leaving, "replaying an unfinished change");
        return leaving::finish(store, number, leaving, faults, helpers).await;
    }
    let (removals, gone) = (intent.removals(), intent.gone());
    tracing::warn!(
        removals = removals.len(),
        records = gone.len(),
        "replaying an unfinished change"
    );
    for removal in removals {
        faults.pass(&Point::Removal(removal))?;
        remove(removal, helpers).await?;
    }
    faults.pass(&Point::Commit)?;
    store.commit(&Change {
        gone,
        finished: Some(number),
        ..Change::default()
    })?;
    Ok(())
}

/// The helpers of a loader that does not serve yet: the supervisor starts none for it.
#[derive(Debug)]
struct NotYet;

impl Helpers for NotYet {
    fn run(&self, _: HelperKind, _: HelperJob, _: Vec<OwnedFd>) -> Outcome {
        let cause = "what takes a helper has to wait until the service has started";
        let failure = Failure::new(FailureCode::Unavailable, Stage::Detach, cause);
        Box::pin(std::future::ready(Err(failure.remedy("retry"))))
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Store,
        format!("the directories of pins and plans cannot be compared with the store: {error}"),
    )
    .remedy("see that bpffs is mounted and that both belong to the loader")
}
