//! XDP programs of others: who is on an interface that bpfman was refused, or asked to show.

use super::Engine;
use crate::chains::foreign;
use crate::chains::reach::Way;
use crate::helpers::Done;
use crate::hooks;
use crate::kernel::xdp_hook;
use crate::network_namespace::{self, NetworkNamespace};
use ipc::messages::attach::{LinkDetails, LinkRecord};
use ipc::messages::chain::{
    DispatcherMember, ForeignDispatcher, ForeignMember, HookEntry, HookKey, HookView, InterfaceHook,
};
use ipc::messages::failure::Failure;
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};

impl Engine {
    /// The refusal of an attach, with the names of those who are in the way. That is for people: what cannot be told (the
    /// program has gone meanwhile, there is no helper) is left out.
    pub(super) async fn name_occupant(
        &self,
        refusal: Failure,
        (key, interface): (HookKey, &str),
        namespace: Option<&NetworkNamespace>,
    ) -> Failure {
        if !hooks::xdp::is_refusal_of_a_taken_hook(&refusal) {
            return refusal;
        }
        let ifindex = key.ifindex;
        let way = match namespace {
            Some(namespace) => Way::into(namespace, &*self.helpers).await,
            None => Ok(Way::Own),
        };
        let found = way
            .ok()
            .and_then(|way| way.with(|socket| xdp_hook::programs(socket, ifindex)).ok());
        let mut refusal = refusal;
        for program_id in found.unwrap_or_default() {
            if let Some(by_own) = self.refusal_by_moved_chain(program_id, key) {
                return by_own;
            }
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
                        entries.extend(self.members(&dispatcher));
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

    /// Members of a dispatcher of somebody else, of which some may be bpfman's.
    fn members(&self, dispatcher: &ForeignDispatcher) -> Vec<HookEntry> {
        let links = self.store.links().unwrap_or_default();
        let members = dispatcher.members.iter().enumerate();
        let entry = members.map(|(position, member)| {
            let program_id = member.program_id.unwrap_or_default();
            let own = links.iter().find(|link| {
                link.program_id == program_id && is_in(&link.details, dispatcher.program_id)
            });
            let whose = match own {
                Some(link) => format!("bpfman's, link {}", link.id),
                None => "not bpfman's".to_owned(),
            };
            HookEntry {
                program_id,
                name: member.name.clone(),
                member: own.map(|link| guest(link, position, member)),
                reason: format!(
                    "{whose}; in slot {position} of a dispatcher of libxdp's protocol (program {}), priority {}",
                    dispatcher.program_id, member.priority
                ),
                has_moved: false,
            }
        });
        entry.collect()
    }
}

fn is_in(details: &LinkDetails, dispatcher: u32) -> bool {
    matches!(details, LinkDetails::XdpGuest { dispatcher_id, .. } if *dispatcher_id == dispatcher)
}

fn guest(link: &LinkRecord, position: usize, member: &ForeignMember) -> DispatcherMember {
    DispatcherMember {
        program_id: link.program_id,
        program_name: member.name.clone(),
        program_pin: String::new(),
        link_id: link.id,
        kernel_link_id: link.kernel_link_id,
        link_pin: link.pin_path.clone(),
        position: u32::try_from(position).unwrap_or(u32::MAX),
        // What bpfman gave is not negative and has 31 bits.
        priority: i32::try_from(member.priority).unwrap_or(i32::MAX),
        proceed_on: member.proceed_on,
        metadata: link.metadata.clone(),
        counters: None,
    }
}
