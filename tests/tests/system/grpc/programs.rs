//! What the seven methods do and tell, and that it is the same as what `bpfmanctl` does and tells.

use api_worker::proto::attach_info::Info;
use api_worker::proto::bytecode_location::Location;
use api_worker::proto::{
    BpfmanProgramType, ListRequest, LoadRequest, TcxAttachInfo, UprobeAttachInfo, XdpAttachInfo,
};
use bpfman_tests::binaries::program;
use bpfman_tests::fixture::{Counter, Objects, slot};
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::{INTERFACE, Netns};
use bpfman_tests::process::call_getpid;
use bpfman_tests::uprobe_target::Target;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

const XDP: BpfmanProgramType = BpfmanProgramType::Xdp;

/// Loads a program of the object `counter` that counts in a map that this process may read: the interface has no modes for
/// maps, so another program, loaded with one, owns it.
fn load_counter(
    instance: &Instance,
    grpc: &Grpc,
    name: &str,
    program_type: BpfmanProgramType,
    slot: usize,
) -> (u32, Counter) {
    let owner = Counter::load(instance, "tracepoint:tracepoint_count", slot);
    let response = grpc
        .load(LoadRequest {
            map_owner_id: Some(owner.program),
            ..load_request(&Objects::new().object("counter"), &[(name, program_type)])
        })
        .expect("it loads");
    let kernel = response.programs[0].kernel_info.as_ref();
    (kernel.expect("kernel_info").id, owner)
}

fn labels(text: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("owner".to_owned(), text.to_owned())])
}

