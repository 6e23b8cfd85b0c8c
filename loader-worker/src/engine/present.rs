//! What is on a hook whose chain is to be changed, and the way there.

use super::Engine;
use crate::chains::presence;
use crate::chains::reach::{Elsewhere, Way};
use crate::chains::records::revision_of;
use crate::layout::Layout;
use crate::store::records::StoredHook;
use ipc::messages::attach::{LinkDetails, LinkRecord};
use ipc::messages::chain::{Dispatcher, HookKey};
use ipc::messages::failure::{Failure, Stage};

/// A hook as a change finds it.
#[derive(Debug)]
pub(super) struct Present {
    /// The record, if there is something on the hook.
    pub(super) hook: Option<StoredHook>,
    /// The links of its members.
    pub(super) members: Vec<LinkRecord>,
    /// The way there.
    pub(super) way: Way,
}

impl Engine {
    /// What is on a hook. A record whose hook is gone (with its interface, or by somebody else's hand) counts as nothing;
    /// its links stay on record until they are detached.
    pub(super) async fn present(&self, key: HookKey) -> Result<Present, Failure> {
        let hook = self.store.hook(key)?;
        let way = match &hook {
            Some(hook) => {
                let way = Way::to(self.elsewhere(hook)?.as_ref(), &*self.helpers).await;
                way.map_err(|failure| self.with_keepers(failure, key.nsid))?
            }
            None => None,
        };
        self.seen(hook, key, way)
    }

    /// A namespace that is not found lives on through links of bpfman's own, too: those of netfilter.
    fn with_keepers(&self, failure: Failure, namespace: u64) -> Failure {
        let links = self.store.links().unwrap_or_default();
        let keepers: Vec<String> = links
            .iter()
            .filter(|link| matches!(link.details, LinkDetails::Netfilter { nsid, .. } if nsid == namespace))
            .map(|link| link.id.to_string())
            .collect();
        if failure.stage != Stage::Resolve || keepers.is_empty() {
            return failure;
        }
        let remedy = format!(
            "detach what bpfman has on netfilter there, which keeps it alive (link {}), and repeat; or {}",
            keepers.join(", "),
            failure.remedy
        );
        failure.remedy(remedy)
    }

    /// The same by a way that is known; `None` where it leads nowhere any more.
    pub(super) fn seen(
        &self,
        hook: Option<StoredHook>,
        key: HookKey,
        way: Option<Way>,
    ) -> Result<Present, Failure> {
        let hook = match hook {
            Some(hook) if is_live(&self.layout, &hook, way.as_ref())? => Some(hook),
            _ => None,
        };
        let revision = hook.as_ref().map(|hook| hook.dispatcher.revision);
        let mut members = self.store.links()?;
        members.retain(|link| {
            link.details.hook() == Some(key)
                && revision.is_some()
                && revision_of(&link.details) == revision
        });
        Ok(Present {
            hook,
            members,
            way: way.unwrap_or(Way::Own),
        })
    }

    pub(super) fn elsewhere(&self, hook: &StoredHook) -> Result<Option<Elsewhere>, Failure> {
        let Dispatcher { key, netns, .. } = &hook.dispatcher;
        Elsewhere::of(&self.layout, *key, netns)
    }
}

fn is_live(layout: &Layout, hook: &StoredHook, way: Option<&Way>) -> Result<bool, Failure> {
    presence::is_live(layout, &hook.dispatcher, way).map_err(|error| {
        let what = format!(
            "the {} hook of {}",
            hook.dispatcher.key.kind, hook.dispatcher.interface
        );
        error.into_failure(Stage::Query, what)
    })
}
