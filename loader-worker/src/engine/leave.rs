//! Taking links off chains: of one hook, or of all hooks of a program at once.

use super::Engine;
use super::chain::Wanted;
use super::present::Present;
use crate::limits::HOOKS_AT_ONCE;
use crate::store::Change;
use crate::store::intents::{Intent, Part, Row};
use crate::store::records::StoredHook;
use ipc::messages::attach::LinkRecord;
use ipc::messages::chain::HookKey;
use ipc::messages::failure::Failure;
use std::collections::BTreeSet;

/// What is to be done at a hook that is left.
enum Leave {
    /// Others stay: a new revision without the links that go.
    Rebuild(Box<StoredHook>, Box<Wanted<'static>>),
    /// Nobody stays.
    TakeAway(Vec<Part>),
}

impl Engine {
    /// Takes a link off its chain; the others stay as they are.
    pub(super) async fn detach_from_chain(
        &self,
        link: &LinkRecord,
        key: HookKey,
    ) -> Result<(), Failure> {
        match self.leave(key, |other| other.id == link.id).await? {
            Leave::Rebuild(hook, wanted) => self.rebuild(Some(*hook), *wanted).await.map(drop),
            Leave::TakeAway(parts) => self.take_away(parts).await,
        }
    }

    /// Takes a program off all its chains, and then takes away these parts, in one step: the hooks where others stay are
    /// changed first, and are all as before when that fails with one of them. The commit after that decides; what was
    /// the program's alone goes next, and is gone after a crash too. Of more hooks than can be held open the first are
    /// left in steps of their own.
    pub(super) async fn leave_chains(
        &self,
        program_id: u32,
        links: &[LinkRecord],
        parts: Vec<Part>,
    ) -> Result<(), Failure> {
        let hooks = links.iter().filter_map(|link| link.details.hook());
        let (mut shared, mut gone) = (Vec::new(), Vec::new());
        for key in hooks.collect::<BTreeSet<HookKey>>() {
            match self
                .leave(key, |link| link.program_id == program_id)
                .await?
            {
                Leave::Rebuild(hook, wanted) => shared.push((*hook, *wanted)),
                Leave::TakeAway(parts) => gone.extend(parts),
            }
        }
        gone.extend(parts);
        while shared.len() > HOOKS_AT_ONCE {
            let first = shared.drain(..HOOKS_AT_ONCE).collect();
            self.leave_together(first, Vec::new()).await?;
        }
        if shared.is_empty() {
            return self.take_away(gone).await;
        }
        self.leave_together(shared, gone).await
    }

    async fn leave_together(
        &self,
        hooks: Vec<(StoredHook, Wanted<'_>)>,
        gone: Vec<Part>,
    ) -> Result<(), Failure> {
        let mut made = Vec::with_capacity(hooks.len());
        for (hook, wanted) in hooks {
            made.push(self.make(Some(hook), wanted).await?);
        }
        let mut change = Change::default();
        let mut works = Vec::with_capacity(made.len());
        for one in &mut made {
            change.links.append(&mut one.change.links);
            change.hooks.append(&mut one.change.hooks);
            change.gone.append(&mut one.change.gone);
            change.followed_by.append(&mut one.change.followed_by);
            works.push((&mut one.executor, std::mem::take(&mut one.steps)));
        }
        if !gone.is_empty() {
            change.followed_by.push(Intent::Forward { parts: gone });
        }
        self.keep_all(works, change).await
    }

    async fn leave(
        &self,
        key: HookKey,
        goes: impl Fn(&LinkRecord) -> bool,
    ) -> Result<Leave, Failure> {
        let Present { hook, members, way } = self.present(key).await?;
        let mut links = self.store.links()?;
        links.retain(|link| link.details.hook() == Some(key));
        let (own, others): (Vec<_>, Vec<_>) = links.into_iter().partition(&goes);
        let rows = own.iter().map(|link| Row::Link(link.id));
        let is_member = members.iter().any(&goes);
        let survivors: Vec<_> = members.into_iter().filter(|link| !goes(link)).collect();
        let hook = match hook.filter(|_| is_member) {
            Some(hook) if !survivors.is_empty() => {
                let wanted = Wanted {
                    key,
                    interface: hook.dispatcher.interface.clone(),
                    netns: hook.dispatcher.netns.clone(),
                    requested: hook.dispatcher.requested,
                    members: self.with_programs(survivors)?,
                    gone: rows.collect(),
                    namespace: None,
                    way,
                };
                return Ok(Leave::Rebuild(Box::new(hook), Box::new(wanted)));
            }
            Some(hook) => Some(hook),
            // The hook is gone, and with it whatever ran there. Its record goes with the last of its links.
            None if others.is_empty() => self.store.hook(key)?,
            None => None,
        };
        let hook = hook.map(|hook| self.hook_part(&hook)).transpose()?;
        let links = rows.map(|row| Part {
            row,
            removals: Vec::new(),
        });
        Ok(Leave::TakeAway(hook.into_iter().chain(links).collect()))
    }
}
