//! Messages about volumes for golden frames.

use ipc::messages::helper::HelperJob;
use ipc::messages::loader::{LoaderRequest, Session};
use ipc::messages::volume::{VolumeAccess, VolumePlace};

fn place() -> VolumePlace {
    VolumePlace {
        volume_id: "csi-1".to_owned(),
        target: "/var/lib/kubelet/pods/a/mount".to_owned(),
    }
}

fn access() -> VolumeAccess {
    VolumeAccess {
        group: Some(2000),
        read_only: true,
    }
}

fn maps() -> Vec<String> {
    vec!["counters".to_owned()]
}

pub(crate) fn publish(session: Session) -> LoaderRequest {
    LoaderRequest::PublishVolume {
        session,
        place: place(),
        program: "counter".to_owned(),
        maps: maps(),
        access: access(),
    }
}

pub(crate) fn unpublish(session: Session) -> LoaderRequest {
    LoaderRequest::UnpublishVolume {
        session,
        place: place(),
    }
}

pub(crate) fn jobs() -> [HelperJob; 2] {
    [
        HelperJob::PublishVolume {
            place: place(),
            maps: maps(),
            access: access(),
        },
        HelperJob::UnpublishVolume { place: place() },
    ]
}
