//! The tests of the one-shot helpers.

use crate::cases::dies_of;
use crate::harness::{Place, UID};
use crate::probe::Setup;
use ipc::messages::helper::HelperKind;
use ipc::role::Role;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::os::unix::fs::MetadataExt;

pub fn perf_helper_opens_a_uprobe(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::PerfEvent));
    let mut probe = place.enter(&arguments);
    let own = std::env::current_exe().unwrap();
    let offset = offset_of(perf_helper_opens_a_uprobe);
    assert_eq!(
        probe.act(&format!("uprobe {} {offset}", own.display())),
        "ok"
    );
    assert_eq!(probe.act("blocking"), "ok");
    assert_eq!(probe.end().code, Some(0));
    // A thread is not part of its job.
    dies_of(place.enter(&arguments), "perf helper", "thread");
}

/// Where a function of this program is in its file: what lies at just any offset need not be an instruction.
fn offset_of(function: fn(&Place)) -> u64 {
    let address = function as usize as u64;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut offsets = maps.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
        let offset = hexadecimal(fields.nth(1)?)?;
        (start..end)
            .contains(&address)
            .then(|| address - start + offset)
    });
    offsets.next().unwrap()
}

pub fn group_helper_changes_a_group_and_no_owner(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::ChangeGroup));
    let path = place.path("run/pin");
    std::fs::write(&path, "x").unwrap();
    let setup = || Setup {
        descriptor: Some(path.to_str().unwrap().to_owned()),
        ..Setup::default()
    };
    let mut probe = place.start(&arguments, &setup());
    // Not a group of the helper's: without CAP_CHOWN the kernel refuses.
    assert_eq!(probe.act(&format!("group {}", UID + 7)), "ok");
    assert_eq!(std::fs::metadata(&path).unwrap().gid(), UID + 7);
    probe.end();
    assert_eq!(place.enter(&arguments).act("blocking"), "ok");
    dies_of(
        place.start(&arguments, &setup()),
        "group helper",
        &format!("owner {UID}"),
    );
    assert_eq!(std::fs::metadata(&path).unwrap().uid(), 0);
}

pub fn netns_helper_enters_network_namespaces_alone(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::NetworkNamespace));
    let setup = || Setup {
        namespace: true,
        ..Setup::default()
    };
    let mut probe = place.start(&arguments, &setup());
    for act in [
        "network-namespace",
        "interface lo",
        "give-up",
        "interface lo",
    ] {
        assert_eq!(probe.act(act), "ok", "{act}");
    }
    assert_eq!(probe.end().code, Some(0));
    assert_eq!(place.enter(&arguments).act("blocking"), "ok");
    for act in [
        "mount-namespace",
        "any-namespace",
        "thread",
        // MAP_CREATE, MAP_LOOKUP_ELEM, MAP_DELETE_ELEM, PROG_LOAD, OBJ_PIN, OBJ_GET, PROG_GET_FD_BY_ID, LINK_UPDATE,
        // LINK_DETACH.
        "bpf 0",
        "bpf 1",
        "bpf 3",
        "bpf 5",
        "bpf 6",
        "bpf 7",
        "bpf 13",
        "bpf 29",
        "bpf 34",
    ] {
        dies_of(place.start(&arguments, &setup()), "netns helper", act);
    }
    for act in ["network-namespace", "mount-namespace"] {
        let perf = place.arguments(Role::Helper, Some(HelperKind::PerfEvent));
        dies_of(place.start(&perf, &setup()), "perf helper", act);
    }
}

pub fn open_helper_reads_and_writes_nothing(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::OpenPath));
    let open_to_all = place.path("elsewhere/open-to-all");
    let mut probe = place.enter(&arguments);
    assert_eq!(probe.act(&format!("read {}", open_to_all.display())), "ok");
    assert_eq!(probe.act("read /etc/shadow"), "EACCES");
    assert_eq!(probe.act(&look_into_this_process()), "EACCES");
    assert_eq!(probe.act("blocking"), "ok");
    assert_eq!(probe.end().code, Some(0));
    for act in [
        &format!("create {}", open_to_all.display()) as &str,
        "thread",
        "bpf 5",
    ] {
        dies_of(place.enter(&arguments), "open helper", act);
    }
}

/// This one is root's, with all capabilities.
fn look_into_this_process() -> String {
    format!("list /proc/{}/root", std::process::id())
}

pub fn container_helper_looks_into_processes_and_writes_nothing(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::OpenInContainer));
    let open_to_all = place.path("elsewhere/open-to-all");
    let mut probe = place.enter(&arguments);
    assert_eq!(probe.act(&look_into_this_process()), "ok");
    // Looking into a process is not reading whatever one likes.
    assert_eq!(probe.act("read /etc/shadow"), "EACCES");
    assert_eq!(probe.act("blocking"), "ok");
    assert_eq!(probe.end().code, Some(0));
    for act in [
        &format!("create {}", open_to_all.display()) as &str,
        "thread",
        "bpf 5",
        "mount-namespace",
        "any-namespace",
    ] {
        dies_of(place.enter(&arguments), "container helper", act);
    }
}

