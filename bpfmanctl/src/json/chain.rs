//! Dispatchers and chains.

use ipc::messages::chain::{self, OTHER_VERDICT};
use serde::Serialize;
use std::collections::BTreeMap;

/// `dispatcher list`
#[derive(Serialize)]
pub(crate) struct DispatcherList {
    dispatchers: Vec<Dispatcher>,
}

impl From<Vec<chain::Dispatcher>> for DispatcherList {
    fn from(dispatchers: Vec<chain::Dispatcher>) -> Self {
        Self {
            dispatchers: dispatchers.into_iter().map(Dispatcher::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct Dispatcher {
    key: Key,
    revision: u32,
    runtime: Runtime,
    member_count: u32,
    /// What follows are keys of our own.
    strategy: &'static str,
    strategy_reason: String,
    mode: Option<&'static str>,
    interface: String,
}

impl From<chain::Dispatcher> for Dispatcher {
    fn from(dispatcher: chain::Dispatcher) -> Self {
        Self {
            key: (&dispatcher).into(),
            revision: dispatcher.revision,
            runtime: (&dispatcher).into(),
            member_count: dispatcher.member_count,
            strategy: dispatcher.strategy.name(),
            mode: dispatcher.mode.map(|mode| mode.name()),
            strategy_reason: dispatcher.reason,
            interface: dispatcher.interface,
        }
    }
}

#[derive(Serialize)]
struct Key {
    r#type: &'static str,
    nsid: u64,
    ifindex: u32,
}

impl From<&chain::Dispatcher> for Key {
    fn from(dispatcher: &chain::Dispatcher) -> Self {
        Self {
            r#type: dispatcher.key.kind.name(),
            nsid: dispatcher.key.nsid,
            ifindex: dispatcher.key.ifindex,
        }
    }
}

/// What does not apply is left out.
#[derive(Serialize)]
struct Runtime {
    program_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_link_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_priority: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_handle: Option<u32>,
    netns_path: String,
}

impl From<&chain::Dispatcher> for Runtime {
    fn from(dispatcher: &chain::Dispatcher) -> Self {
        Self {
            program_id: dispatcher.program_id,
            kernel_link_id: dispatcher.kernel_link_id,
            filter_priority: dispatcher.filter.map(|filter| filter.priority),
            filter_handle: dispatcher.filter.map(|filter| filter.handle),
            netns_path: dispatcher.netns.clone(),
        }
    }
}

/// `dispatcher get`
#[derive(Serialize)]
pub(crate) struct Chain {
    key: Key,
    revision: u32,
    runtime: Runtime,
    members: Vec<Member>,
    /// What follows are keys of our own.
    strategy: &'static str,
    strategy_reason: String,
    mode: Option<&'static str>,
}

impl From<chain::Chain> for Chain {
    fn from(chain: chain::Chain) -> Self {
        let dispatcher = chain.dispatcher;
        let interface = dispatcher.interface.clone();
        Self {
            key: (&dispatcher).into(),
            revision: dispatcher.revision,
            runtime: (&dispatcher).into(),
            members: chain
                .members
                .into_iter()
                .map(|member| Member::new(member, &interface))
                .collect(),
            strategy: dispatcher.strategy.name(),
            strategy_reason: dispatcher.reason,
            mode: dispatcher.mode.map(|mode| mode.name()),
        }
    }
}

#[derive(Serialize)]
struct Member {
    program_id: u32,
    program_name: String,
    prog_pin_path: String,
    link_id: u64,
    kernel_link_id: Option<u32>,
    link_pin_path: String,
    position: u32,
    priority: i32,
    /// The mask.
    proceed_on: u32,
    ifname: String,
    metadata: Option<BTreeMap<String, String>>,
    /// A key of our own.
    counters: Option<Counters>,
}

impl Member {
    fn new(member: chain::DispatcherMember, interface: &str) -> Self {
        Self {
            program_id: member.program_id,
            program_name: member.program_name,
            prog_pin_path: member.program_pin,
            link_id: member.link_id,
            kernel_link_id: member.kernel_link_id,
            link_pin_path: member.link_pin,
            position: member.position,
            priority: member.priority,
            proceed_on: member.proceed_on,
            ifname: interface.to_owned(),
            metadata: Some(member.metadata).filter(|metadata| !metadata.is_empty()),
            counters: member.counters.map(Counters::from),
        }
    }
}

#[derive(Serialize)]
struct Counters {
    packets: u64,
    /// By number; `other` for verdicts without a name.
    verdicts: BTreeMap<String, u64>,
}

impl From<chain::SlotCounters> for Counters {
    fn from(counters: chain::SlotCounters) -> Self {
        let named = |(verdict, count)| {
            let verdict = if verdict == OTHER_VERDICT {
                "other".to_owned()
            } else {
                i32::to_string(&verdict)
            };
            (verdict, count)
        };
        Self {
            packets: counters.packets,
            verdicts: counters.verdicts.into_iter().map(named).collect(),
        }
    }
}

/// `chain show` and `chain explain`
#[derive(Serialize)]
pub(crate) struct Hooks {
    hooks: Vec<Hook>,
}

#[derive(Serialize)]
struct Hook {
    hook: &'static str,
    dispatcher: Option<Dispatcher>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign_dispatcher: Option<ForeignDispatcher>,
    programs: Vec<Entry>,
}

/// A dispatcher of libxdp's protocol that is somebody else's.
#[derive(Serialize)]
struct ForeignDispatcher {
    program_id: u32,
    protocol_version: u8,
    members: Vec<ForeignMember>,
}

#[derive(Serialize)]
struct ForeignMember {
    program_id: Option<u32>,
    function_name: String,
    priority: u32,
    /// The mask.
    proceed_on: u32,
}

impl From<chain::ForeignDispatcher> for ForeignDispatcher {
    fn from(dispatcher: chain::ForeignDispatcher) -> Self {
        let members = dispatcher.members.into_iter();
        Self {
            program_id: dispatcher.program_id,
            protocol_version: dispatcher.version,
            members: members
                .map(|member| ForeignMember {
                    program_id: member.program_id,
                    function_name: member.name,
                    priority: member.priority,
                    proceed_on: member.proceed_on,
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Entry {
    program_id: u32,
    function_name: String,
    managed: bool,
    member: Option<Member>,
    reason: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    has_moved: bool,
}

impl Hooks {
    pub(crate) fn new(interface: &str, views: Vec<chain::HookView>) -> Self {
        let entry = |entry: chain::HookEntry| Entry {
            program_id: entry.program_id,
            function_name: entry.name,
            managed: entry.member.is_some(),
            member: entry.member.map(|member| Member::new(member, interface)),
            reason: entry.reason,
            has_moved: entry.has_moved,
        };
        let hook = |view: chain::HookView| Hook {
            hook: view.hook.name(),
            dispatcher: view.dispatcher.map(Dispatcher::from),
            foreign_dispatcher: view.foreign.map(ForeignDispatcher::from),
            programs: view.entries.into_iter().map(entry).collect(),
        };
        Self {
            hooks: views.into_iter().map(hook).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::samples;

    #[test]
    fn dispatchers() {
        let list = DispatcherList::from(samples::chains().map(|chain| chain.dispatcher).to_vec());
        insta::assert_snapshot!(render(&list).unwrap());
    }

    #[test]
    fn a_chain() {
        let [xdp, tc] = samples::chains();
        insta::assert_snapshot!(render(&[Chain::from(xdp), Chain::from(tc)]).unwrap());
    }

    #[test]
    fn hooks() {
        insta::assert_snapshot!(render(&Hooks::new("eth0", samples::hooks())).unwrap());
        let foreign = Hooks::new("eth0", vec![samples::foreign_hook()]);
        insta::assert_snapshot!(render(&foreign).unwrap());
    }
}
