//! The engine: owner of the store and of everything that bpfman has in the kernel.
//!
//! A change goes from records to records. It begins when it has [claimed](claims) what it is about; then it is alone
//! there, and runs straight through: system calls, a one-shot helper perhaps, one write batch. Changes of different hooks
//! run beside one another. What they share is short: the numbers that the store gives out, the bounds of what is being
//! made, the batch.
//!
//! This file opens it; [`load`](Engine::load), [`attach`](Engine::attach), [`detach`](Engine::detach),
//! [`unload`](Engine::unload) and the queries have a file each. [`actor`] gives it a mailbox.

pub mod actor;
mod admission;
mod attach;
mod chain;
pub mod claims;
mod foreign;
mod guests;
mod hooks;
mod journal;
mod leave;
mod load;
mod maps;
mod moved;
mod present;
mod query;
mod take_away;
mod volumes;

pub use attach::{AttachCommand, NamespaceFile};
pub use volumes::VolumeCommand;

use crate::drift::Drift;
use crate::faults::Faults;
use crate::helpers::Helpers;
use crate::iterators;
use crate::kernel::memlock::Memlocks;
use crate::kernel::pin;
use crate::layout::Layout;
use crate::reconcile;
use crate::store::Store;
use claims::Claims;
use ipc::messages::attach::LinkRecord;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// What an engine works with.
#[derive(Debug)]
pub struct Settings {
    /// Where things are.
    pub layout: Layout,
    /// Who does what takes another capability.
    pub helpers: Arc<dyn Helpers>,
    /// Where tests make things fail.
    pub faults: Faults,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    layout: Layout,
    helpers: Arc<dyn Helpers>,
    faults: Faults,
    claims: Claims,
    /// Links that are being made.
    coming: Mutex<Vec<LinkRecord>>,
    memlocks: Memlocks,
    /// A change could neither be finished nor taken back; it is tried again before the next one.
    has_leftovers: AtomicBool,
}

impl Engine {
    /// Opens the store and reconciles; returns what differs nevertheless.
    pub async fn open(settings: Settings) -> Result<(Self, Vec<Drift>), Failure> {
        let Settings {
            layout,
            helpers,
            faults,
        } = settings;
        for directory in [layout.store(), layout.plans()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(|error| {
                    Failure::new(
                        FailureCode::Internal,
                        Stage::Store,
                        format!("{} cannot be made: {error}", directory.display()),
                    )
                    .remedy("see that the state directory belongs to the loader")
                })?;
        }
        for directory in layout.fixed_directories() {
            pin::make_directories(&directory)
                .map_err(|error| error.into_failure(Stage::Pin, directory.display()))?;
        }
        if let Err(error) = iterators::sweep(&layout.iterators()) {
            tracing::warn!(%error, "iterators of another build could not be removed");
        }
        let store = Store::open(&layout.store())?;
        let drift = reconcile::reconcile(&store, &layout, &faults).await?;
        let has_leftovers = !store.intents()?.is_empty();
        Ok((
            Self {
                store,
                layout,
                helpers,
                faults,
                claims: Claims::default(),
                coming: Mutex::default(),
                memlocks: Memlocks::default(),
                has_leftovers: has_leftovers.into(),
            },
            drift,
        ))
    }
}

/// Seconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn no_such_link(id: u64, stage: Stage) -> Failure {
    Failure::new(
        FailureCode::NotFound,
        stage,
        format!("link {id} does not exist"),
    )
    .remedy("see `bpfmanctl link list`")
}
