//! Chains.

use super::link;
use ipc::messages::attach::{Link, LinkDetails, XdpMode};
use ipc::messages::chain::{
    Chain, Dispatcher, DispatcherMember, Filter, ForeignDispatcher, ForeignMember, HookEntry,
    HookKey, HookKind, HookView, InterfaceHook, OTHER_VERDICT, SlotCounters, Strategy,
};
use ipc::messages::mprog::NetkitHook;
use ipc::messages::program::ProgramKind;
use std::collections::BTreeMap;

pub(super) fn netkit_link() -> Link {
    let details = LinkDetails::Netkit {
        interface: "nk0".to_owned(),
        ifindex: 7,
        hook: NetkitHook::Peer,
        priority: 50,
        position: 1,
        netns: "/run/netns/blue".to_owned(),
        nsid: 4_026_532_001,
    };
    let mut link = link(20, ProgramKind::Netkit, 13, details);
    if let Some(kernel) = &mut link.kernel {
        kernel.attach_type = Some(55);
    }
    link
}

pub(crate) fn guest_link() -> Link {
    let details = LinkDetails::XdpGuest {
        interface: "eth0".to_owned(),
        ifindex: 2,
        priority: 50,
        position: 1,
        proceed_on: vec![2, 31],
        nsid: 4_026_531_840,
        dispatcher_id: 515,
        mode: XdpMode::Native,
    };
    link(30, ProgramKind::Xdp, 2, details)
}

fn dispatcher(kind: HookKind) -> Dispatcher {
    let is_xdp = kind == HookKind::Xdp;
    Dispatcher {
        key: HookKey {
            kind,
            nsid: 4_026_531_840,
            ifindex: 2,
        },
        interface: "eth0".to_owned(),
        netns: String::new(),
        strategy: if is_xdp {
            Strategy::Fused
        } else {
            Strategy::Libxdp
        },
        requested: None,
        reason: "asked for".to_owned(),
        mode: is_xdp.then_some(XdpMode::Native),
        revision: 3,
        program_id: 515,
        kernel_link_id: is_xdp.then_some(76),
        filter: (!is_xdp).then_some(Filter {
            priority: 50,
            handle: 1,
        }),
        member_count: 2,
    }
}

fn member(position: u32, name: &str, proceed_on: u32) -> DispatcherMember {
    DispatcherMember {
        program_id: 512 + position,
        program_name: name.to_owned(),
        program_pin: format!("/run/bpfman/fs/prog_{}", 512 + position),
        link_id: u64::from(position) + 1,
        kernel_link_id: Some(76),
        link_pin: "/run/bpfman/fs/xdp/dispatcher_4026531840_2_link".to_owned(),
        position,
        priority: 50,
        proceed_on,
        metadata: BTreeMap::new(),
        counters: None,
    }
}

/// A chain of XDP and one of TC.
pub(crate) fn chains() -> [Chain; 2] {
    let mut counting = member(0, "count", 0x8000_0004);
    counting.counters = Some(SlotCounters {
        packets: 42,
        verdicts: vec![(2, 40), (1, 1), (OTHER_VERDICT, 1)],
    });
    let mut silent = member(1, "pass", 0x2);
    silent.counters = Some(SlotCounters {
        packets: 0,
        verdicts: Vec::new(),
    });
    let mut labelled = member(0, "shape", 0x8000_0010);
    labelled.metadata = BTreeMap::from([("owner".to_owned(), "acme".to_owned())]);
    [
        Chain {
            dispatcher: dispatcher(HookKind::Xdp),
            members: vec![counting, silent],
        },
        Chain {
            dispatcher: dispatcher(HookKind::TcIngress),
            members: vec![labelled, member(1, "police", 0x1)],
        },
    ]
}

/// An interface with something on most hooks.
pub(crate) fn hooks() -> Vec<HookView> {
    let entry = |member: DispatcherMember, reason: &str| HookEntry {
        program_id: member.program_id,
        name: member.program_name.clone(),
        member: Some(member),
        reason: reason.to_owned(),
        has_moved: false,
    };
    let foreign = |name: &str| HookEntry {
        program_id: 77,
        name: name.to_owned(),
        member: None,
        reason: "not bpfman's".to_owned(),
        has_moved: false,
    };
    let [xdp, tc] = chains();
    let entries = |chain: &Chain| -> Vec<HookEntry> {
        let members = chain.members.iter().cloned();
        members.map(|member| entry(member, "first")).collect()
    };
    let mut filters = vec![foreign("flower")];
    filters.extend(entries(&tc));
    vec![
        HookView {
            hook: InterfaceHook::Xdp,
            entries: entries(&xdp),
            dispatcher: Some(xdp.dispatcher),
            foreign: None,
        },
        HookView {
            hook: InterfaceHook::TcxIngress,
            dispatcher: None,
            entries: vec![entry(member(0, "meter", 0), "first"), foreign("")],
            foreign: None,
        },
        HookView {
            hook: InterfaceHook::TcIngress,
            dispatcher: Some(tc.dispatcher),
            entries: filters,
            foreign: None,
        },
        HookView {
            hook: InterfaceHook::TcEgress,
            dispatcher: None,
            entries: Vec::new(),
            foreign: None,
        },
    ]
}

/// An interface with a dispatcher of somebody else.
pub(crate) fn foreign_hook() -> HookView {
    let member = |program_id, name: &str, proceed_on| ForeignMember {
        program_id,
        name: name.to_owned(),
        priority: 50,
        proceed_on,
    };
    let members = vec![
        member(Some(75), "xdp_pass", 0x8000_0004),
        member(None, "", 0x8000_0000),
    ];
    let entries = members.iter().map(|member| HookEntry {
        program_id: member.program_id.unwrap_or_default(),
        name: member.name.clone(),
        member: None,
        reason: "not bpfman's".to_owned(),
        has_moved: false,
    });
    HookView {
        hook: InterfaceHook::Xdp,
        dispatcher: None,
        entries: entries.collect(),
        foreign: Some(ForeignDispatcher {
            program_id: 77,
            version: 2,
            members,
        }),
    }
}
