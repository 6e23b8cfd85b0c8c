//! Which programs use which map set: derived from the records, kept so that one program can be told without reading all.

use super::records::StoredProgram;
use std::collections::{BTreeMap, BTreeSet};

/// Programs by the map set that they use.
#[derive(Debug, Default)]
pub(super) struct MapSets {
    users: BTreeMap<u32, BTreeSet<u32>>,
    /// The other way round, for records that go.
    used: BTreeMap<u32, u32>,
}

impl MapSets {
    /// A record is there. Which set a program uses never changes, but its id may be given to another.
    pub(super) fn add(&mut self, program: &StoredProgram) {
        let id = program.record.program_id;
        self.remove(id);
        self.users.entry(program.map_set()).or_default().insert(id);
        self.used.insert(id, program.map_set());
    }

    /// A record is gone.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(set) = self.used.remove(&id) else {
            return;
        };
        if let Some(users) = self.users.get_mut(&set) {
            users.remove(&id);
            if users.is_empty() {
                self.users.remove(&set);
            }
        }
    }

    /// Ascending.
    pub(super) fn users(&self, set: u32) -> Vec<u32> {
        let users = self.users.get(&set);
        users.into_iter().flatten().copied().collect()
    }
}
