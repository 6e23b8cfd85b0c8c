//! Changes of chains: attaching to one, calling it in another way, and (`leave`) detaching. Each makes a new revision of the
//! hook beside the old one and puts it in its place.

use super::attach::open_program;
use super::claims::{Key, Need};
use super::{AttachCommand, Engine, now};
use crate::chains::order::Rank;
use crate::chains::reach::{Elsewhere, Way};
use crate::chains::rebuild::{self, Change as Rebuild};
use crate::chains::records::{details, interface_of, placed, rank, revision_of};
use crate::chains::strategy::{self, Choice, Facts};
use crate::chains::work::{Member, Work};
use crate::chains::{direction, filter, fused, member::Parts, support};
use crate::execute::{Executor, Subject};
use crate::kernel::{info, map, pin};
use crate::layout::Layout;
use crate::network_namespace::{NetworkNamespace, NetworkPlace};
use crate::policy::Identity;
use crate::steps::Step;
use crate::store::Change;
use crate::store::intents::{Intent, Part, Row};
use crate::store::records::{CounterSlot, MemberForm, StoredHook, StoredProgram};
use ipc::messages::attach::{Link, LinkRecord};
use ipc::messages::chain::{Dispatcher, HookKey, Strategy};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::os::fd::AsFd;

/// What a hook is to be.
pub(super) struct Wanted<'a> {
    pub(super) key: HookKey,
    pub(super) interface: String,
    pub(super) netns: String,
    pub(super) requested: Option<Strategy>,
    pub(super) members: Vec<(LinkRecord, StoredProgram)>,
    pub(super) gone: Vec<Row>,
    /// The network namespace of a hook that has nothing yet.
    pub(super) namespace: Option<&'a NetworkNamespace>,
    pub(super) way: Way,
}

/// A new revision of a hook, made but not on it.
pub(super) struct Made<'a> {
    pub(super) executor: Executor<'a>,
    pub(super) steps: Vec<Step>,
    pub(super) change: Change,
    dispatcher: Dispatcher,
}

impl Engine {
    pub(super) async fn attach_to_chain(
        &self,
        caller: &Identity,
        command: &AttachCommand,
        stored: StoredProgram,
        place: &NetworkPlace,
    ) -> Result<Link, Failure> {
        let link_id = self.store.take_link_id();
        let (details, asked) = details(&command.spec, place)?;
        let key = details.hook().ok_or_else(|| no_chain(link_id))?;
        let interface = interface_of(&details);
        let record = LinkRecord {
            id: link_id,
            program_id: command.program_id,
            kernel_link_id: None,
            kind: stored.record.kind,
            pin_path: String::new(),
            details,
            created_at: now(),
            metadata: command.metadata.clone(),
        };
        let _coming = self.admit(&record, &stored)?;
        let name = stored.record.name.clone();
        let way = match direction(key.kind) {
            Some(_) => Way::prepare(&place.namespace, caller, &*self.helpers).await?,
            None => Way::Own,
        };
        let present = self.seen(self.store.hook(key)?, key, Some(way))?;
        let kept = present
            .hook
            .as_ref()
            .and_then(|hook| hook.dispatcher.requested);
        let mut members = self.with_programs(present.members.clone())?;
        members.push((record, stored));
        let wanted = Wanted {
            key,
            interface,
            netns: place.namespace.path().to_owned(),
            requested: asked.or(kept),
            members,
            gone: Vec::new(),
            namespace: Some(&place.namespace),
            way: present.way,
        };
        self.rebuild(present.hook, wanted).await?;
        tracing::info!(link = link_id, program = command.program_id, hook = %key.kind, "attached");
        let mut link = self.link(link_id)?;
        link.program_name = name;
        Ok(link)
    }

    /// Has a chain called in another way, or lets bpfman choose again.
    pub async fn convert(
        &self,
        key: HookKey,
        requested: Option<Strategy>,
    ) -> Result<Dispatcher, Failure> {
        let _claim = self
            .claim(|| Ok(vec![Need::alone(Key::Chain(key))]))
            .await?;
        let present = self.present(key).await?;
        let hook = present.hook.ok_or_else(|| no_hook(key))?;
        let wanted = Wanted {
            key,
            interface: hook.dispatcher.interface.clone(),
            netns: hook.dispatcher.netns.clone(),
            requested,
            members: self.with_programs(present.members)?,
            gone: Vec::new(),
            namespace: None,
            way: present.way,
        };
        self.rebuild(Some(hook), wanted).await
    }

