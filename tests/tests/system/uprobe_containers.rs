//! Targets of uprobes where another process sees files: in its mount namespace, from its root, and nowhere else.

use crate::kernel_functions::load;
use api_worker::proto::UprobeAttachInfo;
use api_worker::proto::attach_info::Info;
use bpfman_tests::binaries::program;
use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::uprobe_target::Target;
use bpfman_tests::{kernel, skip};
use rustix::fs::{CWD, FileType, Mode};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tonic::{Code, Status};

/// Slots of the map `counters` of the object `functions`.
const MULTI: usize = 12;
const USDT: usize = 14;

const FUNCTION: &str = "bpfman_probe_inside";
/// The program has the name of a library, so that it is found as one.
const NAME: &str = "libbpfmantarget.so.1";
const LIBRARY: &str = "libbpfmantarget";

/// Two programs at the same path, one on the host and one in a container where it runs.
struct Container {
    folder: TempDir,
    path: PathBuf,
    inside: Target,
    outside: Target,
}

impl Container {
    fn start() -> Self {
        Self::of("uprobe-target")
    }

    /// With this program.
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let root = folder.path().join("root");
        let from_root = |path: &Path| root.join(path.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(from_root(folder.path())).expect("directories");
        for copy in [path.clone(), from_root(&path)] {
            fs::copy(program(name), copy).expect("a copy");
        }
        let arguments: [&OsStr; 2] = [root.as_os_str(), path.as_os_str()];
        let mut inside = Target::run(&path, &program("in-root"), &arguments);
        // An answer: it has its root now.
        inside.call(1);
        let outside = Target::run(&path, &path, &[]);
        Self {
            folder,
            path,
            inside,
            outside,
        }
    }

    /// A path of the container, as the host sees it.
    fn in_root(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path)
    }

    fn pid(&self) -> String {
        self.inside.pid().to_string()
    }

    fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// The link of a probe that is attached over gRPC, and how often it counts three calls inside and five outside.
fn count_over_grpc(
    grpc: &Grpc,
    counter: &Counter,
    container: &mut Container,
    target: &str,
) -> Result<(u32, u64), Status> {
    let info = UprobeAttachInfo {
        container_pid: i32::try_from(container.inside.pid()).ok(),
        ..function_of(target)
    };
    let link = grpc.attach(counter.program, Info::UprobeAttachInfo(info))?;
    let start = counter.value();
    container.inside.call(3);
    container.outside.call(5);
    Ok((link, counter.value() - start))
}

fn function_of(target: &str) -> UprobeAttachInfo {
    UprobeAttachInfo {
        fn_name: Some(FUNCTION.to_owned()),
        target: target.to_owned(),
        ..UprobeAttachInfo::default()
    }
}

#[test]
fn uprobes_in_a_container_are_opened_for_clients_of_grpc() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let grpc = Grpc::to(&instance);
    let mut container = Container::start();
    let (pid, path) = (container.pid(), container.path());
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let (link, counted) =
        count_over_grpc(&grpc, &counter, &mut container, &path).expect("it attaches");
    assert_eq!(counted, 3);
    let shown = instance.ctl(&["link", "get", &link.to_string(), "-o", "json"]);
    let details = shown.json()["record"]["details"].clone();
    assert_eq!(details["container_pid"].to_string(), pid);
    assert_eq!(details["target"], path);
    grpc.detach(link).expect("it detaches");

    // By name, from the container's own cache of the linker; that of the host does not know it.
    let missing = count_over_grpc(&grpc, &counter, &mut container, LIBRARY).expect_err("no cache");
    assert_eq!(missing.code(), Code::Internal);
    fs::create_dir_all(container.in_root("etc")).expect("a directory");
    let cache = linker_cache(NAME, &path);
    fs::write(container.in_root("etc/ld.so.cache"), cache).expect("a cache");
    let (link, counted) =
        count_over_grpc(&grpc, &counter, &mut container, LIBRARY).expect("it attaches");
    assert_eq!(counted, 3);
    grpc.detach(link).expect("it detaches");

    // No link leads out, as for bpfmanctl.
    symlink("../secret", container.in_root("up")).expect("a link");
    fs::copy(&container.path, container.folder.path().join("secret")).expect("a copy");
    for (target, why) in [
        ("/up", "does not exist"),
        ("/etc", "is a directory"),
        ("/nowhere", "does not exist"),
    ] {
        let refused =
            count_over_grpc(&grpc, &counter, &mut container, target).expect_err("it is refused");
        let message = refused.message();
        let place = format!("\"{target}\" among the files of process {pid}");
        assert!(
            message.contains(&place) && message.contains(why),
            "{message}"
        );
    }
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
}

