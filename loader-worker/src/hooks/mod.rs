//! Acts at the hooks of network interfaces and of netfilter, in the network namespace that the calling thread is in.
//!
//! The loader calls them for its own namespace; for any other the one-shot helper does, after it has entered. What is to be
//! done is decided before and comes as arguments; what depends on the moment ([`mprog_order`]) is decided by pure functions.

pub mod interface;
pub mod mprog;
pub mod mprog_order;
pub mod netfilter;
pub mod xdp;

use crate::kernel::Error;
use ipc::messages::failure::{Failure, Stage};

/// What is to be said of a link at an interface that moved.
pub const MADE_ELSEWHERE: &str =
    "attached when the interface was in another network namespace or had another number";

/// An interface and a program for it, with the names that messages call them by.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Index of the interface.
    pub ifindex: u32,
    /// Its name.
    pub interface: &'a str,
    /// Kernel id of the program.
    pub program_id: u32,
}

impl Site<'_> {
    /// A refusal in words. An interface that has vanished since it was found is named as that.
    fn refused(self, error: Error, hook: &str) -> Failure {
        let Self {
            ifindex,
            interface,
            program_id,
        } = self;
        interface::vanished(ifindex, interface).unwrap_or_else(|| {
            error.into_failure(
                Stage::Attach,
                format!("attaching program {program_id} to {hook}"),
            )
        })
    }
}
