//! XDP programs of others: who is on an interface that bpfman was refused, or asked to show.

use super::Engine;
use crate::chains::foreign;
use crate::helpers::Done;
use crate::hooks;
use crate::kernel::netlink::Socket;
use crate::kernel::xdp_hook;
use crate::network_namespace;
use ipc::messages::chain::{ForeignDispatcher, HookEntry, HookView, InterfaceHook};
use ipc::messages::failure::Failure;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};

impl Engine {
    /// The refusal of an attach, with the names of those who are in the way. That is for people: what cannot be told (the
    /// program has gone meanwhile, there is no helper) is left out. `is_own`: the interface is in the loader's own network
    /// namespace.
    pub(super) async fn name_occupant(
        &self,
        refusal: Failure,
        (ifindex, interface): (u32, &str),
        is_own: bool,
    ) -> Failure {
        if !is_own || !hooks::xdp::is_refusal_of_a_taken_hook(&refusal) {
            return refusal;
        }
        let found = Socket::open().and_then(|socket| xdp_hook::programs(&socket, ifindex));
        let mut refusal = refusal;
        for program_id in found.unwrap_or_default() {
            let Ok((name, dispatcher)) = self.describe(program_id, ifindex).await else {
                continue;
            };
            let dispatcher = dispatcher.as_ref();
            let words = foreign::in_words(program_id, &name, dispatcher);
            refusal.cause = format!("{}: {words}", refusal.cause);
            refusal = refusal.remedy(foreign::remedy(interface, dispatcher));
        }
        refusal
    }

    /// Adds names to what was found on an XDP hook, and shows a dispatcher of somebody else as its members.
    pub(super) async fn name_foreign(&self, ifindex: u32, views: &mut [HookView]) {
        for view in views {
            if view.hook == InterfaceHook::Xdp {
                self.name_on_xdp(view, ifindex).await;
            }
        }
    }

    async fn name_on_xdp(&self, view: &mut HookView, ifindex: u32) {
        let mut entries = Vec::with_capacity(view.entries.len());
        for mut entry in std::mem::take(&mut view.entries) {
            if entry.member.is_none() {
                match self.describe(entry.program_id, ifindex).await {
                    Ok((_, Some(dispatcher))) if !dispatcher.members.is_empty() => {
                        entries.extend(members(&dispatcher));
                        view.foreign = Some(dispatcher);
                        continue;
                    }
                    Ok((name, dispatcher)) => {
                        entry.name = name;
                        view.foreign = dispatcher;
                    }
                    Err(failure) => {
                        tracing::debug!(%failure, "a program of somebody else stays without a name");
                    }
                }
            }
            entries.push(entry);
        }
        view.entries = entries;
    }

    async fn describe(
        &self,
        program_id: u32,
        ifindex: u32,
    ) -> Result<(String, Option<ForeignDispatcher>), Failure> {
        let job = HelperJob::DescribeXdp {
            program_id,
            ifindex,
        };
        let done = self.helpers.run(HelperKind::DescribeXdp, job, Vec::new());
        match done.await? {
            Done {
                result: HelperResult::XdpProgram { name, dispatcher },
                ..
            } => Ok((name, dispatcher)),
            other => Err(network_namespace::unfit(&other)),
        }
    }
}

fn members(dispatcher: &ForeignDispatcher) -> Vec<HookEntry> {
    let members = dispatcher.members.iter().enumerate();
    let entry = members.map(|(position, member)| HookEntry {
        program_id: member.program_id.unwrap_or_default(),
        name: member.name.clone(),
        member: None,
        reason: format!(
            "not bpfman's; in slot {position} of a dispatcher of libxdp's protocol (program {}), priority {}",
            dispatcher.program_id, member.priority
        ),
    });
    entry.collect()
}
