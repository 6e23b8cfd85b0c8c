//! bpfman's programs on interfaces that have moved since: to another network namespace, or to another number.
//!
//! The kernel leaves on a moving interface what links hold there (XDP, tcx, netkit) and takes clsact off it. Records keep the
//! place at which a link was made, so such a program is on a hook of which there is no record. Its kernel id tells whose it
//! is, and the link behind the pin which number its interface has now ([`observe::moved_to`]).

use super::{AttachCommand, Engine};
use crate::hooks::{self, mprog_order};
use crate::network_namespace::NetworkPlace;
use crate::observe;
use ipc::messages::attach::{AttachSpec, LinkRecord};
use ipc::messages::chain::{Chain, HookEntry, HookKey, HookKind};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::mprog::{MprogHook, MprogPlace};
use std::path::Path;

impl Engine {
    /// The chain that was made elsewhere and whose head is this program, on XDP of this interface.
    pub(super) fn moved_chain(
        &self,
        program_id: u32,
        here: HookKey,
    ) -> Result<Option<Chain>, Failure> {
        let found = self.store.hooks()?.into_iter().find(|hook| {
            let key = hook.dispatcher.key;
            hook.dispatcher.program_id == program_id
                && key != here
                && (key.kind, here.kind) == (HookKind::Xdp, HookKind::Xdp)
                && observe::moved_to(&self.layout.hook_link(key), (key.nsid, key.ifindex))
                    == Some(here.ifindex)
        });
        found
            .map(|hook| self.chain(hook.dispatcher.key))
            .transpose()
    }

    /// What refuses an attach on XDP because of such a chain.
    pub(super) fn refusal_by_moved_chain(&self, program_id: u32, here: HookKey) -> Option<Failure> {
        let chain = self.moved_chain(program_id, here).ok().flatten()?;
        let links: Vec<String> = chain
            .members
            .iter()
            .map(|member| member.link_id.to_string())
            .collect();
        Some(hooks::xdp::taken_by_own(program_id, &links))
    }

    /// The refusal of an attach on a hook that the kernel orders, if the program is there by a link that was made elsewhere.
    pub(super) fn name_moved_link(
        &self,
        failure: Failure,
        command: &AttachCommand,
        place: Option<&NetworkPlace>,
    ) -> Failure {
        let hook = match &command.spec {
            AttachSpec::Tcx { direction, .. } => MprogHook::Tcx(*direction),
            AttachSpec::Netkit { hook, .. } => MprogHook::Netkit(*hook),
            _ => return failure,
        };
        let (Some(place), FailureCode::AlreadyExists, Ok(links)) =
            (place, failure.code, self.store.links())
        else {
            return failure;
        };
        let here = MprogPlace {
            hook,
            nsid: place.namespace.id(),
            ifindex: place.ifindex,
        };
        let by_another = mprog_order::siblings(&links, here)
            .iter()
            .any(|sibling| sibling.program_id == command.program_id);
        match moved_link(&links, command.program_id, here) {
            Some(link) if !by_another => hooks::mprog::taken_by_moved(command.program_id, link.id),
            _ => failure,
        }
    }
}

/// The link that was made elsewhere and by which this program is on a hook that the kernel orders.
pub(super) fn moved_link(
    links: &[LinkRecord],
    program_id: u32,
    here: MprogPlace,
) -> Option<&LinkRecord> {
    links.iter().find(|link| {
        let Some((made, _)) = link.details.mprog() else {
            return false;
        };
        let pin = Path::new(&link.pin_path);
        link.program_id == program_id
            && made.hook == here.hook
            && made != here
            && observe::moved_to(pin, (made.nsid, made.ifindex)) == Some(here.ifindex)
    })
}

/// Notes of an entry that its link was made elsewhere.
pub(super) fn mark(mut entry: HookEntry) -> HookEntry {
    if let Some(member) = &entry.member {
        entry.reason = format!(
            "bpfman's, but {}; detach link {}",
            hooks::MADE_ELSEWHERE,
            member.link_id
        );
        entry.has_moved = true;
    }
    entry
}