pub fn xdp_helper_changes_nothing(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::DescribeXdp));
    assert_eq!(place.enter(&arguments).act("blocking"), "ok");
    for act in [
        "thread",
        // MAP_UPDATE_ELEM, MAP_DELETE_ELEM, PROG_LOAD, OBJ_PIN, PROG_ATTACH, PROG_DETACH, LINK_CREATE, LINK_UPDATE,
        // LINK_GET_FD_BY_ID, LINK_DETACH.
        "bpf 2", "bpf 3", "bpf 5", "bpf 6", "bpf 8", "bpf 9", "bpf 28", "bpf 29", "bpf 30",
        "bpf 34",
    ] {
        dies_of(place.enter(&arguments), "xdp helper", act);
    }
}

pub fn libxdp_helper_pins_beneath_libxdp_alone(place: &Place) {
    const BPFFS: &str = "/sys/fs/bpf";
    mount("bpffs", BPFFS, "bpf", MountFlags::empty(), None).expect("bpffs");
    for directory in ["/sys/fs/bpf", "/sys/fs/bpf/xdp", "/sys/fs/bpf/other"] {
        if directory != BPFFS {
            std::fs::create_dir(directory).expect("mkdir");
        }
        // Open to all: only Landlock can be what refuses.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory, open).expect("chmod");
    }
    let arguments = place.arguments(Role::Helper, Some(HelperKind::Libxdp));
    let mut probe = place.enter(&arguments);
    for act in [
        "lock /sys/fs/bpf/xdp",
        "make-directory /sys/fs/bpf/xdp/dispatch-2-7",
        "remove-directory /sys/fs/bpf/xdp/dispatch-2-7",
        // Where libxdp was never used.
        "make-directory /sys/fs/bpf/new",
        "blocking",
    ] {
        assert_eq!(probe.act(act), "ok", "{act}");
    }
    let elsewhere = format!("make-directory {}", place.path("run/fs/x").display());
    for act in [
        "remove-directory /sys/fs/bpf/new",
        "remove-directory /sys/fs/bpf/other",
        "lock /sys/fs/bpf/other",
        "lock /sys/fs/bpf",
        "read /etc/shadow",
        &elsewhere,
        &look_into_this_process(),
    ] {
        assert_eq!(probe.act(act), "EACCES", "{act}");
    }
    assert_eq!(probe.end().code, Some(0));
    for act in [
        "thread",
        // MAP_CREATE, MAP_UPDATE_ELEM, PROG_LOAD, PROG_ATTACH, PROG_DETACH, LINK_CREATE, LINK_UPDATE, LINK_GET_FD_BY_ID,
        // LINK_DETACH.
        "bpf 0", "bpf 2", "bpf 5", "bpf 8", "bpf 9", "bpf 28", "bpf 29", "bpf 30", "bpf 34",
    ] {
        dies_of(place.enter(&arguments), "libxdp helper", act);
    }
    unmount(BPFFS, UnmountFlags::DETACH).expect("mounted above");
}

pub fn mount_helper_mounts_descriptors_and_opens_no_file(place: &Place) {
    let arguments = place.arguments(Role::Helper, Some(HelperKind::MountVolume));
    let mut probe = place.enter(&arguments);
    // By descriptors, and lazily: they are tried, and fail for what they are tried with.
    assert_eq!(probe.act("move-mount 68"), "EBADF");
    assert_eq!(probe.act("unmount 2"), "ENOENT");
    // A directory of its own user, listed as std does it.
    assert_eq!(
        probe.act(&format!("list {}", place.path("run").display())),
        "EACCES"
    );
    assert_eq!(probe.act(&look_into_this_process()), "EACCES");
    assert_eq!(probe.act("blocking"), "ok");
    assert_eq!(probe.end().code, Some(0));
    for act in [
        "mount /mnt",
        // From a path to a path; at once; by force.
        "move-mount 0",
        "unmount 0",
        "unmount 1",
        "mount-namespace",
        "any-namespace",
        "thread",
        // MAP_CREATE, MAP_UPDATE_ELEM, PROG_LOAD, OBJ_GET, PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID, LINK_CREATE.
        "bpf 0",
        "bpf 2",
        "bpf 5",
        "bpf 7",
        "bpf 13",
        "bpf 14",
        "bpf 28",
    ] {
        dies_of(place.enter(&arguments), "mount helper", act);
    }
}