    /// What is to be taken away with the record of a hook.
    pub(super) fn hook_part(&self, hook: &StoredHook) -> Result<Part, Failure> {
        let elsewhere = self.elsewhere(hook)?;
        Ok(Part {
            row: Row::Hook(hook.dispatcher.key),
            removals: rebuild::remove(&self.layout, &hook.dispatcher, elsewhere.as_ref()),
        })
    }

    pub(super) fn with_programs(
        &self,
        links: Vec<LinkRecord>,
    ) -> Result<Vec<(LinkRecord, StoredProgram)>, Failure> {
        links
            .into_iter()
            .map(|link| {
                let program = self.store.program(link.program_id)?;
                let program = program.ok_or_else(|| {
                    Failure::new(
                        FailureCode::FailedPrecondition,
                        Stage::Attach,
                        format!(
                            "program {} of link {} is not managed",
                            link.program_id, link.id
                        ),
                    )
                    .remedy("see `bpfmanctl doctor`")
                })?;
                Ok((link, program))
            })
            .collect()
    }

    pub(super) async fn rebuild(
        &self,
        before: Option<StoredHook>,
        wanted: Wanted<'_>,
    ) -> Result<Dispatcher, Failure> {
        let Made {
            mut executor,
            steps,
            change,
            dispatcher,
        } = self.make(before, wanted).await?;
        self.keep(&mut executor, steps, change).await?;
        Ok(dispatcher)
    }

    /// Makes a new revision of a hook, as descriptors, and says what is left to do.
    pub(super) async fn make<'a>(
        &'a self,
        before: Option<StoredHook>,
        wanted: Wanted<'a>,
    ) -> Result<Made<'a>, Failure> {
        let Wanted {
            key,
            interface,
            netns,
            requested,
            members,
            gone,
            namespace,
            way,
        } = wanted;
        let choice = choose(requested, &members)?;
        if before.is_none() {
            self.forget_dead_hook(key).await?;
        }
        let mut ranked: Vec<(Rank, LinkRecord, StoredProgram)> = members
            .into_iter()
            .map(|(link, program)| (rank(&link, &program, key.kind), link, program))
            .collect();
        ranked.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let slots = self.slots(key, before.as_ref(), choice.strategy, &ranked)?;
        let mut members = Vec::with_capacity(ranked.len());
        for (position, (rank, link, program)) in ranked.into_iter().enumerate() {
            let slot = slots.get(position).map_or(0, |slot| slot.slot as usize);
            members.push(open_member(rank, link, &program, choice.strategy, slot)?);
        }

        let revision = before.as_ref().map_or_else(
            || self.next_revision(key),
            |hook| Ok(hook.dispatcher.revision + 1),
        )?;
        let elsewhere = Elsewhere::of(&self.layout, key, &netns)?;
        let change = Rebuild {
            key,
            before: before.as_ref().map(|hook| &hook.dispatcher),
            members: members.len(),
            strategy: choice.strategy,
            revision,
            elsewhere: elsewhere.as_ref(),
        };
        let filter = filter::place(key, &interface, change.before, &way)?;
        let strategy = choice.strategy;
        let work = Work::new(key, interface.clone(), strategy, members, namespace, way);
        let mut executor = Executor::new(Subject::Chain(work), &*self.helpers, &self.faults);
        if let Err(failure) = executor.run(rebuild::create(&self.layout, change)).await {
            drop(executor);
            let place = (key, interface.as_str());
            return Err(self.name_occupant(failure, place, namespace).await);
        }

        let work = executor.chain()?;
        let head = work.head()?.id;
        let hook_link = match (work.hook(), change.before) {
            (Some(link), _) => Some(
                info::link(link)
                    .map_err(|error| error.into_failure(Stage::Attach, "the link on the hook"))?
                    .id,
            ),
            (None, before) => before.and_then(|before| before.kernel_link_id),
        };
        let mode = work.mode().or(change.before.and_then(|before| before.mode));
        let dispatcher = Dispatcher {
            key,
            interface,
            netns,
            strategy,
            requested,
            reason: choice.reason,
            mode: direction(key.kind).is_none().then_some(mode).flatten(),
            revision,
            program_id: head,
            kernel_link_id: hook_link,
            filter,
            member_count: u32::try_from(work.members().len()).unwrap_or(u32::MAX),
        };
        let own_links: Vec<u32> = work.links().map(|link| link.id).collect();
        let members = work.members().iter().enumerate();
        let links = members
            .map(|(position, member)| {
                let own = own_links.get(position).copied();
                placed(&self.layout, &member.link, &dispatcher, position, own)
            })
            .collect();
        let steps = rebuild::keep(&self.layout, change, head, filter, work.pins_counters());
        executor.forget_members();
        let removals = rebuild::outdated(&self.layout, change);
        let outdated = (!removals.is_empty()).then_some(Intent::Outdated { removals });
        let change = Change {
            links,
            hooks: vec![StoredHook {
                dispatcher: dispatcher.clone(),
                slots,
            }],
            gone,
            followed_by: outdated.into_iter().collect(),
            ..Change::default()
        };
        Ok(Made {
            executor,
            steps,
            change,
            dispatcher,
        })
    }

    /// Pins of a hook that is gone stand in the way of a new one.
    async fn forget_dead_hook(&self, key: HookKey) -> Result<(), Failure> {
        match self.store.hook(key)? {
            Some(hook) => self.take_away(vec![self.hook_part(&hook)?]).await,
            None => Ok(()),
        }
    }

    /// The first revision that no link on record belongs to.
    fn next_revision(&self, key: HookKey) -> Result<u32, Failure> {
        let links = self.store.links()?;
        let known = links
            .iter()
            .filter(|link| link.details.hook() == Some(key))
            .filter_map(|link| revision_of(&link.details));
        Ok(known.max().unwrap_or_default() + 1)
    }

    /// Rows of the counters: members keep theirs, new ones get one that is free, with what was counted there before.
    fn slots(
        &self,
        key: HookKey,
        before: Option<&StoredHook>,
        strategy: Strategy,
        members: &[(Rank, LinkRecord, StoredProgram)],
    ) -> Result<Vec<CounterSlot>, Failure> {
        if strategy != Strategy::Fused {
            return Ok(Vec::new());
        }
        let known = before
            .filter(|hook| hook.dispatcher.strategy == Strategy::Fused)
            .map_or(&[][..], |hook| &hook.slots);
        let present = counted(&self.layout, key)?;
        let taken: Vec<u32> = members
            .iter()
            .filter_map(|(_, link, _)| Some(slot_of(known, link.id)?.slot))
            .collect();
        let mut free = (0..).filter(|slot| !taken.contains(slot));
        let slots = members.iter().filter_map(|(_, link, _)| {
            if let Some(slot) = slot_of(known, link.id) {
                return Some(slot.clone());
            }
            let slot = free.next()?;
            let before = present.as_deref().map_or_else(Vec::new, |element| {
                fused::buckets(element, slot as usize).to_vec()
            });
            Some(CounterSlot {
                link_id: link.id,
                slot,
                before,
            })
        });
        Ok(slots.collect())
    }
}

