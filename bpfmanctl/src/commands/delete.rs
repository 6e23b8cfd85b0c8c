//! `program delete`, `link delete`, `dispatcher delete`: commands that take away what hangs together.

use super::Service;
use crate::batch::Batch;
use crate::cli::{DispatcherKeyArgs, LinkDeleteArgs, ProgramDeleteArgs};
use crate::client::{Client, ClientError};
use crate::console::Console;
use crate::exit::Error;
use ipc::messages::chain::HookKey;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn programs(
    arguments: &ProgramDeleteArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    let sharing = Sharing::ask(&mut client)?;
    let ids = if arguments.all {
        sharing.programs()
    } else {
        arguments.ids.clone()
    };
    let mut removal = Removal {
        recursive: arguments.recursive || arguments.all,
        sharing,
        removed: BTreeSet::new(),
    };
    let ids = removal.sharing.users_first(&ids);
    batch("program").run(&ids, console, |id| removal.remove(&mut client, id))
}

pub(super) fn links(
    arguments: &LinkDeleteArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    let mut removal = Removal {
        recursive: arguments.recursive,
        sharing: Sharing::ask(&mut client)?,
        removed: BTreeSet::new(),
    };
    let mut ids = arguments.ids.clone();
    let mut seen = BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    // Of a program with several links the last one that is deleted takes it along.
    batch("link").run(&ids, console, |id| {
        let program_id = client.link(id)?.record.program_id;
        client.detach(id)?;
        if client.program(program_id)?.links.is_empty() {
            removal.remove(&mut client, program_id)?;
        }
        Ok(())
    })
}

/// A record of a hook is never without members: there is nothing to clean up, and kernel and record go together.
pub(super) fn dispatcher(arguments: DispatcherKeyArgs, service: &Service) -> Result<(), Error> {
    let key = HookKey::from(arguments);
    let chain = service.connect()?.dispatcher(key)?;
    let links: Vec<String> = chain
        .members
        .iter()
        .map(|member| member.link_id.to_string())
        .collect();
    let cause = format!(
        "the dispatcher {} nsid={} ifindex={} has {} member(s), and goes with the last one",
        key.kind,
        key.nsid,
        key.ifindex,
        links.len()
    );
    let failure = Failure::new(FailureCode::FailedPrecondition, Stage::Request, cause);
    Err(failure
        .remedy(format!("run `bpfmanctl link detach {}`", links.join(" ")))
        .into())
}

fn batch(noun: &'static str) -> Batch {
    Batch {
        noun,
        verb: "delete",
        ignore_missing: false,
    }
}

/// Which program uses the maps of which.
struct Sharing {
    /// Owner of the maps, of every program.
    owners: BTreeMap<u32, Option<u32>>,
}

impl Sharing {
    fn ask(client: &mut Client) -> Result<Self, ClientError> {
        let programs = client.programs()?;
        let owners = programs
            .into_iter()
            .map(|entry| (entry.record.program_id, entry.record.map_owner))
            .collect();
        Ok(Self { owners })
    }

    fn programs(&self) -> Vec<u32> {
        self.owners.keys().copied().collect()
    }

    /// How many owners a program has above it. An owner that is gone counts, too; a circle, which no service reports,
    /// ends where it begins.
    fn depth(&self, id: u32) -> usize {
        let mut seen = BTreeSet::from([id]);
        let mut at = id;
        while let Some(Some(owner)) = self.owners.get(&at) {
            if !seen.insert(*owner) {
                break;
            }
            at = *owner;
        }
        seen.len()
    }

    /// Every id once, users of maps before their owners.
    fn users_first(&self, ids: &[u32]) -> Vec<u32> {
        let ids: BTreeSet<u32> = ids.iter().copied().collect();
        let mut ids: Vec<u32> = ids.into_iter().collect();
        ids.sort_by_key(|id| std::cmp::Reverse(self.depth(*id)));
        ids
    }

    /// The programs that use the maps of one, directly or through another one, those farthest from it first.
    fn users(&self, id: u32) -> Vec<u32> {
        let mut users = BTreeSet::new();
        let mut found = BTreeSet::from([id]);
        while !found.is_empty() {
            found = self
                .owners
                .iter()
                .filter(|(user, owner)| {
                    owner.is_some_and(|owner| found.contains(&owner)) && !users.contains(*user)
                })
                .map(|(user, _)| *user)
                .collect();
            users.extend(&found);
        }
        users.remove(&id);
        self.users_first(&users.into_iter().collect::<Vec<_>>())
    }
}

/// What one command has taken away already.
struct Removal {
    recursive: bool,
    sharing: Sharing,
    removed: BTreeSet<u32>,
}

impl Removal {
    /// One program, and with `recursive` before it those that use its maps.
    fn remove(&mut self, client: &mut Client, id: u32) -> Result<(), ClientError> {
        let users = if self.recursive {
            self.sharing.users(id)
        } else {
            Vec::new()
        };
        for id in users.into_iter().chain([id]) {
            if !self.removed.contains(&id) {
                client.unload(id)?;
                self.removed.insert(id);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharing(owners: &[(u32, Option<u32>)]) -> Sharing {
        Sharing {
            owners: owners.iter().copied().collect(),
        }
    }

    #[test]
    fn users_come_before_owners() {
        // 3 uses the maps of 2, which uses those of 1; 5 and 4 use those of 1.
        let sharing = sharing(&[
            (1, None),
            (2, Some(1)),
            (3, Some(2)),
            (4, Some(1)),
            (5, Some(1)),
        ]);
        assert_eq!(sharing.users(1), [3, 2, 4, 5]);
        assert_eq!(sharing.users(2), [3]);
        assert_eq!(sharing.users(9), [0_u32; 0]);
        assert_eq!(sharing.users_first(&[1, 2, 1, 3]), [3, 2, 1]);
    }

    #[test]
    fn circles_and_lost_owners_end() {
        let circle = sharing(&[(1, Some(2)), (2, Some(1)), (3, Some(3)), (4, Some(9))]);
        assert_eq!(circle.users(1), [2]);
        assert_eq!(circle.users(3), [0_u32; 0]);
        assert_eq!(circle.users_first(&[4, 3]), [4, 3]);
        assert_eq!(circle.users(9), [4]);
    }
}
