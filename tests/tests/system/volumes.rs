//! Volumes of pods, as the kubelet asks for them over the socket of the driver.

use api_worker::csi::proto::node_service_capability::{Type, rpc};
use api_worker::csi::proto::{
    GetPluginCapabilitiesRequest, GetPluginInfoRequest, NodeExpandVolumeRequest,
    NodeGetCapabilitiesRequest, NodeGetInfoRequest, NodeGetVolumeStatsRequest,
    NodeStageVolumeRequest, NodeUnstageVolumeRequest, ProbeRequest,
};
use bpfman_tests::fixture::{Objects, map_pin, slot};
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::maps::{NOBODY, read_as};
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::volumes::{Driver, Kubelet, volume};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tonic::Code;

/// The group of a pod.
const GROUP: u32 = 2000;
/// What the program of these tests is called.
const PROGRAM: &str = "go-xdp-counter";
const VOLUME: (&str, &str) = (PROGRAM, "counters, traffic,counters");

/// Loads the counter under its name.
fn load(instance: &Instance, objects: &Objects, name: &str) -> u32 {
    let label = format!("bpfman.io/ProgramName={name}");
    instance.load(&objects.object("counter"), "xdp:xdp_count", &["-m", &label])[0]
}

/// A service with a program, and the kubelet.
struct World {
    driver: Driver,
    instance: Instance,
    objects: Objects,
    program: u32,
    // Last: what is mounted is in the directories of the instance.
    kubelet: Kubelet,
}

impl World {
    fn new() -> Self {
        let mut kubelet = Kubelet::new();
        let instance = kubelet.serve();
        let objects = Objects::new();
        Self {
            driver: Driver::of(&instance),
            program: load(&instance, &objects, PROGRAM),
            instance,
            objects,
            kubelet,
        }
    }

    /// The code of a volume that is refused; nothing of it is left.
    #[track_caller]
    fn refused(&self, id: &str, target: &Path, what: (&str, &str)) -> Code {
        let before = mounts();
        let status = self
            .driver
            .publish(volume(id, target, what, Some(GROUP)))
            .expect_err("refused");
        assert_eq!(mounts(), before, "{status}");
        let own = self.instance.runtime_dir().join("csi/fs").join(id);
        let held = before
            .iter()
            .any(|line| line.contains(&*own.to_string_lossy()));
        assert_eq!(own.exists(), held, "{status}");
        status.code()
    }
}

fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    table.lines().map(str::to_owned).collect()
}

/// The names in a volume, without the kernel's own.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a volume").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.contains('.'))
        .collect();
    names.sort();
    names
}