#[test]
fn loaded_programs_are_told_whole_and_the_same_to_everybody() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let grpc = Grpc::to(&instance);
    let before = Traces::of(&instance);
    let programs = [
        ("tracepoint_count", BpfmanProgramType::Tracepoint),
        ("xdp_count", XDP),
        ("uprobe_count", BpfmanProgramType::Uprobe),
    ];
    let request = LoadRequest {
        metadata: BTreeMap::from([
            ("owner".to_owned(), "acme".to_owned()),
            (
                "bpfman.io/actual-type:uprobe_count".to_owned(),
                "uretprobe".to_owned(),
            ),
        ]),
        global_data: [("step".to_owned(), 3u64.to_ne_bytes().to_vec())].into(),
        uuid: Some("ignored".to_owned()),
        map_owner_id: Some(0),
        ..load_request(&object, &programs)
    };
    let asked = request.clone();
    let loaded = grpc.load(request).expect("they load").programs;
    let names: Vec<&str> = loaded
        .iter()
        .map(|program| program.info.as_ref().expect("info").name.as_str())
        .collect();
    assert_eq!(names, ["tracepoint_count", "xdp_count", "uprobe_count"]);
    let mut ids = Vec::new();
    for program in &loaded {
        let (info, kernel) = (
            program.info.clone().expect("info"),
            program.kernel_info.clone().expect("kernel_info"),
        );
        ids.push(kernel.id);
        assert_eq!(info.bytecode, asked.bytecode);
        assert_eq!(info.metadata, asked.metadata);
        assert_eq!(info.global_data, asked.global_data);
        assert_eq!(info.map_owner_id, None);
        assert_eq!(info.map_used_by, [kernel.id.to_string()], "no shared maps");
        let maps = instance.fs().join("maps").join(kernel.id.to_string());
        assert_eq!(info.map_pin_path, maps.display().to_string());
        assert!(info.links.is_empty());
        assert!(kernel.gpl_compatible && kernel.bytes_xlated > 0 && kernel.verified_insns > 0);
        assert!(!kernel.map_ids.is_empty() && kernel.btf_id > 0 && kernel.bytes_memlock > 0);
        assert_eq!(kernel.jited, kernel.bytes_jited > 0);
        assert_eq!(kernel.tag.len(), 16, "{}", kernel.tag);
        assert!(kernel.loaded_at.ends_with('Z'), "{}", kernel.loaded_at);
        let cli = instance.ctl(&["program", "get", &kernel.id.to_string(), "-o", "json"]);
        let cli = cli.json();
        assert_eq!(cli["status"]["kernel"]["tag"], kernel.tag.as_str());
        assert_eq!(
            cli["status"]["kernel"]["loaded_at"],
            kernel.loaded_at.as_str()
        );
        assert_eq!(
            cli["record"]["load"]["source_path"],
            object.display().to_string()
        );
        let got = grpc.get(kernel.id).expect("it is there");
        assert_eq!(got.kernel_info.as_ref(), Some(&kernel));
        let bytecode = got.info.expect("info").bytecode.expect("bytecode");
        let Some(Location::File(stored)) = bytecode.location else {
            panic!("{bytecode:?}");
        };
        assert!(Path::new(&stored).exists(), "{stored}");
    }
    let types: Vec<u32> = loaded
        .iter()
        .map(|program| program.kernel_info.as_ref().expect("kernel").program_type)
        .collect();
    assert_eq!(types, [2, 0, 4], "a uretprobe counts as a uprobe");

    let listed = |request| {
        let results = grpc.list(request).expect("a list");
        let id = |result: &api_worker::proto::list_response::ListResult| {
            result.kernel_info.as_ref().expect("kernel_info").id
        };
        results.iter().map(id).collect::<Vec<u32>>()
    };
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    assert_eq!(listed(ListRequest::default()), sorted);
    // Others' programs are never told, whatever is asked for.
    let everything = ListRequest {
        bpfman_programs_only: Some(false),
        ..ListRequest::default()
    };
    assert_eq!(listed(everything), sorted);
    let of_type = |program_type| ListRequest {
        program_type: Some(program_type),
        ..ListRequest::default()
    };
    assert_eq!(listed(of_type(0)), [ids[1]]);
    assert!(listed(of_type(4)).is_empty(), "a uretprobe is no uprobe");
    let matching = |owner: &str| ListRequest {
        match_metadata: labels(owner),
        ..ListRequest::default()
    };
    assert_eq!(listed(matching("acme")).len(), 3);
    assert!(listed(matching("acm")).is_empty());

    // One program uses the maps of another.
    let sharing = grpc
        .load(LoadRequest {
            map_owner_id: Some(ids[1]),
            ..load_request(&object, &[("xdp_count", XDP)])
        })
        .expect("it loads");
    let info = sharing.programs[0].info.clone().expect("info");
    assert_eq!(info.map_owner_id, Some(ids[1]));
    assert_eq!(info.map_used_by.len(), 2);
    ids.push(sharing.programs[0].kernel_info.as_ref().expect("kernel").id);

    for id in ids {
        grpc.unload(id).expect("it unloads");
    }
    assert!(listed(ListRequest::default()).is_empty());
    before.assert_unchanged(&instance, "unload");
}

#[test]
fn a_batch_loads_whole_or_not_at_all() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let before = Traces::of(&instance);
    let programs = [
        ("accepted", BpfmanProgramType::Tcx),
        ("rejected", BpfmanProgramType::Tcx),
    ];
    let object = Objects::new();
    let request = load_request(&object.object("invalid"), &programs);
    grpc.load(request).expect_err("one is rejected");
    assert!(
        grpc.list(ListRequest::default())
            .expect("a list")
            .is_empty()
    );
    before.assert_unchanged(&instance, "a batch of which one fails");
}

