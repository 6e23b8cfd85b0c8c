//! Intents: what is being done to bpffs, written down before it is done, so that whoever finds it half done knows
//! which way to go.

use super::records;
use crate::steps::Removal;
use bincode::{Decode, Encode};
use ipc::messages::chain::HookKey;

pub(super) const INTENT: &str = "intent/";

/// Numbers intents in the order in which they began.
pub type IntentNumber = u64;

/// What to do when this is found at start.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Intent {
    /// Something was being made: take it away. No record says that it exists.
    Back {
        /// In this order.
        removals: Vec<Removal>,
    },
    /// Something was being taken away: go on, and delete its records.
    Forward {
        /// In this order.
        parts: Vec<Part>,
    },
    /// Something was replaced, and nothing refers to it any more: take it away.
    Outdated {
        /// In this order.
        removals: Vec<Removal>,
    },
    /// A guest came to a dispatcher of libxdp's, or left it: have the dispatcher without it.
    Leave(Leaving),
}

impl Intent {
    /// Everything that it removes.
    pub fn removals(&self) -> Vec<&Removal> {
        match self {
            Intent::Back { removals } | Intent::Outdated { removals } => removals.iter().collect(),
            Intent::Forward { parts } => parts.iter().flat_map(|part| &part.removals).collect(),
            // It takes more than removals: what is on the interface is made anew.
            Intent::Leave(_) => Vec::new(),
        }
    }

    /// The records that go with them.
    pub fn gone(&self) -> Vec<Row> {
        match self {
            Intent::Back { .. } | Intent::Outdated { .. } => Vec::new(),
            Intent::Forward { parts } => parts.iter().map(|part| part.row).collect(),
            Intent::Leave(leaving) => leaving.link.map(Row::Link).into_iter().collect(),
        }
    }
}

/// A guest that is to be in no dispatcher of libxdp's.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Leaving {
    /// Interface.
    pub ifindex: u32,
    /// The guest.
    pub program_id: u32,
    /// Its record, if it has one.
    pub link: Option<u64>,
    /// The dispatchers that were before the change and that it makes. The pins of those that are not on the interface go.
    pub dispatchers: Vec<u32>,
}

/// One object that goes.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Part {
    /// Its record.
    pub row: Row,
    /// What it consists of.
    pub removals: Vec<Removal>,
}

/// A record, by key.
#[derive(Clone, Copy, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Row {
    /// Of a program.
    Program(u32),
    /// Of a link.
    Link(u64),
    /// Of a hook.
    Hook(HookKey),
}

impl Row {
    pub(super) fn key(self) -> String {
        match self {
            Row::Program(id) => records::program_key(id),
            Row::Link(id) => records::link_key(id),
            Row::Hook(key) => records::hook_key(key),
        }
    }
}

pub(super) fn key(number: IntentNumber) -> String {
    format!("{INTENT}{number:020}")
}

pub(super) fn number(key: &str) -> Option<IntentNumber> {
    key.strip_prefix(INTENT)?.parse().ok()
}