#[test]
fn the_driver_says_what_it_is() {
    let mut kubelet = Kubelet::new();
    let instance = kubelet.serve();
    let socket = instance.runtime_dir().join("csi/csi.sock");
    let metadata = fs::metadata(socket).expect("the socket");
    let mode = metadata.permissions().mode() & 0o7777;
    assert_eq!((mode, metadata.uid(), metadata.gid()), (0o660, 0, 0));

    let driver = Driver::of(&instance);
    let info = driver
        .identity(async |mut it| it.get_plugin_info(GetPluginInfoRequest {}).await)
        .expect("info");
    assert_eq!(
        (info.name.as_str(), info.vendor_version.as_str()),
        ("csi.bpfman.io", "0.1.0")
    );
    driver
        .identity(async |mut it| {
            it.get_plugin_capabilities(GetPluginCapabilitiesRequest {})
                .await
        })
        .expect("capabilities");
    let probe = driver
        .identity(async |mut it| it.probe(ProbeRequest {}).await)
        .expect("a probe");
    assert_eq!(probe.ready, Some(true));
    let node = driver
        .node(async |mut it| it.node_get_info(NodeGetInfoRequest {}).await)
        .expect("a node");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("the name");
    assert_eq!(node.node_id, host.trim());
    let able = driver
        .node(async |mut it| {
            it.node_get_capabilities(NodeGetCapabilitiesRequest {})
                .await
        })
        .expect("capabilities");
    let kinds: Vec<_> = able.capabilities.into_iter().map(|it| it.r#type).collect();
    let [Some(Type::Rpc(rpc))] = kinds[..] else {
        panic!("{kinds:?}");
    };
    assert_eq!(rpc.r#type(), rpc::Type::VolumeMountGroup);
    let refused = [
        driver
            .node(async |mut it| it.node_stage_volume(NodeStageVolumeRequest {}).await)
            .err(),
        driver
            .node(async |mut it| it.node_unstage_volume(NodeUnstageVolumeRequest {}).await)
            .err(),
        driver
            .node(async |mut it| it.node_get_volume_stats(NodeGetVolumeStatsRequest {}).await)
            .err(),
        driver
            .node(async |mut it| it.node_expand_volume(NodeExpandVolumeRequest {}).await)
            .err(),
    ];
    for status in refused {
        assert_eq!(
            status.map(|status| status.code()),
            Some(Code::Unimplemented)
        );
    }
}

#[test]
fn without_being_asked_for_there_is_no_driver() {
    let instance = Instance::start();
    assert!(!instance.runtime_dir().join("csi").exists());
}

#[test]
fn mounts_that_no_pod_would_see_are_refused_at_the_start() {
    let kubelet = Kubelet::new();
    kubelet.cut_off();
    let file = kubelet.configuration();
    let (status, log) = Instance::refusal(&["--config", &file, "--csi-support"]);
    assert!(!status.success());
    assert!(
        log.contains("Bidirectional") && log.contains("bpfman-csi.conf"),
        "{log}"
    );
}

#[test]
fn of_two_operations_on_a_volume_one_is_aborted() {
    let world = World::new();
    let target = world.kubelet.target("a");
    let loader = world.instance.process("loader").pid.cast_signed();
    let loader = Pid::from_raw(loader).expect("a pid");
    let wanted = volume("v", &target, VOLUME, Some(GROUP));
    kill_process(loader, Signal::STOP).expect("stopped");
    let answers = world.driver.publish_twice(&wanted, || {
        kill_process(loader, Signal::CONT).expect("continued");
    });
    let [Err(first), Ok(())] = answers else {
        panic!("{answers:?}");
    };
    assert_eq!(first.code(), Code::Aborted);
    world.driver.unpublish("v", &target).expect("unpublished");
}

#[test]
fn a_pod_reads_what_the_program_counts_and_strangers_do_not() {
    let world = World::new();
    world.instance.attach(&[
        "xdp",
        &world.program.to_string(),
        INTERFACE,
        "--priority",
        "50",
    ]);
    let target = world.kubelet.target("a");
    let wanted = volume("csi-a", &target, VOLUME, Some(GROUP));
    world.driver.publish(wanted.clone()).expect("published");
    assert_eq!(names(&target), ["counters", "traffic"]);
    let place = format!(" {} ", target.display());
    let mounted = mounts().into_iter().find(|line| line.contains(&place));
    let mounted = mounted.expect("the mount");
    assert!(
        mounted.contains("rw,nosuid,nodev,noexec,relatime") && mounted.contains(" - bpf "),
        "{mounted}"
    );
    world.instance.netns().send_packets(7);

    let pin = target.join("counters");
    let metadata = fs::metadata(&pin).expect("a pin");
    let mode = metadata.permissions().mode() & 0o7777;
    assert_eq!((mode, metadata.gid()), (0o660, GROUP));
    let counted = read_as(GROUP, &pin).expect("the group may read");
    assert!(counted[slot::XDP] >= 7, "{counted:?}");
    read_as(NOBODY, &pin).expect_err("a stranger reads");

    // The same again is no failure and changes nothing.
    let before = mounts();
    world.driver.publish(wanted).expect("again");
    assert_eq!(mounts(), before);
    let own = world.instance.runtime_dir().join("csi/fs/csi-a");
    assert_eq!(names(&own), ["counters", "traffic"]);

    for _ in 0..2 {
        world
            .driver
            .unpublish("csi-a", &target)
            .expect("unpublished");
        assert!(!target.exists() && !own.exists());
    }
    world.instance.assert_no_drift();
}

#[test]
fn a_read_only_volume_lets_nobody_write() {
    let world = World::new();
    let target = world.kubelet.target("a");
    let mut wanted = volume("csi-a", &target, VOLUME, Some(GROUP));
    wanted.readonly = true;
    world.driver.publish(wanted.clone()).expect("published");
    let pin = target.join("counters");
    read_as(GROUP, &pin).expect("the group may read");
    let error = kernel::open_pin(&pin, 0).expect_err("even root opens it to write");
    assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{error}");
    wanted.readonly = false;
    let status = world.driver.publish(wanted).expect_err("as another one");
    assert_eq!(status.code(), Code::AlreadyExists);
    // The map itself is as it was.
    let original = map_pin(&world.instance, world.program, "counters");
    kernel::open_pin(&original, 0).expect("the map can be written elsewhere");
    world
        .driver
        .unpublish("csi-a", &target)
        .expect("unpublished");
}

#[test]
fn without_a_group_the_maps_are_roots() {
    let world = World::new();
    let target = world.kubelet.target("a");
    world
        .driver
        .publish(volume("csi-a", &target, VOLUME, None))
        .expect("published");
    let mode = fs::metadata(target.join("counters"))
        .expect("a pin")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o600);
    read_as(0, &target.join("counters")).expect("root may read");
    read_as(NOBODY, &target.join("counters")).expect_err("a stranger reads");
    world
        .driver
        .unpublish("csi-a", &target)
        .expect("unpublished");
}

#[test]
fn what_is_not_there_or_there_already_is_refused() {
    let world = World::new();
    let target = world.kubelet.target("a");
    assert_eq!(
        world.refused("v", &target, ("another", "counters")),
        Code::NotFound
    );
    assert_eq!(
        world.refused("v", &target, (PROGRAM, "counters,missing")),
        Code::NotFound
    );
    assert_eq!(
        world.refused("v", &target, (PROGRAM, "maps.debug")),
        Code::NotFound
    );
    assert!(!target.exists());

    world
        .driver
        .publish(volume("v", &target, VOLUME, Some(GROUP)))
        .expect("published");
    assert_eq!(
        world.refused("v", &target, (PROGRAM, "counters")),
        Code::AlreadyExists
    );
    let other = world.kubelet.target("b");
    assert_eq!(world.refused("v", &other, VOLUME), Code::AlreadyExists);
    assert!(!other.exists());
    let status = world
        .driver
        .publish(volume("v", &target, VOLUME, Some(GROUP + 1)))
        .expect_err("for another group");
    assert_eq!(status.code(), Code::AlreadyExists);
    // Another volume's place is not taken away in the name of this one.
    world
        .driver
        .publish(volume("w", &other, VOLUME, Some(GROUP)))
        .expect("published");
    let status = world.driver.unpublish("v", &other).expect_err("another's");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(names(&other), ["counters", "traffic"]);
    // Nor in the name of one that is nowhere: it has an id, and was not left by a helper that was killed.
    assert_eq!(
        world.refused("x.1", &other, VOLUME),
        Code::FailedPrecondition
    );
    let status = world
        .driver
        .unpublish("x.1", &other)
        .expect_err("another's");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("volume w is"), "{status}");
    assert_eq!(names(&other), ["counters", "traffic"]);
    for (id, place) in [("v", &target), ("w", &other)] {
        world.driver.unpublish(id, place).expect("unpublished");
    }
}