#[test]
fn attachments_run_keep_their_labels_and_end() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let (id, counter) = load_counter(&instance, &grpc, "xdp_count", XDP, slot::XDP);
    let info = Info::XdpAttachInfo(XdpAttachInfo {
        iface: INTERFACE.to_owned(),
        priority: 50,
        position: 7,
        metadata: labels("acme"),
        ..XdpAttachInfo::default()
    });
    let link = grpc.attach(id, info).expect("it attaches");
    instance.netns().send_packets(3);
    assert!(counter.value() >= 3, "{}", counter.value());
    let cli = instance
        .ctl(&["link", "get", &link.to_string(), "-o", "json"])
        .json();
    assert_eq!(cli["record"]["metadata"]["owner"], "acme");
    assert_eq!(cli["record"]["details"]["priority"], 50);
    let got = grpc.get(id).expect("it is there");
    assert_eq!(got.info.expect("info").links, [link]);
    let results = grpc.list(ListRequest {
        program_type: Some(0),
        ..ListRequest::default()
    });
    let results = results.expect("a list");
    assert_eq!(results[0].info.as_ref().expect("info").links, [link]);
    grpc.detach(link).expect("it detaches");
    let seen = counter.value();
    instance.netns().send_packets(3);
    assert_eq!(counter.value(), seen, "it runs no more");
    grpc.unload(id).expect("it unloads");
}

#[test]
fn targets_of_uprobes_are_opened_for_the_client() {
    let instance = Instance::start();
    let mut target = Target::start();
    let grpc = Grpc::to(&instance);
    let kind = BpfmanProgramType::Uprobe;
    let (id, counter) = load_counter(&instance, &grpc, "uprobe_count", kind, slot::UPROBE);
    let info = Info::UprobeAttachInfo(UprobeAttachInfo {
        fn_name: Some("bpfman_probe_inside".to_owned()),
        target: target.path(),
        pid: Some(0),
        container_pid: Some(0),
        metadata: labels("acme"),
        ..UprobeAttachInfo::default()
    });
    let link = grpc.attach(id, info).expect("it attaches");
    target.call(5);
    assert_eq!(counter.value(), 5);
    grpc.detach(link).expect("it detaches");
    target.call(5);
    assert_eq!(counter.value(), 5);
}

#[test]
fn libraries_are_found_for_the_client() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let kind = BpfmanProgramType::Uprobe;
    let (id, counter) = load_counter(&instance, &grpc, "uprobe_count", kind, slot::UPROBE);
    let info = Info::UprobeAttachInfo(UprobeAttachInfo {
        fn_name: Some("getpid".to_owned()),
        target: "libc".to_owned(),
        pid: i32::try_from(std::process::id()).ok(),
        ..UprobeAttachInfo::default()
    });
    let link = grpc.attach(id, info).expect("it attaches");
    let shown = instance.ctl(&["link", "get", &link.to_string(), "-o", "json"]);
    assert_eq!(shown.json()["record"]["details"]["target"], "libc");
    let start = counter.value();
    call_getpid(6);
    let at_end = counter.value();
    assert!(at_end >= start + 6, "{start} to {at_end}");
    grpc.detach(link).expect("it detaches");
    let at_detach = counter.value();
    call_getpid(6);
    assert_eq!(counter.value(), at_detach);
}

#[test]
fn network_namespaces_are_opened_for_the_client() {
    bpfman_tests::require!(bpfman_tests::kernel::tcx());
    let instance = Instance::start();
    let elsewhere = Netns::new();
    let grpc = Grpc::to(&instance);
    let (kind, slot) = (BpfmanProgramType::Tcx, slot::TCX_INGRESS);
    let (id, counter) = load_counter(&instance, &grpc, "tcx_ingress_count", kind, slot);
    let info = Info::TcxAttachInfo(TcxAttachInfo {
        iface: INTERFACE.to_owned(),
        direction: "ingress".to_owned(),
        priority: 50,
        netns: Some(elsewhere.path()),
        ..TcxAttachInfo::default()
    });
    let link = grpc.attach(id, info).expect("it attaches");
    elsewhere.send_packets(3);
    assert!(counter.value() >= 3, "{}", counter.value());
    grpc.detach(link).expect("it detaches");
}

