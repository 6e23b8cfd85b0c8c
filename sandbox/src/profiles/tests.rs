//! What the profiles promise, spelled out.

use super::*;
use crate::{Capability, Identity, Landlock, Mode, Network};

fn arguments(role: Role, helper: Option<HelperKind>) -> WorkerArguments {
    WorkerArguments {
        role,
        helper,
        identity: Identity {
            uid: 7,
            gid: 8,
            groups: vec![9],
        },
        client_gid: None,
        generation: 1,
        mode: Mode::Enforce,
        runtime_dir: "/run/bpfman".into(),
        state_dir: "/var/lib/bpfman".into(),
        cache_dir: "/var/cache/bpfman".into(),
        log: "info".into(),
        kubelet_dir: None,
        read: Vec::new(),
    }
}

fn of(role: Role, helper: Option<HelperKind>) -> Profile {
    profile(&arguments(role, helper), Policy::default())
}

fn all() -> [Profile; 12] {
    [
        of(Role::Supervisor, None),
        of(Role::Loader, None),
        of(Role::Image, None),
        of(Role::Api, None),
        of(Role::Helper, Some(HelperKind::PerfEvent)),
        of(Role::Helper, Some(HelperKind::ChangeGroup)),
        of(Role::Helper, Some(HelperKind::NetworkNamespace)),
        of(Role::Helper, Some(HelperKind::OpenPath)),
        of(Role::Helper, Some(HelperKind::DescribeXdp)),
        of(Role::Helper, Some(HelperKind::OpenInContainer)),
        of(Role::Helper, Some(HelperKind::MountVolume)),
        of(Role::Helper, Some(HelperKind::Libxdp)),
    ]
}

#[test]
fn capabilities_are_exactly_these() {
    let found: Vec<(&str, Vec<Capability>)> = all()
        .into_iter()
        .map(|profile| (profile.role, profile.capabilities))
        .collect();
    use Capability::{
        CAP_BPF, CAP_CHOWN, CAP_NET_ADMIN, CAP_PERFMON, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN,
        CAP_SYS_PTRACE,
    };
    let expected = [
        ("supervisor", vec![]),
        ("loader", vec![CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN]),
        ("image", vec![]),
        ("api", vec![]),
        ("helper-perf", vec![CAP_SYS_ADMIN]),
        ("helper-group", vec![CAP_CHOWN]),
        ("helper-netns", vec![CAP_SYS_ADMIN, CAP_NET_ADMIN]),
        ("helper-open", vec![CAP_SETUID, CAP_SETGID]),
        ("helper-xdp", vec![CAP_SYS_ADMIN]),
        (
            "helper-container",
            vec![CAP_SETUID, CAP_SETGID, CAP_SYS_PTRACE],
        ),
        ("helper-mount", vec![CAP_SYS_ADMIN, CAP_CHOWN]),
        ("helper-libxdp", vec![CAP_SYS_ADMIN]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_may_be_written_is_exactly_this() {
    let written = |profile: &Profile| -> Vec<String> {
        profile
            .paths
            .iter()
            .filter(|rule| rule.access != Access::Read)
            .map(|rule| rule.path.display().to_string())
            .collect()
    };
    let [
        supervisor,
        loader,
        image,
        api,
        perf,
        group,
        netns,
        open,
        xdp,
        container,
        mount,
        libxdp,
    ] = all();
    assert!(written(&supervisor).is_empty());
    assert_eq!(written(&loader), ["/run/bpfman/fs", "/var/lib/bpfman"]);
    assert_eq!(written(&image), ["/var/cache/bpfman"]);
    assert!(api.paths.is_empty());
    assert!(written(&perf).is_empty());
    assert!(group.paths.is_empty());
    assert!(netns.paths.is_empty());
    assert!(written(&open).is_empty());
    assert!(xdp.paths.is_empty());
    assert!(container.paths.is_empty());
    assert!(mount.paths.is_empty());
    assert_eq!(written(&libxdp), ["/sys/fs/bpf", "/sys/fs/bpf/xdp"]);
    assert_eq!(libxdp.paths[0].access, Access::MakeDirectories);
}

#[test]
fn only_the_image_worker_connects_and_none_survives_its_parent_or_goes_without_landlock_needlessly()
{
    for profile in all() {
        let network = match profile.role {
            "image" => Network::TcpConnect,
            _ => Network::None,
        };
        assert_eq!(profile.network, network, "{}", profile.role);
        assert_eq!(
            profile.parent_death_signal,
            profile.role != "supervisor",
            "{}",
            profile.role
        );
        let landlock = match profile.role {
            "helper-container" | "helper-mount" => Landlock::Without,
            _ => Landlock::AtLeast(2),
        };
        assert_eq!(profile.landlock, landlock, "{}", profile.role);
        assert_eq!(profile.descriptors, [0, 1, 2, 3], "{}", profile.role);
        assert_eq!(profile.identity.uid, 7, "{}", profile.role);
    }
}

#[test]
fn further_paths_are_read_only() {
    let mut arguments = arguments(Role::Api, None);
    arguments.read = vec!["/etc/ssl".into()];
    let profile = profile(&arguments, Policy::default());
    assert_eq!(
        profile.paths,
        [PathRule::required("/etc/ssl", Access::Read)]
    );
}
