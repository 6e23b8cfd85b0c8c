//! Values for golden frames: dispatchers of libxdp.

use ipc::messages::helper::{HelperJob, HelperResult, LibxdpDispatcher, LibxdpMember};

pub(crate) fn jobs() -> [HelperJob; 3] {
    [
        HelperJob::OpenLibxdp {
            ifindex: 2,
            program_id: Some(77),
        },
        HelperJob::PublishLibxdp {
            ifindex: 2,
            dispatcher: 81,
        },
        HelperJob::RetireLibxdp {
            ifindex: 2,
            dispatcher: 77,
        },
    ]
}

pub(crate) fn opened() -> HelperResult {
    HelperResult::Libxdp {
        dispatcher: Some(dispatcher()),
    }
}

fn dispatcher() -> LibxdpDispatcher {
    LibxdpDispatcher {
        version: 2,
        members: vec![LibxdpMember {
            program_id: 75,
            link_id: 9,
            name: "xdp_pass".to_owned(),
            priority: 50,
            proceed_on: 0x8000_0004,
            flags: 32,
        }],
    }
}