#[test]
fn namespaces_of_processes_are_opened_for_the_client() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let (id, counter) = load_counter(&instance, &grpc, "xdp_count", XDP, slot::XDP);
    let elsewhere = Netns::new();
    let process = elsewhere.inside(|| Command::new("sleep").arg("600").spawn());
    let mut process = process.expect("sleep");
    let pid = process.id();
    let to = |netns: String| {
        let info = XdpAttachInfo {
            iface: INTERFACE.to_owned(),
            priority: 50,
            netns: Some(netns),
            ..XdpAttachInfo::default()
        };
        grpc.attach(id, Info::XdpAttachInfo(info))
    };
    let link = to(format!("/proc/{pid}/ns/net")).expect("it attaches");
    elsewhere.send_packets(3);
    assert!(counter.value() >= 3, "{}", counter.value());
    let counted = counter.value();
    instance.netns().send_packets(3);
    assert_eq!(counter.value(), counted, "it runs there alone");
    grpc.detach(link).expect("it detaches");
    process.kill().expect("its end");
    process.wait().expect("its end");
    let gone = to(format!("/proc/{pid}/ns/net")).expect_err("no process");
    assert_eq!(gone.code(), tonic::Code::InvalidArgument, "{gone}");
}

/// What a process of another user is told.
fn ask_as(uid: u32, instance: &Instance, arguments: &[&str]) -> String {
    let output = Command::new(program("as-user"))
        .arg(uid.to_string())
        .arg(program("grpc-ask"))
        .arg(instance.grpc_socket())
        .args(arguments)
        .output()
        .expect("cannot start grpc-ask");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

#[test]
fn the_socket_keeps_strangers_out_and_the_loader_those_who_come_in_all_the_same() {
    let instance = Instance::start();
    let socket = instance.grpc_socket();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o7777;
    assert_eq!(mode(&socket), 0o660);
    assert_eq!(mode(socket.parent().expect("a directory")), 0o755);
    const STRANGER: u32 = 61_990;
    let told = ask_as(STRANGER, &instance, &["list"]);
    assert!(told.starts_with("Unavailable"), "{told}");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("chmod");
    let told = ask_as(STRANGER, &instance, &["list"]);
    assert!(told.starts_with("PermissionDenied"), "{told}");
    // Not even a file of its own is opened for it.
    let objects = Objects::new();
    let object = objects.object("counter");
    let file = object.display().to_string();
    let told = ask_as(STRANGER, &instance, &["load", &file, "xdp_count"]);
    assert!(told.starts_with("PermissionDenied"), "{told}");
    // Nor is a registry asked, where nobody listens.
    let told = ask_as(STRANGER, &instance, &["pull", "localhost:1/a:b"]);
    assert!(told.starts_with("PermissionDenied"), "{told}");
    let told = ask_as(0, &instance, &["pull", "localhost:1/a:b"]);
    assert!(!told.starts_with("PermissionDenied"), "{told}");
    assert_eq!(ask_as(0, &instance, &["list"]), "ok 0");
}

#[test]
fn files_are_opened_by_the_modes_that_count_for_the_client() {
    let instance = Instance::start();
    let objects = Objects::new();
    let grpc = Grpc::to(&instance);
    let own = objects.object("counter");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o400)).expect("chmod");
    // Neither the loader nor the image worker may read it.
    grpc.loaded(&own, &[("xdp_count", XDP)]);
    let others = objects.file("others.o", bpf::COUNTER);
    std::os::unix::fs::chown(&others, Some(61_990), Some(61_990)).expect("chown");
    fs::set_permissions(&others, fs::Permissions::from_mode(0o400)).expect("chmod");
    let refused = grpc.load(load_request(&others, &[("xdp_count", XDP)]));
    let told = refused.expect_err("root's capabilities are not used");
    assert!(told.message().contains("modes of files count"), "{told}");
    for (path, cause) in [("/dev/null", "not a regular file"), ("/etc", "a directory")] {
        let refused = grpc.load(load_request(Path::new(path), &[("xdp_count", XDP)]));
        let told = refused.expect_err("no file");
        assert!(told.message().contains(cause), "{told}");
    }
}
