//! One-shot helpers as the engine sees them: one job in, one answer out.

use ipc::messages::failure::Failure;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::pin::Pin;

/// What came of a job.
#[derive(Debug)]
pub struct Done {
    /// The answer. Never a failure: those are errors.
    pub result: HelperResult,
    /// What the helper opened.
    pub descriptors: Vec<OwnedFd>,
}

impl Done {
    /// The descriptor that the helper opened, if it opened one.
    pub fn into_descriptor(mut self) -> Option<OwnedFd> {
        self.descriptors.pop()
    }
}

/// The result of a job, in the future.
pub type Outcome = Pin<Box<dyn Future<Output = Result<Done, Failure>> + Send>>;

/// Whoever can have a job done by a process that has the capability for it.
pub trait Helpers: Debug + Send + Sync {
    /// Has the job done; the descriptors go to the helper, those of the answer come back.
    fn run(&self, kind: HelperKind, job: HelperJob, descriptors: Vec<OwnedFd>) -> Outcome;
}
