//! The store: what is wanted, as records in RocksDB.
//!
//! One value per record (a version byte, then [`ipc::codec`]), one write batch per command, committed with an fsync.
//! Records are not cached: the database's own block cache is enough for a few thousand of them.
//!
//! | key | value |
//! |---|---|
//! | `program/<id>` | [`StoredProgram`] |
//! | `link/<id>` | [`LinkRecord`] |
//! | `hook/<kind>/<nsid>/<ifindex>` | [`StoredHook`] |
//! | `intent/<n>` | [`Intent`] |
//! | `meta/schema` | version of the whole store |
//! | `meta/next_link_id` | the next link id, never taken back |
//!
//! Numbers in keys are padded, so that the order of keys is the order of ids.

mod error;
pub mod intents;
mod map_sets;
pub mod records;

pub use error::StoreError;

use crate::limits;
use crate::poison;
use intents::{Intent, IntentNumber, Row};
use ipc::messages::attach::LinkRecord;
use ipc::messages::chain::HookKey;
use map_sets::MapSets;
use records::{StoredHook, StoredProgram};
use rocksdb::{BlockBasedOptions, Cache, DB, IteratorMode, Options, WriteBatch, WriteOptions};
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

/// Version of the keys and their meaning. A store of a newer one is left alone.
pub const SCHEMA: u32 = 1;

const SCHEMA_KEY: &str = "meta/schema";
const NEXT_LINK_KEY: &str = "meta/next_link_id";
const MEGABYTE: usize = 1024 * 1024;

/// The open database. It has one owner, the engine, whose changes read and write it beside one another.
pub struct Store {
    database: DB,
    next: Mutex<Next>,
    /// Held for writing while a batch of records is written.
    records: RwLock<()>,
    map_sets: Mutex<MapSets>,
}

/// Numbers that are given out.
struct Next {
    link: u64,
    intent: IntentNumber,
}

/// What one command changes. All of it is written, or nothing.
#[derive(Debug, Default)]
pub struct Change {
    /// Records of programs, new or changed.
    pub programs: Vec<StoredProgram>,
    /// Records of links, new or changed.
    pub links: Vec<LinkRecord>,
    /// Records of hooks, new or changed.
    pub hooks: Vec<StoredHook>,
    /// Records that go.
    pub gone: Vec<Row>,
    /// The intent that this finishes.
    pub finished: Option<IntentNumber>,
    /// What is to be done next, whatever happens.
    pub followed_by: Vec<Intent>,
}