/// The element of the counters of a hook; `None` where it does not count.
pub(super) fn counted(layout: &Layout, key: HookKey) -> Result<Option<Vec<u8>>, Failure> {
    let path = layout.hook_counters(key);
    let read = pin::get(&path).and_then(|counters| map::lookup(counters.as_fd(), &[0; 4]));
    match read {
        Ok(element) => Ok(Some(element)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into_failure(Stage::Query, path.display())),
    }
}

fn slot_of(slots: &[CounterSlot], link_id: u64) -> Option<&CounterSlot> {
    slots.iter().find(|slot| slot.link_id == link_id)
}

fn choose(
    requested: Option<Strategy>,
    members: &[(LinkRecord, StoredProgram)],
) -> Result<Choice, Failure> {
    let own_form = members.iter().find_map(|(_, program)| {
        let why = program.member.as_ref()?.own.as_deref()?;
        Some((program.record.name.as_str(), why))
    });
    let facts = Facts {
        members: members.len(),
        no_replacing: support::replacing().as_ref().err().map(String::as_str),
        own_form,
    };
    strategy::choose(requested, &facts)
}

fn open_member(
    rank: Rank,
    link: LinkRecord,
    stored: &StoredProgram,
    strategy: Strategy,
    slot: usize,
) -> Result<Member, Failure> {
    let form = stored.member.clone().unwrap_or(MemberForm {
        sections: None,
        own: None,
        has_frags: false,
    });
    let needs_parts = match strategy {
        Strategy::Libxdp => false,
        Strategy::Fused => true,
        Strategy::Direct => form.own.is_none(),
    };
    Ok(Member {
        rank,
        program: open_program(&stored.record.pin_path, stored.record.program_id)?,
        is_gpl: stored.record.gpl_compatible,
        form,
        parts: needs_parts.then(|| Parts::open(stored)).transpose()?,
        slot,
        link,
    })
}

fn no_chain(link_id: u64) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Attach,
        format!("link {link_id} is in no chain"),
    )
    .remedy("this is a fault of bpfman, please report it")
}

pub(super) fn no_hook(key: HookKey) -> Failure {
    Failure::new(
        FailureCode::NotFound,
        Stage::Query,
        format!(
            "there is no dispatcher {} on interface {} of network namespace {}",
            key.kind, key.ifindex, key.nsid
        ),
    )
    .remedy("see `bpfmanctl dispatcher list`")
}
