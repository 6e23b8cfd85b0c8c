//! How records look in the store.

use super::StoreError;
use bincode::{Decode, Encode};
use ipc::messages::chain::{Dispatcher, HookKey};
use ipc::messages::kernel::KernelMap;
use ipc::messages::program::ProgramRecord;
use ipc::plan::MapType;
use std::path::Path;

/// Version of the encoding of a value, its first byte. A value of another version is not guessed at.
const VERSION: u8 = 1;

pub(super) const PROGRAM: &str = "program/";
pub(super) const LINK: &str = "link/";
pub(super) const HOOK: &str = "hook/";

/// A program as stored.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct StoredProgram {
    /// What clients see.
    pub record: ProgramRecord,
    /// Its maps in the order of the object, as they were when it was loaded. The path says where a map is pinned; one
    /// without a path (a data section) cannot be looked up again, since that takes a capability that no bpfman process
    /// has.
    pub maps: Vec<KernelMap>,
    /// The maps of its map set, whether it uses them or not: they outlive the record of who made them.
    pub forms: Vec<MapForm>,
    /// What chains need to know of it, if it is of a kind that they take.
    pub member: Option<MemberForm>,
}

/// What the kernel does not tell about a map of a map set.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct MapForm {
    /// Its name, which is that of its pin.
    pub name: String,
    /// Whether it is shared by name.
    pub by_name: bool,
    /// What its keys look like, if an object has said so.
    pub key: Option<MapType>,
    /// What its values look like.
    pub value: Option<MapType>,
}

/// A program as a member of chains.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct MemberForm {
    /// Directory in which its data sections are pinned, for the programs that are made of it later; `None` if it has none.
    pub sections: Option<String>,
    /// Why it was loaded in its own form and cannot replace a function of a dispatcher; `None` where it can.
    pub own: Option<String>,
    /// Whether it takes packets in several pieces (XDP).
    pub has_frags: bool,
}

impl StoredProgram {
    /// The map set that it uses: its own or its owner's.
    pub fn map_set(&self) -> u32 {
        self.record.map_owner.unwrap_or(self.record.program_id)
    }

    /// Names of the maps of its set that are shared by name.
    pub fn shared_by_name(&self) -> impl Iterator<Item = &str> {
        let shared = self.forms.iter().filter(|form| form.by_name);
        shared.map(|form| form.name.as_str())
    }

    /// Kernel id of the map of this name that it was loaded with.
    pub fn map_id(&self, name: &str) -> Option<u32> {
        let named = |map: &&KernelMap| Path::new(&map.pin_path).file_name() == Some(name.as_ref());
        self.maps.iter().find(named).map(|map| map.id)
    }
}

/// A hook as stored: what clients see, and where the members are among the counters.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct StoredHook {
    /// What clients see.
    pub dispatcher: Dispatcher,
    /// Rows of the counters, when the hook counts.
    pub slots: Vec<CounterSlot>,
}

/// A row of counters and whose it is.
#[derive(Clone, Debug, Decode, Encode, Eq, PartialEq)]
pub struct CounterSlot {
    /// The link.
    pub link_id: u64,
    /// Index of the row.
    pub slot: u32,
    /// What had been counted there before.
    pub before: Vec<u64>,
}

pub(super) fn hook_key(key: HookKey) -> String {
    format!("{HOOK}{}/{:020}/{:010}", key.kind, key.nsid, key.ifindex)
}

pub(super) fn program_key(id: u32) -> String {
    format!("{PROGRAM}{id:010}")
}

pub(super) fn link_key(id: u64) -> String {
    format!("{LINK}{id:020}")
}

pub(super) fn encode<T: Encode>(key: &str, value: &T, limit: usize) -> Result<Vec<u8>, StoreError> {
    let body = ipc::codec::encode(value, limit).map_err(|_| StoreError::TooLarge {
        key: key.to_owned(),
    })?;
    let mut bytes = Vec::with_capacity(body.len() + 1);
    bytes.push(VERSION);
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

pub(super) fn decode<T: Decode<()>>(key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |reason: String| StoreError::Corrupt {
        key: key.to_owned(),
        reason,
    };
    match bytes.split_first() {
        Some((&VERSION, body)) => {
            ipc::codec::decode(body).map_err(|error| corrupt(error.to_string()))
        }
        Some((version, _)) => Err(corrupt(format!("version {version} of it is unknown"))),
        None => Err(corrupt("it is empty".into())),
    }
}
