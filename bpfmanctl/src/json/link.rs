//! Links.

use super::kernel::KernelLink;
use crate::inventory::ForeignLinkRow;
use crate::time::rfc3339;
use ipc::messages::attach::{self, LinkDetails, Sampling};
use ipc::messages::chain::Strategy;
use serde::Serialize;
use std::collections::BTreeMap;

/// What `link attach` and `link get` print.
#[derive(Serialize)]
pub(crate) struct Link {
    record: LinkRecord,
    status: LinkStatus,
}

#[derive(Serialize)]
struct LinkStatus {
    kernel: Option<KernelLink>,
    kernel_seen: bool,
    pin_present: bool,
}

impl From<attach::Link> for Link {
    fn from(link: attach::Link) -> Self {
        let kernel = link
            .kernel
            .map(|kernel| KernelLink::from(kernel).with_numbers(link.numbers));
        let kernel_seen = kernel.is_some();
        Self {
            record: link.record.into(),
            status: LinkStatus {
                kernel,
                kernel_seen,
                pin_present: link.pin_present,
            },
        }
    }
}

/// What `link list` prints: records only, ascending by id.
#[derive(Serialize)]
pub(crate) struct LinkList {
    links: Vec<LinkRecord>,
    /// Those that are not bpfman's, with `--all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_links: Option<Vec<ForeignLink>>,
}

impl LinkList {
    pub(crate) fn new(links: Vec<attach::LinkEntry>, foreign: Option<Vec<ForeignLinkRow>>) -> Self {
        Self {
            links: links.into_iter().map(|link| link.record.into()).collect(),
            kernel_links: foreign.map(|rows| rows.into_iter().map(Into::into).collect()),
        }
    }
}

/// A link that is not bpfman's.
#[derive(Serialize)]
struct ForeignLink {
    program_name: String,
    attachment: String,
    kernel: KernelLink,
}

impl From<ForeignLinkRow> for ForeignLink {
    fn from(row: ForeignLinkRow) -> Self {
        Self {
            program_name: row.program_name,
            attachment: row.link.attachment,
            kernel: row.link.link.into(),
        }
    }
}

#[derive(Serialize)]
struct LinkRecord {
    id: u64,
    program_id: u32,
    kernel_link_id: Option<u32>,
    kind: &'static str,
    pin_path: Option<String>,
    details: Details,
    created_at: String,
    /// Null when there are none, unlike a program's.
    metadata: Option<BTreeMap<String, String>>,
}