impl Store {
    /// Opens the store in a directory, making it when it is not there. A store that cannot be understood is an error:
    /// nothing is ever wiped.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let database = DB::open(&options()?, directory).map_err(|error| StoreError::Open {
            path: directory.display().to_string(),
            reason: error.to_string(),
        })?;
        let store = Self {
            database,
            next: Mutex::new(Next { link: 1, intent: 1 }),
            records: RwLock::new(()),
            map_sets: Mutex::default(),
        };
        match store.get::<u32>(SCHEMA_KEY)? {
            Some(SCHEMA) => {}
            Some(found) if found > SCHEMA => {
                return Err(StoreError::Newer {
                    found,
                    known: SCHEMA,
                });
            }
            Some(found) => {
                return Err(StoreError::Older {
                    found,
                    known: SCHEMA,
                });
            }
            // Written with an fsync before the first record: a store with records has a version.
            None if store.is_empty()? => {
                let mut batch = WriteBatch::default();
                put(&mut batch, SCHEMA_KEY, &SCHEMA)?;
                store.write(batch, true)?;
            }
            None => {
                return Err(StoreError::Corrupt {
                    key: SCHEMA_KEY.into(),
                    reason: "missing".into(),
                });
            }
        }
        *poison::lock(&store.next) = Next {
            link: store.get(NEXT_LINK_KEY)?.unwrap_or(1),
            intent: store.intents()?.last().map_or(1, |(number, _)| number + 1),
        };
        for program in store.programs()? {
            poison::lock(&store.map_sets).add(&program);
        }
        Ok(store)
    }

    /// All programs, ascending by id.
    pub fn programs(&self) -> Result<Vec<StoredProgram>, StoreError> {
        Ok(self
            .scan(records::PROGRAM)?
            .into_iter()
            .map(|(_, value)| value)
            .collect())
    }

    /// One program.
    pub fn program(&self, id: u32) -> Result<Option<StoredProgram>, StoreError> {
        self.get(&records::program_key(id))
    }

    /// The programs that use a map set, ascending by id.
    pub fn map_set_users(&self, set: u32) -> Vec<u32> {
        poison::lock(&self.map_sets).users(set)
    }

    /// All links, ascending by id.
    pub fn links(&self) -> Result<Vec<LinkRecord>, StoreError> {
        Ok(self
            .scan(records::LINK)?
            .into_iter()
            .map(|(_, value)| value)
            .collect())
    }

    /// One link.
    pub fn link(&self, id: u64) -> Result<Option<LinkRecord>, StoreError> {
        self.get(&records::link_key(id))
    }

    /// All hooks, by kind, namespace and interface.
    pub fn hooks(&self) -> Result<Vec<StoredHook>, StoreError> {
        Ok(self
            .scan(records::HOOK)?
            .into_iter()
            .map(|(_, value)| value)
            .collect())
    }

    /// One hook.
    pub fn hook(&self, key: HookKey) -> Result<Option<StoredHook>, StoreError> {
        self.get(&records::hook_key(key))
    }

    /// An id for a new link. It is used up in this process; for the next one, if [`Store::begin`] writes it down.
    pub fn take_link_id(&self) -> u64 {
        let mut next = poison::lock(&self.next);
        next.link += 1;
        next.link - 1
    }

    /// While this is held no record changes.
    pub fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All intents, oldest first. There is more than one only when taking one back failed.
    pub fn intents(&self) -> Result<Vec<(IntentNumber, Intent)>, StoreError> {
        self.scan(intents::INTENT)?
            .into_iter()
            .map(|(key, value)| match intents::number(&key) {
                Some(number) => Ok((number, value)),
                None => Err(StoreError::Corrupt {
                    key,
                    reason: "not a number".into(),
                }),
            })
            .collect()
    }

    /// Writes down what is about to be done, before anything that outlives the process is. No fsync: what a power loss
    /// takes from the store it takes from bpffs too. Ids of links that were taken are used up for good by this, whatever
    /// becomes of the intent.
    pub fn begin(&self, intent: &Intent) -> Result<IntentNumber, StoreError> {
        let mut next = poison::lock(&self.next);
        let number = next.intent;
        let mut batch = WriteBatch::default();
        put(&mut batch, &intents::key(number), intent)?;
        put(&mut batch, NEXT_LINK_KEY, &next.link)?;
        self.write(batch, false)?;
        next.intent += 1;
        Ok(number)
    }

    /// Writes what was done, and that it is finished. Returns the numbers of the intents that follow.
    pub fn commit(&self, change: &Change) -> Result<Vec<IntentNumber>, StoreError> {
        let mut batch = WriteBatch::default();
        // Deletions first: a record that supersedes another has the same key.
        for row in &change.gone {
            batch.delete(row.key());
        }
        for program in &change.programs {
            put(
                &mut batch,
                &records::program_key(program.record.program_id),
                program,
            )?;
        }
        for link in &change.links {
            put(&mut batch, &records::link_key(link.id), link)?;
        }
        for hook in &change.hooks {
            put(&mut batch, &records::hook_key(hook.dispatcher.key), hook)?;
        }
        if let Some(number) = change.finished {
            batch.delete(intents::key(number));
        }
        let mut followers = Vec::with_capacity(change.followed_by.len());
        for intent in &change.followed_by {
            let number = self.take_intent();
            put(&mut batch, &intents::key(number), intent)?;
            followers.push(number);
        }
        let _alone = self.records.write().unwrap_or_else(PoisonError::into_inner);
        self.write(batch, true)?;
        let mut map_sets = poison::lock(&self.map_sets);
        for row in &change.gone {
            if let Row::Program(id) = row {
                map_sets.remove(*id);
            }
        }
        for program in &change.programs {
            map_sets.add(program);
        }
        Ok(followers)
    }

    fn take_intent(&self) -> IntentNumber {
        let mut next = poison::lock(&self.next);
        next.intent += 1;
        next.intent - 1
    }

    fn get<T: bincode::Decode<()>>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let found = self.database.get_pinned(key).map_err(StoreError::read)?;
        found.map(|value| records::decode(key, &value)).transpose()
    }

    fn scan<T: bincode::Decode<()>>(&self, prefix: &str) -> Result<Vec<(String, T)>, StoreError> {
        let start = IteratorMode::From(prefix.as_bytes(), rocksdb::Direction::Forward);
        let mut found = Vec::new();
        for item in self.database.iterator(start) {
            let (key, value) = item.map_err(StoreError::read)?;
            if !key.starts_with(prefix.as_bytes()) {
                break;
            }
            let key = String::from_utf8_lossy(&key).into_owned();
            let value = records::decode(&key, &value)?;
            found.push((key, value));
        }
        Ok(found)
    }

    fn is_empty(&self) -> Result<bool, StoreError> {
        match self.database.iterator(IteratorMode::Start).next() {
            None => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(error)) => Err(StoreError::read(error)),
        }
    }

    fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.database
            .write_opt(batch, &options)
            .map_err(|error| StoreError::Write(error.to_string()))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

fn put<T: bincode::Encode>(batch: &mut WriteBatch, key: &str, value: &T) -> Result<(), StoreError> {
    batch.put(key, records::encode(key, value, limits::RECORD_BYTES)?);
    Ok(())
}

/// Small: the store holds kilobytes, and all of bpfman is to stay under 40 MiB.
fn options() -> Result<Options, StoreError> {
    let mut blocks = BlockBasedOptions::default();
    let cache = Cache::new_lru_cache(MEGABYTE).map_err(|error| StoreError::Open {
        path: String::new(),
        reason: error.to_string(),
    })?;
    blocks.set_block_cache(&cache);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(MEGABYTE);
    options.set_max_open_files(32);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    Ok(options)
}

#[cfg(test)]
mod tests;
