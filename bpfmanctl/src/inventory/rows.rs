//! Rows for tests of rendering.

use super::{ForeignLinkRow, MapRow, maps};
use crate::samples;
use ipc::messages::kernel::{ForeignLink, KernelLink, KernelMap};

/// One with a pin that is there, one without, one of somebody else's.
pub(crate) fn map_rows() -> Vec<MapRow> {
    let foreign = KernelMap {
        id: 95,
        name: "cali_v4_ct".to_owned(),
        memlock: None,
        ..samples::map()
    };
    maps(
        vec![samples::full_program()],
        vec![samples::map(), foreign],
        &[],
    )
}

/// A link of somebody else's.
pub(crate) fn foreign_link() -> ForeignLinkRow {
    ForeignLinkRow {
        link: ForeignLink {
            link: KernelLink {
                id: 90,
                program_id: 600,
                link_type: 11,
                attach_type: Some(46),
                ifindex: 2,
                ..KernelLink::default()
            },
            attachment: "eth0 ingress netns=4026531840".to_owned(),
        },
        program_name: "sd_fw_ingress".to_owned(),
    }
}
