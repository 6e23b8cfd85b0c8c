//! Each row of the table of what is refused.

use super::*;
use crate::csi::proto::VolumeCapability;
use crate::csi::proto::volume_capability::{AccessMode, BlockVolume};
use proptest::prelude::*;
use tonic::Code;

fn request() -> NodePublishVolumeRequest {
    NodePublishVolumeRequest {
        volume_id: "csi-1".to_owned(),
        target_path: "/var/lib/kubelet/pods/a/mount".to_owned(),
        volume_capability: Some(VolumeCapability {
            access_mode: Some(AccessMode {
                mode: Mode::SingleNodeWriter.into(),
            }),
            access_type: Some(AccessType::Mount(MountVolume::default())),
        }),
        readonly: false,
        volume_context: [(PROGRAM, "counter"), (MAPS, " b, a ,b,,")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

fn asked(change: impl FnOnce(&mut NodePublishVolumeRequest)) -> Result<Wanted, Status> {
    let mut request = request();
    change(&mut request);
    publish(request)
}

fn mount(request: &mut NodePublishVolumeRequest) -> &mut MountVolume {
    match request
        .volume_capability
        .as_mut()
        .and_then(|capability| capability.access_type.as_mut())
    {
        Some(AccessType::Mount(mount)) => mount,
        _ => panic!("a mount"),
    }
}

fn set_mode(request: &mut NodePublishVolumeRequest, mode: i32) {
    let capability = request.volume_capability.as_mut().unwrap();
    capability.access_mode = Some(AccessMode { mode });
}

#[test]
fn what_is_asked_for_is_understood() {
    let wanted = asked(|_| {}).unwrap();
    assert_eq!(wanted.program, "counter");
    assert_eq!(wanted.maps, ["b", "a"]);
    assert_eq!(
        (wanted.access.group, wanted.access.read_only),
        (None, false)
    );
    let wanted = asked(|request| {
        mount(request).volume_mount_group = "2000".to_owned();
        request.readonly = true;
        set_mode(request, Mode::SingleNodeSingleWriter.into());
        // What the kubelet adds about the pod is nobody's concern here.
        let key = "csi.storage.k8s.io/pod.name".to_owned();
        request.volume_context.insert(key, "pod".to_owned());
    })
    .unwrap();
    assert_eq!(
        (wanted.access.group, wanted.access.read_only),
        (Some(2000), true)
    );
}

/// What is wrong in a request.
type Wrong = (&'static str, fn(&mut NodePublishVolumeRequest));

#[test]
fn every_row_is_an_invalid_argument() {
    let rows: [Wrong; 26] = [
        ("volume id is missing", |it| it.volume_id.clear()),
        ("no id", |it| it.volume_id = "a/b".to_owned()),
        ("no id", |it| it.volume_id = ".".to_owned()),
        ("no id", |it| it.volume_id = "..".to_owned()),
        ("no id", |it| {
            it.volume_id = "x".repeat(VOLUME_NAME_BYTES + 1)
        }),
        ("target path is missing", |it| it.target_path.clear()),
        ("target path", |it| it.target_path = "pods/a".to_owned()),
        ("target path", |it| it.target_path = "/".to_owned()),
        ("target path", |it| it.target_path = "/a/../b".to_owned()),
        ("target path", |it| {
            it.target_path = format!("/{}", "x".repeat(PATH_BYTES))
        }),
        ("capability is missing", |it| it.volume_capability = None),
        ("no access type", |it| {
            it.volume_capability.as_mut().unwrap().access_type = None;
        }),
        ("block", |it| {
            let block = AccessType::Block(BlockVolume {});
            it.volume_capability.as_mut().unwrap().access_type = Some(block);
        }),
        ("file system type", |it| {
            mount(it).fs_type = "ext4".to_owned()
        }),
        ("mount flags", |it| {
            mount(it).mount_flags = vec!["ro".to_owned()]
        }),
        ("no group id", |it| {
            mount(it).volume_mount_group = "staff".to_owned()
        }),
        ("no group id", |it| {
            mount(it).volume_mount_group = "-1".to_owned()
        }),
        ("no group id", |it| {
            mount(it).volume_mount_group = "+1".to_owned()
        }),
        ("no group id", |it| {
            mount(it).volume_mount_group = u32::MAX.to_string()
        }),
        ("access mode", |it| {
            it.volume_capability.as_mut().unwrap().access_mode = None;
        }),
        (PROGRAM, |it| drop(it.volume_context.remove(PROGRAM))),
        (PROGRAM, |it| {
            let long = "x".repeat(METADATA_BYTES + 1);
            it.volume_context.insert(PROGRAM.to_owned(), long);
        }),
        (MAPS, |it| drop(it.volume_context.remove(MAPS))),
        (MAPS, |it| {
            it.volume_context.insert(MAPS.to_owned(), " , ,".to_owned());
        }),
        (MAPS, |it| {
            let long = "x".repeat(VOLUME_NAME_BYTES + 1);
            it.volume_context.insert(MAPS.to_owned(), long);
        }),
        (MAPS, |it| {
            it.volume_context
                .extend([(MAPS.to_owned(), many(VOLUME_MAPS + 1))])
        }),
    ];
    for (said, change) in rows {
        let status = asked(change).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(said), "{said}: {status}");
    }
    let most = asked(|it| {
        it.volume_context
            .extend([(MAPS.to_owned(), many(VOLUME_MAPS))])
    });
    assert_eq!(most.unwrap().maps.len(), VOLUME_MAPS);
}

fn many(count: usize) -> String {
    let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    names.join(",")
}

#[test]
fn two_access_modes_are_supported() {
    for mode in 0..=8 {
        let is_supported = [
            i32::from(Mode::SingleNodeWriter),
            i32::from(Mode::SingleNodeSingleWriter),
        ]
        .contains(&mode);
        let outcome = asked(|request| set_mode(request, mode));
        assert_eq!(outcome.is_ok(), is_supported, "{mode}");
    }
}

proptest! {
    #[test]
    fn any_place_is_one_beneath_the_root_or_refused(id: String, target: String) {
        if let Ok(place) = place(id, target) {
            prop_assert!(!place.volume_id.contains('/'));
            prop_assert!(place.target.starts_with('/') && !place.target.split('/').any(|part| part == ".."));
        }
    }
}
