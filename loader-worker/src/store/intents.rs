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
}

impl Intent {
    /// Everything that it removes.
    pub fn removals(&self) -> Vec<&Removal> {
        match self {
            Intent::Back { removals } | Intent::Outdated { removals } => removals.iter().collect(),
            Intent::Forward { parts } => parts.iter().flat_map(|part| &part.removals).collect(),
        }
    }

    /// The records that go with them.
    pub fn gone(&self) -> Vec<Row> {
        match self {
            Intent::Back { .. } | Intent::Outdated { .. } => Vec::new(),
            Intent::Forward { parts } => parts.iter().map(|part| part.row).collect(),
        }
    }
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