#[test]
fn of_several_programs_of_a_name_the_lowest_is_meant() {
    let world = World::new();
    let second = load(&world.instance, &world.objects, PROGRAM);
    assert!(second > world.program);
    let target = world.kubelet.target("a");
    let id = |pin: &Path| {
        let map = kernel::open_pin(pin, kernel::READ_ONLY).expect("a map");
        kernel::map_info(std::os::fd::AsFd::as_fd(&map))
            .expect("info")
            .id
    };
    world
        .driver
        .publish(volume("v", &target, VOLUME, Some(GROUP)))
        .expect("published");
    let first = map_pin(&world.instance, world.program, "counters");
    assert_eq!(id(&target.join("counters")), id(&first));
    // The maps live on in the volume; a new one is of the program that is left.
    world
        .instance
        .ctl(&["program", "unload", &world.program.to_string()])
        .ok();
    read_as(GROUP, &target.join("counters")).expect("still there");
    let other = world.kubelet.target("b");
    world
        .driver
        .publish(volume("w", &other, VOLUME, Some(GROUP)))
        .expect("published");
    let second = map_pin(&world.instance, second, "counters");
    assert_eq!(id(&other.join("counters")), id(&second));
    for (id, place) in [("v", &target), ("w", &other)] {
        world.driver.unpublish(id, place).expect("unpublished");
    }
}