/// How often a probe at this place counts three calls inside and five outside.
fn count(
    instance: &Instance,
    counter: &Counter,
    container: &mut Container,
    place: &[&str],
) -> (u64, Value) {
    let id = counter.id();
    let arguments = [&["uprobe", &id], place, &["--fn-name", FUNCTION]].concat();
    let (link, attached) = instance.attach(&arguments);
    let start = counter.value();
    container.inside.call(3);
    container.outside.call(5);
    let counted = counter.value() - start;
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    container.inside.call(1);
    container.outside.call(1);
    assert_eq!(counter.value(), start + counted, "counts after the detach");
    (counted, attached["record"]["details"].clone())
}

fn refused(instance: &Instance, counter: &Counter, place: &[&str]) -> String {
    let id = counter.id();
    let command = [&["link", "attach", "uprobe", &id], place, &["-f", FUNCTION]].concat();
    instance.ctl(&command).refused()
}

/// A cache of the dynamic linker with one library (the format of glibc 2.2 and later).
fn linker_cache(name: &str, path: &str) -> Vec<u8> {
    const HEADER: usize = 48;
    const ENTRY: usize = 24;
    let mut cache = b"glibc-ld.so.cache1.1".to_vec();
    cache.extend(1_u32.to_ne_bytes());
    cache.resize(HEADER, 0);
    let names = (HEADER + ENTRY) as u32;
    for number in [3, names, names + name.len() as u32 + 1, 0, 0, 0] {
        cache.extend(number.to_ne_bytes());
    }
    for text in [name, path] {
        cache.extend(text.bytes().chain([0]));
    }
    cache
}

#[test]
fn uprobes_in_a_container_count_there_and_nowhere_else() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut container = Container::start();
    let (pid, path) = (container.pid(), container.path());
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    let place = [path.as_str(), "--container-pid", &pid];
    let (counted, details) = count(&instance, &counter, &mut container, &place);
    assert_eq!(counted, 3, "{details}");
    assert_eq!(details["container_pid"].to_string(), pid);
    assert_eq!(details["target"], path);

    let (counted, details) = count(&instance, &counter, &mut container, &[&path]);
    assert_eq!((counted, &details["container_pid"]), (5, &Value::from(0)));

    // By what it has mapped: the file that it sees, not the one of the host at the same path.
    let place = [LIBRARY, "--pid", &pid];
    let (counted, details) = count(&instance, &counter, &mut container, &place);
    assert_eq!(counted, 3, "{details}");
    assert_eq!(details["pid"].to_string(), pid);

    // By name, from the container's own cache of the linker.
    let place = [LIBRARY, "--container-pid", &pid];
    let unknown = refused(&instance, &counter, &place);
    assert!(
        unknown.contains(&format!(
            "/etc/ld.so.cache among the files of process {pid}"
        )),
        "{unknown}"
    );
    fs::create_dir_all(container.in_root("etc")).expect("a directory");
    fs::write(
        container.in_root("etc/ld.so.cache"),
        linker_cache(NAME, &path),
    )
    .expect("a cache");
    let (counted, details) = count(&instance, &counter, &mut container, &place);
    assert_eq!((counted, &details["target"]), (3, &Value::from(LIBRARY)));
    refused(&instance, &counter, &[LIBRARY]);
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    before.assert_unchanged(&instance, "unload");
}

