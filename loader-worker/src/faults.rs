//! Where tests make things fail. In a running loader the hook is absent and every point is passed.

use crate::steps::{Removal, Step};
use ipc::messages::failure::Failure;

/// A place where the loader can be stopped: before the act that it names.
#[derive(Debug)]
pub enum Point<'a> {
    /// Carrying out a step.
    Step(&'a Step),
    /// Carrying out a removal that was asked for (not one that takes back a failed request).
    Removal(&'a Removal),
    /// Changing what is on an interface of libxdp's.
    Libxdp(LibxdpAct),
    /// Writing an intent.
    Begin,
    /// Committing to the store.
    Commit,
    /// Answering, after the commit.
    Answer,
}

/// What is done at an interface of libxdp's, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LibxdpAct {
    /// Pinning the new dispatcher.
    Publish,
    /// Putting it on the interface, or nothing.
    Swap,
    /// Taking the pins of the old one away.
    Retire,
}

/// Called at each point; an error makes the act fail before it has begun. A hook that panics stands for a process that
/// was killed there.
/// Called by several changes at once.
pub type Hook = Box<dyn Fn(&Point<'_>) -> Result<(), Failure> + Send + Sync>;

/// The hook, if any.
#[derive(Default)]
pub struct Faults(Option<Hook>);

impl Faults {
    /// Calls this hook at every point.
    pub fn new(hook: Hook) -> Self {
        Self(Some(hook))
    }

    pub(crate) fn pass(&self, point: &Point<'_>) -> Result<(), Failure> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(point),
        }
    }
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(if self.0.is_some() {
            "Faults(hook)"
        } else {
            "Faults"
        })
    }
}
