//! Looking hooks up: bpfman's chains, and everything else on the hooks of an interface.

use super::Engine;
use super::chain::{counted, no_hook};
use crate::chains::{explain, fused, verdicts};
use crate::hooks::{interface, mprog_order};
use crate::kernel::netlink::Socket;
use crate::kernel::{Error, clsact, probe, query, xdp_hook};
use crate::network_namespace::NetworkNamespace;
use crate::store::records::StoredHook;
use ipc::messages::attach::{Direction, LinkDetails, LinkRecord};
use ipc::messages::chain::{
    Chain, Dispatcher, DispatcherMember, HookEntry, HookKey, HookKind, HookView, InterfaceHook,
    SlotCounters,
};
use ipc::messages::failure::{Failure, Stage};
use ipc::messages::mprog::{MprogHook, MprogPlace, NetkitHook};
use rustix::io::Errno;

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
    /// Everything on the hooks of an interface of the service's network namespace, in the order in which it runs.
    pub fn show_hooks(&self, interface: &str) -> Result<Vec<HookView>, Failure> {
        let ifindex = interface::find(interface)?;
        let failed = |error: Error| {
            error.into_failure(
                Stage::Query,
                format!("the hooks of interface \"{interface}\""),
            )
        };
        let nsid = NetworkNamespace::own()?.id();
        let socket = Socket::open().map_err(failed)?;
        let mut views = Vec::new();
        for hook in InterfaceHook::ALL {
            let mprog = |on| {
                let place = MprogPlace {
                    hook: on,
                    nsid,
                    ifindex,
                };
                self.on_mprog(hook, place)
            };
            let view = match hook {
                InterfaceHook::Xdp => {
                    let found = xdp_hook::programs(&socket, ifindex).map_err(failed)?;
                    let found = found.into_iter().map(|id| (id, String::new())).collect();
                    Some(self.with_chain(hook, HookKind::Xdp, (nsid, ifindex), found)?)
                }
                InterfaceHook::TcIngress | InterfaceHook::TcEgress => {
                    let (kind, direction) = if hook == InterfaceHook::TcIngress {
                        (HookKind::TcIngress, Direction::Ingress)
                    } else {
                        (HookKind::TcEgress, Direction::Egress)
                    };
                    let mut found = clsact::filters(&socket, ifindex, direction).map_err(failed)?;
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
                _ => view.entries.push(explain::foreign(program_id, name, hook)),
            }
        }
        Ok(view)
    }

    /// Programs on a hook that the kernel orders; `None` where the interface has no such hook.
    fn on_mprog(
        &self,
        hook: InterfaceHook,
        place: MprogPlace,
    ) -> Result<Option<HookView>, Failure> {
        let mut view = HookView {
            hook,
            dispatcher: None,
            entries: Vec::new(),
            foreign: None,
        };
        let present = match place.hook {
            MprogHook::Tcx(_) if probe::tcx().is_err() => return Ok(Some(view)),
            MprogHook::Netkit(_) if probe::netkit().is_err() => return Ok(None),
            _ => query::mprog(place.ifindex, place.hook),
        };
        let present = match (place.hook, present) {
            // Other devices, and the peer of a pair, have no hooks of netkit.
            (MprogHook::Netkit(_), Err(error))
                if matches!(error.errno, Errno::NXIO | Errno::ACCESS) =>
            {
                return Ok(None);
            }
            (_, present) => {
                present.map_err(|error| error.into_failure(Stage::Query, hook.name()))?
            }
        };
        let links = self.store.links()?;
        let mut before = None;
        for program_id in present.programs {
            let own = links.iter().find_map(|link| match link.details.mprog() {
                Some((on, priority)) if link.program_id == program_id && on == place => {
                    Some((link, priority))
                }
                _ => None,
            });
            let Some((link, priority)) = own else {
                view.entries
                    .push(explain::foreign(program_id, String::new(), hook));
                continue;
            };
            let program = self.store.program(program_id)?;
            let (name, pin) = program.map_or_else(Default::default, |program| {
                (program.record.name, program.record.pin_path)
            });
            view.entries.push(HookEntry {
                program_id,
                name: name.clone(),
                member: Some(DispatcherMember {
                    program_id,
                    program_name: name,
                    program_pin: pin,
                    link_id: link.id,
                    kernel_link_id: link.kernel_link_id,
                    link_pin: link.pin_path.clone(),
                    position: mprog_order::position(link, &links).unwrap_or_default(),
                    priority,
                    proceed_on: 0,
                    metadata: link.metadata.clone(),
                    counters: None,
                }),
                reason: explain::by_the_kernel((priority, link.id), before),
            });
            before = Some((priority, link.id));
        }
        Ok(Some(view))
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
