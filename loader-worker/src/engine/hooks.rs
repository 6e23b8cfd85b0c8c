//! Looking hooks up: bpfman's chains, and everything else on the hooks of an interface.

use super::chain::{counted, no_hook};
use super::moved::{mark, moved_link};
use super::{Engine, NamespaceFile};
use crate::chains::reach::Way;
use crate::chains::{explain, fused, verdicts};
use crate::helpers::Done;
use crate::hooks::{mprog, mprog_order};
use crate::kernel::{Error, clsact, probe, xdp_hook};
use crate::network_namespace::{NetworkPlace, unfit};
use crate::store::records::StoredHook;
use ipc::messages::attach::{Direction, LinkDetails, LinkRecord};
use ipc::messages::chain::{
    Chain, Dispatcher, DispatcherMember, HookEntry, HookKey, HookKind, HookView, InterfaceHook,
    SlotCounters,
};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::mprog::{MprogHook, MprogPlace, NetkitHook};

/// Hooks that the kernel orders.
const MPROG: [MprogHook; 4] = [
    MprogHook::Tcx(Direction::Ingress),
    MprogHook::Tcx(Direction::Egress),
    MprogHook::Netkit(NetkitHook::Primary),
    MprogHook::Netkit(NetkitHook::Peer),
];

/// What is on such hooks.
enum Present {
    /// In the loader's own network namespace: the kernel is asked when it is looked at.
    Here,
    /// In another one, as the helper found it; `None` where the interface has no such hook.
    There(Vec<(MprogHook, Option<Vec<u32>>)>),
}

impl Present {
    fn on(&self, ifindex: u32, hook: MprogHook) -> Result<Option<Vec<u32>>, Failure> {
        match self {
            Present::Here => mprog::programs(ifindex, hook),
            Present::There(found) => Ok(found
                .iter()
                .find(|(known, _)| *known == hook)
                .and_then(|(_, programs)| programs.clone())),
        }
    }
}

fn is_known(hook: MprogHook) -> bool {
    match hook {
        MprogHook::Tcx(_) => probe::tcx().is_ok(),
        MprogHook::Netkit(_) => probe::netkit().is_ok(),
    }
}

impl Engine {
    /// All hooks, by kind, namespace and interface.
    pub fn dispatchers(&self) -> Result<Vec<Dispatcher>, Failure> {
        let hooks = self.store.hooks()?;
        Ok(hooks.into_iter().map(|hook| hook.dispatcher).collect())
    }

    /// A hook with its members, in the order of the chain.
    pub fn chain(&self, key: HookKey) -> Result<Chain, Failure> {
        let hook = self.store.hook(key)?.ok_or_else(|| no_hook(key))?;
        let counted = counted(&self.layout, key)?;
        let mut members = Vec::new();
        for link in self.store.links()? {
            let place = place(&link);
            let Some((position, priority, verdicts, revision)) = place else {
                continue;
            };
            if link.details.hook() != Some(key) || revision != hook.dispatcher.revision {
                continue;
            }
            let program = self.store.program(link.program_id)?;
            let (name, pin) = program.map_or_else(Default::default, |program| {
                (program.record.name, program.record.pin_path)
            });
            members.push(DispatcherMember {
                program_id: link.program_id,
                program_name: name,
                program_pin: pin,
                link_id: link.id,
                kernel_link_id: link.kernel_link_id,
                proceed_on: verdicts::mask(key.kind, verdicts),
                position,
                priority,
                counters: counters(&hook, link.id, counted.as_deref()),
                link_pin: link.pin_path,
                metadata: link.metadata,
            });
        }
        members.sort_by_key(|member| member.position);
        Ok(Chain {
            dispatcher: hook.dispatcher,
            members,
        })
    }
}

impl Engine {
    /// Everything on the hooks of an interface, in the order in which it runs.
    pub(super) async fn show_hooks(
        &self,
        interface: &str,
        namespace: Option<&NamespaceFile>,
    ) -> Result<Vec<HookView>, Failure> {
        let namespace = super::attach::namespace(namespace)?;
        let place = NetworkPlace::find(namespace, Some(interface), &*self.helpers).await?;
        let way = Way::into(&place.namespace, &*self.helpers).await?;
        let present = self.present_elsewhere(&place).await?;
        let mut views = self.steady(|| self.views(interface, &place, &way, &present))?;
        self.name_foreign(place.ifindex, &mut views).await;
        Ok(views)
    }