#[test]
fn targets_that_are_something_else_are_left_alone() {
    let world = World::new();
    // Not the kubelet's.
    let etc = Path::new("/etc/bpfman-csi-test");
    assert_eq!(world.refused("v", etc, VOLUME), Code::InvalidArgument);
    let file = world.kubelet.target("a");
    fs::write(&file, "data").expect("a file");
    assert_eq!(world.refused("v", &file, VOLUME), Code::Internal);
    assert_eq!(fs::read_to_string(&file).expect("the file"), "data");
    // A link out of the kubelet's directory.
    let link = world.kubelet.root().join("pods/link");
    std::os::unix::fs::symlink("/etc", &link).expect("a link");
    assert_eq!(world.refused("v", &link.join("x"), VOLUME), Code::Internal);
    // No directory above it.
    let orphan = world.kubelet.root().join("pods/none/mount");
    assert_eq!(
        world.refused("v", &orphan, VOLUME),
        Code::FailedPrecondition
    );

    let foreign = world.kubelet.target("b");
    fs::create_dir(&foreign).expect("a directory");
    mount("tmpfs", &foreign, "tmpfs", MountFlags::empty(), None).expect("a mount");
    assert_eq!(
        world.refused("v", &foreign, VOLUME),
        Code::FailedPrecondition
    );
    let status = world.driver.unpublish("v", &foreign).expect_err("not ours");
    assert_eq!(status.code(), Code::FailedPrecondition);
    unmount(&foreign, UnmountFlags::DETACH).expect("unmounted");
    world
        .driver
        .publish(volume("v", &foreign, VOLUME, Some(GROUP)))
        .expect("now it may");
    world.driver.unpublish("v", &foreign).expect("unpublished");
}

#[test]
fn a_step_that_fails_takes_back_those_before_it() {
    let world = World::new();
    let target = world.kubelet.target("a");
    // The last directory cannot be made, when the target is mounted already.
    let volumes = world.instance.runtime_dir().join("csi/fs");
    mount("tmpfs", &volumes, "tmpfs", MountFlags::RDONLY, None).expect("a mount");
    assert_eq!(world.refused("v", &target, VOLUME), Code::Internal);
    assert!(!target.exists());
    unmount(&volumes, UnmountFlags::DETACH).expect("unmounted");
    world
        .driver
        .publish(volume("v", &target, VOLUME, Some(GROUP)))
        .expect("now it may");
    world.driver.unpublish("v", &target).expect("unpublished");
}

#[test]
fn what_a_killed_helper_left_is_taken_away() {
    let world = World::new();
    let target = world.kubelet.target("a");
    let own = world.instance.runtime_dir().join("csi/fs/v");
    // On its place, but not yet under its id; and the empty directories of the steps before.
    let leave = || {
        fs::create_dir_all(&target).expect("a directory");
        fs::create_dir_all(&own).expect("a directory");
        mount("bpf", &target, "bpf", MountFlags::empty(), None).expect("a mount");
    };
    leave();
    world
        .driver
        .publish(volume("v", &target, VOLUME, Some(GROUP)))
        .expect("published");
    assert_eq!(names(&target), ["counters", "traffic"]);
    world.driver.unpublish("v", &target).expect("unpublished");
    let before = mounts();
    leave();
    world.driver.unpublish("v", &target).expect("unpublished");
    assert_eq!(mounts(), before);
    assert!(!target.exists() && !own.exists());
}

#[test]
fn volumes_outlive_the_service_and_its_workers() {
    let mut world = World::new();
    let target = world.kubelet.target("a");
    let wanted = volume("v", &target, VOLUME, Some(GROUP));
    world.driver.publish(wanted.clone()).expect("published");
    world.instance.kill_and_wait("api");
    world.instance.kill_and_wait("loader");
    let driver = Driver::of(&world.instance);
    driver.publish(wanted).expect("the same is there");
    driver.unpublish("v", &target).expect("unpublished");
    assert!(!target.exists());
}
