//! Links of chains as records: from a request to a record, from a record to a rank, and to its new place. Pure.

use super::order::Rank;
use super::verdicts;
use crate::layout::Layout;
use crate::network_namespace::NetworkPlace;
use crate::store::records::StoredProgram;
use ipc::messages::attach::{AttachSpec, LinkDetails, LinkRecord, XdpMode};
use ipc::messages::chain::{Dispatcher, HookKind, Strategy};
use ipc::messages::failure::{Failure, FailureCode, Stage};

/// What decides about a member's place.
pub fn rank(link: &LinkRecord, program: &StoredProgram, hook: HookKind) -> Rank {
    let (priority, verdicts): (i32, &[i32]) = match &link.details {
        LinkDetails::Xdp {
            priority,
            proceed_on,
            ..
        }
        | LinkDetails::Tc {
            priority,
            proceed_on,
            ..
        } => (*priority, proceed_on),
        _ => (0, &[]),
    };
    Rank {
        priority,
        name: program.record.name.clone(),
        program_id: link.program_id,
        mask: verdicts::mask(hook, verdicts),
        link_id: link.id,
    }
}

/// What a request says about the link, and which strategy it asks for.
pub fn details(
    spec: &AttachSpec,
    NetworkPlace { namespace, ifindex }: &NetworkPlace,
) -> Result<(LinkDetails, Option<Strategy>), Failure> {
    match spec {
        AttachSpec::Xdp {
            interface,
            priority,
            proceed_on,
            strategy,
        } => Ok((
            LinkDetails::Xdp {
                interface: interface.clone(),
                ifindex: *ifindex,
                priority: *priority,
                position: 0,
                proceed_on: verdicts::recorded(HookKind::Xdp, proceed_on)?,
                netns: namespace.path().to_owned(),
                nsid: namespace.id(),
                dispatcher_id: 0,
                revision: 0,
                mode: XdpMode::Generic,
                strategy: Strategy::Direct,
            },
            *strategy,
        )),
        AttachSpec::Tc {
            interface,
            direction,
            priority,
            proceed_on,
            strategy,
        } => Ok((
            LinkDetails::Tc {
                interface: interface.clone(),
                ifindex: *ifindex,
                direction: *direction,
                priority: *priority,
                position: 0,
                proceed_on: verdicts::recorded(HookKind::TcIngress, proceed_on)?,
                netns: namespace.path().to_owned(),
                nsid: namespace.id(),
                dispatcher_id: 0,
                revision: 0,
                strategy: Strategy::Direct,
            },
            *strategy,
        )),
        _ => Err(Failure::new(
            FailureCode::Internal,
            Stage::Attach,
            format!("a {} attach makes no chain", spec.name()),
        )
        .remedy("this is a fault of bpfman, please report it")),
    }
}

/// The record of a member in its new place.
pub fn placed(
    layout: &Layout,
    link: &LinkRecord,
    dispatcher: &Dispatcher,
    place: usize,
    own_link: Option<u32>,
) -> LinkRecord {
    let key = dispatcher.key;
    let mut record = link.clone();
    let rank = u32::try_from(place).unwrap_or(u32::MAX);
    match &mut record.details {
        LinkDetails::Xdp {
            position,
            dispatcher_id,
            revision,
            mode,
            strategy,
            ..
        } => {
            *position = rank;
            *dispatcher_id = dispatcher.program_id;
            *revision = dispatcher.revision;
            *mode = dispatcher.mode.unwrap_or(*mode);
            *strategy = dispatcher.strategy;
        }
        LinkDetails::Tc {
            position,
            dispatcher_id,
            revision,
            strategy,
            ..
        } => {
            *position = rank;
            *dispatcher_id = dispatcher.program_id;
            *revision = dispatcher.revision;
            *strategy = dispatcher.strategy;
        }
        _ => {}
    }
    let pin = match (own_link, key.kind) {
        (Some(_), _) => layout.member(key, dispatcher.revision, place),
        // Without a link of its own it is attached by way of the hook's.
        (None, HookKind::Xdp) => layout.hook_link(key),
        (None, _) => layout.head(key, dispatcher.revision),
    };
    record.pin_path = pin.display().to_string();
    record.kernel_link_id = own_link.or(dispatcher.kernel_link_id);
    record
}

/// The revision of its hook that a link belongs to.
pub fn revision_of(details: &LinkDetails) -> Option<u32> {
    match details {
        LinkDetails::Xdp { revision, .. } | LinkDetails::Tc { revision, .. } => Some(*revision),
        _ => None,
    }
}

/// Name of the interface of a link in a chain.
pub fn interface_of(details: &LinkDetails) -> String {
    match details {
        LinkDetails::Xdp { interface, .. } | LinkDetails::Tc { interface, .. } => interface.clone(),
        _ => String::new(),
    }
}
