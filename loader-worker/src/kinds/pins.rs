//! Where links are pinned. The layout is part of the contract with tools that look there.

use ipc::messages::attach::LinkDetails;
use std::path::{Path, PathBuf};

/// Path of a link's pin below bpfman's bpffs.
pub fn link_pin(bpffs: &Path, link_id: u64, program_id: u32, details: &LinkDetails) -> PathBuf {
    match details {
        LinkDetails::Tcx {
            ifindex,
            direction,
            nsid,
            ..
        } => bpffs
            .join(format!("tcx-{}", direction.name()))
            .join(format!("link_{nsid}_{ifindex}_{program_id}")),
        LinkDetails::Xdp { .. }
        | LinkDetails::Tracepoint { .. }
        | LinkDetails::Uprobe { .. }
        | LinkDetails::Kprobe { .. }
        | LinkDetails::Fentry { .. }
        | LinkDetails::Fexit { .. }
        | LinkDetails::Lsm { .. }
        | LinkDetails::RawTracepoint { .. }
        | LinkDetails::TpBtf { .. }
        | LinkDetails::Iter { .. }
        | LinkDetails::SkLookup { .. } => bpffs.join("links").join(link_id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::messages::attach::Direction;

    #[test]
    fn pins_are_where_tools_look() {
        let bpffs = Path::new("/run/bpfman/fs");
        let tracepoint = LinkDetails::Tracepoint {
            group: "a".into(),
            name: "b".into(),
        };
        assert_eq!(link_pin(bpffs, 7, 42, &tracepoint), bpffs.join("links/7"));
        let tcx = LinkDetails::Tcx {
            interface: "eth0".into(),
            ifindex: 2,
            direction: Direction::Egress,
            priority: 50,
            position: 0,
            netns: String::new(),
            nsid: 4026531840,
        };
        assert_eq!(
            link_pin(bpffs, 7, 42, &tcx),
            bpffs.join("tcx-egress/link_4026531840_2_42")
        );
    }
}