    /// What the kernel has on the hooks that it orders, where it tells that only to who is inside.
    async fn present_elsewhere(&self, place: &NetworkPlace) -> Result<Present, Failure> {
        let Some(beside) = place.namespace.beside(&[])? else {
            return Ok(Present::Here);
        };
        let hooks: Vec<MprogHook> = MPROG.into_iter().filter(|hook| is_known(*hook)).collect();
        let job = HelperJob::ListMprog {
            ifindex: place.ifindex,
            hooks: hooks.clone(),
        };
        let done = self.helpers.run(HelperKind::NetworkNamespace, job, beside);
        match done.await? {
            Done {
                result: HelperResult::OnMprog(found),
                ..
            } => Ok(Present::There(hooks.into_iter().zip(found).collect())),
            other => Err(unfit(&other)),
        }
    }

    fn views(
        &self,
        interface: &str,
        place: &NetworkPlace,
        way: &Way,
        present: &Present,
    ) -> Result<Vec<HookView>, Failure> {
        let failed = |error: Error| {
            error.into_failure(
                Stage::Query,
                format!("the hooks of interface \"{interface}\""),
            )
        };
        let (nsid, ifindex) = (place.namespace.id(), place.ifindex);
        let mut views = Vec::new();
        for hook in InterfaceHook::ALL {
            let mprog = |on| {
                let place = MprogPlace {
                    hook: on,
                    nsid,
                    ifindex,
                };
                self.on_mprog(hook, place, present)
            };
            let view = match hook {
                InterfaceHook::Xdp => {
                    let found = way.with(|socket| xdp_hook::programs(socket, ifindex));
                    let found = found.map_err(failed)?;
                    let found = found.into_iter().map(|id| (id, String::new())).collect();
                    Some(self.with_chain(hook, HookKind::Xdp, (nsid, ifindex), found)?)
                }
                InterfaceHook::TcIngress | InterfaceHook::TcEgress => {
                    let (kind, direction) = if hook == InterfaceHook::TcIngress {
                        (HookKind::TcIngress, Direction::Ingress)
                    } else {
                        (HookKind::TcEgress, Direction::Egress)
                    };
                    let found = way.with(|socket| clsact::filters(socket, ifindex, direction));
                    let mut found = found.map_err(failed)?;
                    // Other classifiers consist of several things that are no programs.
                    found.dedup_by(|one, before| {
                        one.program_id.is_none()
                            && (&one.kind, one.filter.priority)
                                == (&before.kind, before.filter.priority)
                    });
                    let found = found
                        .into_iter()
                        .map(|found| (found.program_id.unwrap_or_default(), filter_name(&found)));
                    Some(self.with_chain(hook, kind, (nsid, ifindex), found.collect())?)
                }
                InterfaceHook::TcxIngress => mprog(MprogHook::Tcx(Direction::Ingress))?,
                InterfaceHook::TcxEgress => mprog(MprogHook::Tcx(Direction::Egress))?,
                InterfaceHook::NetkitPrimary => mprog(MprogHook::Netkit(NetkitHook::Primary))?,
                InterfaceHook::NetkitPeer => mprog(MprogHook::Netkit(NetkitHook::Peer))?,
            };
            views.extend(view);
        }
        Ok(views)
    }

    /// Programs that were found on a hook; bpfman's own one is shown as its members.
    fn with_chain(
        &self,
        hook: InterfaceHook,
        kind: HookKind,
        (nsid, ifindex): (u64, u32),
        found: Vec<(u32, String)>,
    ) -> Result<HookView, Failure> {
        let key = HookKey {
            kind,
            nsid,
            ifindex,
        };
        let chain = match self.store.hook(key)? {
            Some(_) => Some(self.chain(key)?),
            None => None,
        };
        let mut view = HookView {
            hook,
            dispatcher: None,
            entries: Vec::new(),
            foreign: None,
        };
        for (program_id, name) in found {
            match &chain {
                Some(chain) if chain.dispatcher.program_id == program_id => {
                    view.dispatcher = Some(chain.dispatcher.clone());
                    view.entries.extend(explain::members(&chain.members));
                }
                _ => match self.moved_chain(program_id, key)? {
                    Some(moved) => {
                        let members = explain::members(&moved.members).into_iter();
                        view.entries.extend(members.map(mark));
                        view.dispatcher = Some(moved.dispatcher);
                    }
                    None => view.entries.push(explain::foreign(program_id, name, hook)),
                },
            }
        }
        Ok(view)
    }