#[test]
fn uprobes_in_a_container_may_be_at_several_places() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let mut container = Container::of("probe-target");
    let (pid, path) = (container.pid(), container.path());
    // What one round passes: two functions, and both places of the probe.
    for (kind, slot, places) in [
        (
            "uprobe_multi",
            MULTI,
            &["probe_target_first", "probe_target_second"][..],
        ),
        ("usdt", USDT, &["bpfman_tests:visited"]),
    ] {
        let counter = load(&instance, &format!("{kind}:{kind}_count"), slot).expect("loaded");
        let id = counter.id();
        let arguments = [&[kind, &id, &path], places, &["--container-pid", &pid]].concat();
        if kernel::version() < (6, 6) {
            let refused = instance.ctl(&[&["link", "attach"], &arguments[..]].concat());
            let refused = refused.refused();
            assert!(refused.contains("no uprobe_multi links"), "{refused}");
            skip::skip(kind, &refused);
        } else {
            let (link, attached) = instance.attach(&arguments);
            let details = &attached["record"]["details"];
            assert_eq!(details["container_pid"].to_string(), pid);
            container.inside.call(3);
            container.outside.call(5);
            assert_eq!(counter.value(), 6, "{kind}");
            instance.ctl(&["link", "detach", &link.to_string()]).ok();
            container.inside.call(1);
            assert_eq!(counter.value(), 6, "{kind} after the detach");
            // What only the host has is not found there.
            let own = program("map-reader").to_string_lossy().into_owned();
            let nowhere = [&[kind, &id, &own], places, &["--container-pid", &pid]].concat();
            let error = instance.ctl(&[&["link", "attach"], &nowhere[..]].concat());
            let expected = format!("among the files of process {pid} does not exist");
            let error = error.refused();
            assert!(error.contains(&expected), "{error}");
        }
        instance.ctl(&["program", "unload", &id]).ok();
        before.assert_unchanged(&instance, "unload");
    }
}

#[test]
fn uprobes_in_a_container_follow_no_link_out_of_it() {
    let instance = Instance::start();
    let mut container = Container::start();
    let (pid, path) = (container.pid(), container.path());
    let counter = Counter::load(&instance, "uprobe:uprobe_count", slot::UPROBE);
    // What is only on the host: the same program under another name.
    let secret = container.folder.path().join("secret");
    fs::copy(&container.path, &secret).expect("a copy");
    let magic = format!("/proc/{}/root{}", std::process::id(), secret.display());
    for (link, to) in [
        ("to-the-program", path.as_str()),
        ("absolute", secret.to_str().expect("UTF-8")),
        ("up", "../secret"),
        ("magic", &magic),
    ] {
        symlink(to, container.in_root(link)).expect("a link");
    }
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(CWD, container.in_root("pipe"), FileType::Fifo, mode, 0).expect("a pipe");

    let place = ["/to-the-program", "--container-pid", &pid];
    let (counted, details) = count(&instance, &counter, &mut container, &place);
    assert_eq!(counted, 3, "{details}");
    let before = Traces::of(&instance);
    for (path, why) in [
        ("/absolute", "does not exist"),
        ("/up", "does not exist"),
        ("/../../../secret", "does not exist"),
        ("/magic", "symbolic links"),
        ("/pipe", "is not a regular file"),
        ("/proc", "is a directory"),
    ] {
        let error = refused(&instance, &counter, &[path, "--container-pid", &pid]);
        let expected = format!("target \"{path}\" among the files of process {pid}");
        assert!(error.contains(&expected) && error.contains(why), "{error}");
    }
    drop(container);
    let error = refused(&instance, &counter, &[&path, "--container-pid", &pid]);
    let expected = format!("container namespace for PID {pid} not accessible");
    assert!(error.contains(&expected), "{error}");
    before.assert_unchanged(&instance, "refused attaches");
}

#[test]
fn uprobes_in_a_container_take_the_right_to_look_into_it() {
    let instance = Instance::start();
    let container = Container::start();
    let (pid, path) = (container.pid(), container.path());
    let place = [
        "link",
        "attach",
        "uprobe",
        "1",
        &path,
        "-f",
        FUNCTION,
        "--container-pid",
        &pid,
    ];
    let error = instance.ctl_as(61_999, &place).refused();
    let expected = format!("container namespace for PID {pid} not accessible");
    assert!(
        error.contains(&expected) && error.contains("Permission denied"),
        "{error}"
    );
}
