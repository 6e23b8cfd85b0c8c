//! Places of links, in words. Pure.

use ipc::messages::attach::LinkDetails;
use ipc::messages::kernel::KernelLink;

/// The place that a link was on and is not any more. The kernel does not tell an interface that is gone from one whose
/// network namespace is.
pub(super) fn lost_place(details: &LinkDetails, found: &KernelLink) -> Option<String> {
    match details {
        LinkDetails::Tcx { .. } | LinkDetails::Netkit { .. } if found.ifindex == 0 => {
            Some(interface_of(details))
        }
        LinkDetails::SkLookup { netns, .. } if found.netns_ino == 0 => Some(match netns.as_str() {
            "" => "the service's network namespace".to_owned(),
            netns => format!("network namespace {netns}"),
        }),
        LinkDetails::Cgroup { path, .. } if found.cgroup_id == 0 => {
            Some(format!("control group {path}"))
        }
        _ => None,
    }
}

/// The interface of a link on a hook that the kernel orders, for people.
pub(super) fn interface_of(details: &LinkDetails) -> String {
    match details {
        LinkDetails::Tcx {
            interface, netns, ..
        }
        | LinkDetails::Netkit {
            interface, netns, ..
        } => interface_at(interface, netns),
        _ => String::new(),
    }
}

/// An interface, for people.
pub(super) fn interface_at(interface: &str, netns: &str) -> String {
    match netns {
        "" => format!("interface {interface}"),
        netns => format!("interface {interface} of network namespace {netns}"),
    }
}