impl From<attach::LinkRecord> for LinkRecord {
    fn from(record: attach::LinkRecord) -> Self {
        Self {
            id: record.id,
            program_id: record.program_id,
            kernel_link_id: record.kernel_link_id,
            kind: record.kind.name(),
            pin_path: Some(record.pin_path).filter(|path| !path.is_empty()),
            details: record.details.into(),
            created_at: rfc3339(record.created_at),
            metadata: Some(record.metadata).filter(|metadata| !metadata.is_empty()),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details {
    Tracepoint {
        group: String,
        name: String,
    },
    Uprobe {
        target: String,
        fn_name: String,
        offset: u64,
        pid: i32,
        retprobe: bool,
        container_pid: i32,
    },
    Kprobe {
        fn_name: String,
        offset: u64,
        retprobe: bool,
    },
    /// fentry and fexit.
    Function {
        fn_name: String,
    },
    Lsm {
        hook_name: String,
    },
    /// raw_tracepoint and tp_btf.
    Name {
        name: String,
    },
    Iter {
        target: String,
    },
    SkLookup {
        netns: String,
        nsid: u64,
    },
    Cgroup {
        path: String,
        /// Name of the hook.
        attach_type: String,
    },
    KprobeMulti {
        fn_names: Vec<String>,
        retprobe: bool,
    },
    UprobeMulti {
        target: String,
        fn_names: Vec<String>,
        pid: i32,
        retprobe: bool,
        container_pid: i32,
    },
    Usdt {
        target: String,
        provider: String,
        name: String,
        pid: i32,
        /// At how many places the probe is.
        places: u32,
        container_pid: i32,
    },
    Netkit {
        interface: String,
        ifindex: u32,
        /// Which end: primary or peer.
        hook: &'static str,
        priority: i32,
        position: u32,
        netns: String,
        nsid: u64,
    },
    Netfilter {
        family: &'static str,
        hook: &'static str,
        priority: i32,
        defrag: bool,
        netns: String,
        nsid: u64,
    },
    /// Either the period or the frequency is given; pid 0 is every process, no CPU every one.
    PerfEvent {
        event: String,
        period: Option<u64>,
        frequency: Option<u64>,
        pid: i32,
        cpu: Option<u32>,
    },
    Xdp {
        interface: String,
        ifindex: u32,
        priority: i32,
        position: u32,
        proceed_on: Vec<i32>,
        netns: String,
        nsid: u64,
        dispatcher_id: u32,
        revision: u32,
        /// `native` or `generic`: a key of our own, as is the next.
        mode: &'static str,
        strategy: &'static str,
        /// Whose dispatcher it is, if not bpfman's.
        #[serde(skip_serializing_if = "Option::is_none")]
        cooperate: Option<&'static str>,
    },
    Tc {
        interface: String,
        ifindex: u32,
        direction: &'static str,
        priority: i32,
        position: u32,
        proceed_on: Vec<i32>,
        netns: String,
        nsid: u64,
        dispatcher_id: u32,
        revision: u32,
        /// A key of our own.
        strategy: &'static str,
    },
    Tcx {
        interface: String,
        ifindex: u32,
        direction: &'static str,
        priority: i32,
        position: u32,
        netns: String,
        nsid: u64,
    },
}

impl From<LinkDetails> for Details {
    fn from(details: LinkDetails) -> Self {
        match details {
            LinkDetails::Tracepoint { group, name } => Details::Tracepoint { group, name },
            LinkDetails::Kprobe {
                function,
                offset,
                retprobe,
            } => Details::Kprobe {
                fn_name: function,
                offset,
                retprobe,
            },
            LinkDetails::Fentry { function } | LinkDetails::Fexit { function } => {
                Details::Function { fn_name: function }
            }
            LinkDetails::Lsm { hook } => Details::Lsm { hook_name: hook },
            LinkDetails::RawTracepoint { name } | LinkDetails::TpBtf { name } => {
                Details::Name { name }
            }
            LinkDetails::Iter { target } => Details::Iter { target },
            LinkDetails::SkLookup { netns, nsid } => Details::SkLookup { netns, nsid },
            LinkDetails::KprobeMulti {
                functions,
                retprobe,
            } => Details::KprobeMulti {
                fn_names: functions,
                retprobe,
            },
            LinkDetails::UprobeMulti {
                target,
                path: _,
                functions,
                pid,
                retprobe,
                container_pid,
            } => Details::UprobeMulti {
                target,
                fn_names: functions,
                pid,
                retprobe,
                container_pid,
            },
            LinkDetails::Usdt {
                target,
                path: _,
                provider,
                name,
                pid,
                places,
                container_pid,
            } => Details::Usdt {
                target,
                provider,
                name,
                pid,
                places,
                container_pid,
            },
            LinkDetails::PerfEvent {
                event,
                sampling,
                pid,
                cpu,
            } => {
                let (period, frequency) = match sampling {
                    Sampling::Period(period) => (Some(period), None),
                    Sampling::Frequency(frequency) => (None, Some(frequency)),
                };
                Details::PerfEvent {
                    event,
                    period,
                    frequency,
                    pid: pid.unwrap_or(0),
                    cpu,
                }
            }
            LinkDetails::Netkit {
                interface,
                ifindex,
                hook,
                priority,
                position,
                netns,
                nsid,
            } => Details::Netkit {
                interface,
                ifindex,
                hook: hook.name(),
                priority,
                position,
                netns,
                nsid,
            },
            LinkDetails::Netfilter { place, netns, nsid } => Details::Netfilter {
                family: place.family.name(),
                hook: place.hook.name(),
                priority: place.priority,
                defrag: place.defragment,
                netns,
                nsid,
            },
            LinkDetails::Cgroup { path, hook } => Details::Cgroup {
                path,
                attach_type: hook,
            },
            LinkDetails::Uprobe {
                target,
                path: _,
                function,
                offset,
                file_offset: _,
                pid,
                retprobe,
                container_pid,
            } => Details::Uprobe {
                target,
                fn_name: function,
                offset,
                pid,
                retprobe,
                container_pid,
            },
            LinkDetails::Xdp {
                interface,
                ifindex,
                priority,
                position,
                proceed_on,
                netns,
                nsid,
                dispatcher_id,
                revision,
                mode,
                strategy,
            } => Details::Xdp {
                interface,
                ifindex,
                priority,
                position,
                proceed_on,
                netns,
                nsid,
                dispatcher_id,
                revision,
                mode: mode.name(),
                strategy: strategy.name(),
                cooperate: None,
            },
            LinkDetails::XdpGuest {
                interface,
                ifindex,
                priority,
                position,
                proceed_on,
                nsid,
                dispatcher_id,
                mode,
            } => Details::Xdp {
                interface,
                ifindex,
                priority,
                position,
                proceed_on,
                netns: String::new(),
                nsid,
                dispatcher_id,
                revision: 0,
                mode: mode.name(),
                strategy: Strategy::Libxdp.name(),
                cooperate: Some("libxdp"),
            },
            LinkDetails::Tc {
                interface,
                ifindex,
                direction,
                priority,
                position,
                proceed_on,
                netns,
                nsid,
                dispatcher_id,
                revision,
                strategy,
            } => Details::Tc {
                interface,
                ifindex,
                direction: direction.name(),
                priority,
                position,
                proceed_on,
                netns,
                nsid,
                dispatcher_id,
                revision,
                strategy: strategy.name(),
            },
            LinkDetails::Tcx {
                interface,
                ifindex,
                direction,
                priority,
                position,
                netns,
                nsid,
            } => {
                let direction = direction.name();
                Details::Tcx {
                    interface,
                    ifindex,
                    direction,
                    priority,
                    position,
                    netns,
                    nsid,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::inventory::rows;
    use crate::samples;

    #[test]
    fn every_kind() {
        let links: Vec<Link> = samples::links().into_iter().map(Link::from).collect();
        insta::assert_snapshot!(render(&links).unwrap());
    }

    #[test]
    fn a_link_that_is_gone_from_the_kernel() {
        let mut link = samples::xdp_link();
        link.kernel = None;
        link.pin_present = false;
        link.record.kernel_link_id = None;
        link.record.pin_path.clear();
        insta::assert_snapshot!(render(&Link::from(link)).unwrap());
    }

    #[test]
    fn lists() {
        let managed = vec![samples::link_entry()];
        insta::assert_snapshot!(render(&LinkList::new(managed, None)).unwrap());
        let foreign = Some(vec![rows::foreign_link()]);
        insta::assert_snapshot!(render(&LinkList::new(vec![], foreign)).unwrap());
        assert_eq!(
            render(&LinkList::new(vec![], None)).unwrap(),
            "{\n  \"links\": []\n}\n"
        );
    }
}