    /// Programs on a hook that the kernel orders; `None` where the interface has no such hook.
    fn on_mprog(
        &self,
        hook: InterfaceHook,
        place: MprogPlace,
        present: &Present,
    ) -> Result<Option<HookView>, Failure> {
        let mut view = HookView {
            hook,
            dispatcher: None,
            entries: Vec::new(),
            foreign: None,
        };
        let programs = match place.hook {
            hook if is_known(hook) => present.on(place.ifindex, hook)?,
            MprogHook::Tcx(_) => return Ok(Some(view)),
            MprogHook::Netkit(_) => None,
        };
        let Some(programs) = programs else {
            return Ok(None);
        };
        let links = self.store.links()?;
        let siblings = mprog_order::siblings(&links, place);
        let mut before = None;
        for program_id in programs {
            let own = siblings
                .iter()
                .find(|sibling| sibling.program_id == program_id)
                .and_then(|sibling| {
                    let link = links.iter().find(|link| link.id == sibling.link_id)?;
                    Some((link, sibling.priority))
                });
            let entry = match (own, moved_link(&links, program_id, place)) {
                (Some((link, priority)), _) => {
                    let rank = (priority, link.id);
                    let reason = explain::by_the_kernel(rank, before.replace(rank));
                    self.on_mprog_by(link, &links, reason)?
                }
                (None, Some(link)) => mark(self.on_mprog_by(link, &links, String::new())?),
                (None, None) => explain::foreign(program_id, String::new(), hook),
            };
            view.entries.push(entry);
        }
        Ok(Some(view))
    }

    /// A program on a hook that the kernel orders, by this link.
    fn on_mprog_by(
        &self,
        link: &LinkRecord,
        links: &[LinkRecord],
        reason: String,
    ) -> Result<HookEntry, Failure> {
        let program = self.store.program(link.program_id)?;
        let (name, pin) = program.map_or_else(Default::default, |program| {
            (program.record.name, program.record.pin_path)
        });
        Ok(HookEntry {
            program_id: link.program_id,
            name: name.clone(),
            member: Some(DispatcherMember {
                program_id: link.program_id,
                program_name: name,
                program_pin: pin,
                link_id: link.id,
                kernel_link_id: link.kernel_link_id,
                link_pin: link.pin_path.clone(),
                position: mprog_order::position(link, links).unwrap_or_default(),
                priority: link.details.mprog().map_or(0, |(_, priority)| priority),
                proceed_on: 0,
                metadata: link.metadata.clone(),
                counters: None,
            }),
            reason,
            has_moved: false,
        })
    }
}

fn filter_name(found: &clsact::Found) -> String {
    match found.name.as_str() {
        "" => found.kind.clone(),
        name => name.to_owned(),
    }
}

/// Position, priority, verdicts and revision of a link in a chain.
fn place(link: &LinkRecord) -> Option<(u32, i32, &[i32], u32)> {
    match &link.details {
        LinkDetails::Xdp {
            position,
            priority,
            proceed_on,
            revision,
            ..
        }
        | LinkDetails::Tc {
            position,
            priority,
            proceed_on,
            revision,
            ..
        } => Some((*position, *priority, proceed_on, *revision)),
        _ => None,
    }
}

fn counters(hook: &StoredHook, link_id: u64, counted: Option<&[u8]>) -> Option<SlotCounters> {
    let slot = hook.slots.iter().find(|slot| slot.link_id == link_id)?;
    let row = fused::buckets(counted?, slot.slot as usize);
    Some(fused::report(hook.dispatcher.key.kind, &row, &slot.before))
}
