//! One test per row of the table of methods and codes.

use api_worker::proto::attach_info::Info;
use api_worker::proto::bytecode_location::Location;
use api_worker::proto::{
    AttachInfo, AttachRequest, BpfmanProgramType, BytecodeImage, BytecodeLocation,
    KprobeAttachInfo, ListRequest, LoadRequest, TcAttachInfo, TcxAttachInfo, TracepointAttachInfo,
    UprobeAttachInfo, XdpAttachInfo,
};
use bpfman_tests::fixture::Objects;
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::uprobe_target::Target;
use std::time::Duration;
use tonic::{Code, Request, Status};

const XDP: BpfmanProgramType = BpfmanProgramType::Xdp;

#[track_caller]
pub(super) fn assert_code<T: std::fmt::Debug>(
    outcome: Result<T, Status>,
    code: Code,
    row: &str,
) -> String {
    let status = outcome.expect_err(row);
    assert_eq!(status.code(), code, "{row}: {}", status.message());
    assert!(!status.message().is_empty(), "{row}");
    status.message().to_owned()
}

fn image(image_pull_policy: i32) -> BytecodeLocation {
    BytecodeLocation {
        location: Some(Location::Image(BytecodeImage {
            url: "registry.example/counter:v1".to_owned(),
            image_pull_policy,
            ..BytecodeImage::default()
        })),
    }
}

#[test]
fn load() {
    let instance = Instance::start();
    let objects = Objects::new();
    let (counter, invalid) = (objects.object("counter"), objects.object("invalid"));
    let (globals, functions) = (objects.object("globals"), objects.object("functions"));
    let grpc = Grpc::to(&instance);
    let before = Traces::of(&instance);
    let good = || load_request(&counter, &[("xdp_count", XDP)]);
    let of = |object, name, program_type| load_request(object, &[(name, program_type)]);
    let with_global = |name: &str, bytes: &[u8]| LoadRequest {
        global_data: [(name.to_owned(), bytes.to_vec())].into(),
        ..of(&globals, "reads_globals", XDP)
    };
    let unknown_type = {
        let mut request = good();
        request.info[0].program_type = 9;
        request
    };
    let missing = objects.path("missing.o");
    for (row, code, request) in [
        (
            "bytecode missing",
            Code::InvalidArgument,
            LoadRequest {
                bytecode: None,
                ..good()
            },
        ),
        (
            "info empty",
            Code::InvalidArgument,
            load_request(&counter, &[]),
        ),
        (
            "unknown pull policy",
            Code::InvalidArgument,
            LoadRequest {
                bytecode: Some(image(3)),
                ..good()
            },
        ),
        (
            "location unset",
            Code::InvalidArgument,
            LoadRequest {
                bytecode: Some(BytecodeLocation { location: None }),
                ..good()
            },
        ),
        (
            "name empty",
            Code::InvalidArgument,
            load_request(&counter, &[("xdp_count", XDP), ("", XDP)]),
        ),
        ("unknown type", Code::InvalidArgument, unknown_type),
        (
            "no such map owner",
            Code::InvalidArgument,
            LoadRequest {
                map_owner_id: Some(4_000_000_000),
                ..good()
            },
        ),
        ("file missing", Code::Internal, of(&missing, "a", XDP)),
        (
            "not in the object",
            Code::Internal,
            load_request(&counter, &[("xdp_count", XDP), ("nothing", XDP)]),
        ),
        (
            "another section",
            Code::Internal,
            of(&counter, "xdp_count", BpfmanProgramType::Tracepoint),
        ),
        (
            "rejected by the verifier",
            Code::Internal,
            of(&invalid, "rejected", BpfmanProgramType::Tcx),
        ),
        (
            "no such global",
            Code::Internal,
            with_global("nothing", &[1]),
        ),
        (
            "size of a global",
            Code::Internal,
            with_global("small", &[1, 2]),
        ),
        (
            "fentry without a function",
            Code::Internal,
            of(&functions, "fentry_count", BpfmanProgramType::Fentry),
        ),
        (
            "fexit without a function",
            Code::Internal,
            of(&functions, "fexit_count", BpfmanProgramType::Fexit),
        ),
        (
            "lsm without a hook",
            Code::Internal,
            of(&functions, "lsm_count", BpfmanProgramType::Lsm),
        ),
    ] {
        assert_code(grpc.load(request), code, row);
    }
    let relative = of(std::path::Path::new("counter.o"), "xdp_count", XDP);
    let told = assert_code(grpc.load(relative), Code::Internal, "relative path");
    assert!(told.contains("absolute"), "{told}");
    let rejected = of(&invalid, "rejected", BpfmanProgramType::Tcx);
    let told = assert_code(grpc.load(rejected), Code::Internal, "log");
    assert!(told.contains("processed"), "the log's end: {told}");
    before.assert_unchanged(&instance, "loads that fail");
}

#[test]
fn unload_get_detach_and_list() {
    let instance = Instance::start();
    let other = Instance::start();
    let objects = Objects::new();
    let foreign = Grpc::to(&other).loaded(&objects.object("counter"), &[("xdp_count", XDP)])[0];
    let grpc = Grpc::to(&instance);
    let unknown = assert_code(grpc.unload(4_000_000_000), Code::NotFound, "unload unknown");
    assert!(unknown.contains("does not exist"), "{unknown}");
    let unmanaged = assert_code(grpc.unload(foreign), Code::NotFound, "unload unmanaged");
    assert!(unmanaged.contains("not managed by bpfman"), "{unmanaged}");
    assert_code(grpc.get(4_000_000_000), Code::NotFound, "get unknown");
    assert_code(grpc.get(foreign), Code::NotFound, "get unmanaged");
    assert_code(grpc.detach(4_000_000_000), Code::NotFound, "detach unknown");
    let of_type = |program_type| ListRequest {
        program_type: Some(program_type),
        ..ListRequest::default()
    };
    assert_code(grpc.list(of_type(9)), Code::InvalidArgument, "list");
    assert!(grpc.list(of_type(8)).expect("lsm is a type").is_empty());
    assert!(Grpc::to(&other).get(foreign).is_ok(), "it was not touched");
}

fn xdp(iface: &str, priority: i32) -> XdpAttachInfo {
    XdpAttachInfo {
        iface: iface.to_owned(),
        priority,
        ..XdpAttachInfo::default()
    }
}

fn tcx(iface: &str, direction: &str) -> Info {
    Info::TcxAttachInfo(TcxAttachInfo {
        iface: iface.to_owned(),
        direction: direction.to_owned(),
        priority: 50,
        ..TcxAttachInfo::default()
    })
}

fn tc(direction: &str, proceed_on: &[i32]) -> Info {
    Info::TcAttachInfo(TcAttachInfo {
        iface: INTERFACE.to_owned(),
        direction: direction.to_owned(),
        proceed_on: proceed_on.to_vec(),
        ..TcAttachInfo::default()
    })
}

fn tracepoint(tracepoint: &str) -> Info {
    Info::TracepointAttachInfo(TracepointAttachInfo {
        tracepoint: tracepoint.to_owned(),
        ..TracepointAttachInfo::default()
    })
}

pub(super) fn kprobe(fn_name: &str) -> Info {
    Info::KprobeAttachInfo(KprobeAttachInfo {
        fn_name: fn_name.to_owned(),
        ..KprobeAttachInfo::default()
    })
}

fn uprobe(target: &str, fn_name: &str) -> UprobeAttachInfo {
    UprobeAttachInfo {
        target: target.to_owned(),
        fn_name: (!fn_name.is_empty()).then(|| fn_name.to_owned()),
        ..UprobeAttachInfo::default()
    }
}

#[test]
fn attach() {
    let instance = Instance::start();
    let objects = Objects::new();
    let grpc = Grpc::to(&instance);
    let loaded = grpc.loaded(
        &objects.object("counter"),
        &[
            ("xdp_count", XDP),
            ("tcx_ingress_count", BpfmanProgramType::Tcx),
            ("tc_count", BpfmanProgramType::Tc),
            ("tracepoint_count", BpfmanProgramType::Tracepoint),
            ("uprobe_count", BpfmanProgramType::Uprobe),
        ],
    );
    let [xdp_id, tcx_id, tc_id, tracepoint_id, uprobe_id] = loaded[..] else {
        panic!("{loaded:?}");
    };
    let of_returns = instance.load(&objects.object("counter"), "uretprobe:uretprobe_count", &[])[0];
    let before = Traces::of(&instance);
    let whole = |id, attach| {
        let request = AttachRequest { id, attach };
        grpc.call(async |mut client| client.attach(request).await)
    };
    assert_code(whole(xdp_id, None), Code::InvalidArgument, "attach missing");
    assert_code(
        whole(xdp_id, Some(AttachInfo { info: None })),
        Code::Unimplemented,
        "info unset",
    );
    let target = Target::start();
    let path = target.path();
    let unknown = 4_000_000_000;
    let in_netns = |netns: &str| {
        Info::XdpAttachInfo(XdpAttachInfo {
            netns: Some(netns.to_owned()),
            ..xdp(INTERFACE, 50)
        })
    };
    let proceed_on = |code| {
        Info::XdpAttachInfo(XdpAttachInfo {
            proceed_on: vec![code],
            ..xdp(INTERFACE, 50)
        })
    };
    let to_xdp = |iface, priority| Info::XdpAttachInfo(xdp(iface, priority));
    let to_uprobe = |info| Info::UprobeAttachInfo(info);
    let not_a_namespace = objects.object("counter");
    for (row, code, id, info) in [
        (
            "unknown program",
            Code::NotFound,
            unknown,
            to_xdp(INTERFACE, 50),
        ),
        (
            "unknown program, nothing to open",
            Code::NotFound,
            unknown,
            to_uprobe(uprobe("/nowhere", "main")),
        ),
        ("id 0", Code::InvalidArgument, 0, to_xdp(INTERFACE, 50)),
        (
            "kind",
            Code::FailedPrecondition,
            tcx_id,
            to_xdp(INTERFACE, 50),
        ),
        (
            "kind, nothing to open",
            Code::FailedPrecondition,
            tcx_id,
            to_uprobe(uprobe("/nowhere", "main")),
        ),
        (
            "kind, nothing to find",
            Code::FailedPrecondition,
            tcx_id,
            to_uprobe(uprobe("/bin/sh", "no_such_function_here")),
        ),
        (
            "xdp: iface empty",
            Code::InvalidArgument,
            xdp_id,
            to_xdp("", 50),
        ),
        (
            "xdp: priority",
            Code::InvalidArgument,
            xdp_id,
            to_xdp(INTERFACE, -1),
        ),
        (
            "xdp: proceed_on",
            Code::InvalidArgument,
            xdp_id,
            proceed_on(5),
        ),
        (
            "xdp: no interface",
            Code::InvalidArgument,
            xdp_id,
            to_xdp("nothing0", 50),
        ),
        (
            "xdp: netns",
            Code::InvalidArgument,
            xdp_id,
            in_netns("/run/netns/nothing"),
        ),
        (
            "xdp: no netns",
            Code::InvalidArgument,
            xdp_id,
            in_netns(&not_a_namespace.display().to_string()),
        ),
        (
            "tcx: direction",
            Code::InvalidArgument,
            tcx_id,
            tcx(INTERFACE, "up"),
        ),
        (
            "tcx: no interface",
            Code::InvalidArgument,
            tcx_id,
            tcx("nothing0", "ingress"),
        ),
        ("tc: direction", Code::InvalidArgument, tc_id, tc("", &[])),
        (
            "tc: proceed_on",
            Code::InvalidArgument,
            tc_id,
            tc("ingress", &[9]),
        ),
        (
            "tracepoint malformed",
            Code::InvalidArgument,
            tracepoint_id,
            tracepoint("sched_switch"),
        ),
        (
            "tracepoint malformed twice",
            Code::InvalidArgument,
            tracepoint_id,
            tracepoint("sched/sched/switch"),
        ),
        (
            "kprobe: function empty",
            Code::InvalidArgument,
            uprobe_id,
            kprobe(""),
        ),
        (
            "uprobe: target empty",
            Code::InvalidArgument,
            uprobe_id,
            to_uprobe(uprobe("", "main")),
        ),
        (
            "uprobe: pid",
            Code::InvalidArgument,
            uprobe_id,
            to_uprobe(UprobeAttachInfo {
                pid: Some(-1),
                ..uprobe(&path, "main")
            }),
        ),
        (
            "uprobe: container_pid",
            Code::InvalidArgument,
            uprobe_id,
            to_uprobe(UprobeAttachInfo {
                container_pid: Some(-1),
                ..uprobe(&path, "main")
            }),
        ),
        (
            "uprobe: no place",
            Code::Internal,
            uprobe_id,
            to_uprobe(uprobe(&path, "")),
        ),
        (
            "uprobe: no function",
            Code::Internal,
            uprobe_id,
            to_uprobe(uprobe(&path, "nothing")),
        ),
        (
            "uretprobe: inside of the function",
            Code::InvalidArgument,
            of_returns,
            to_uprobe(UprobeAttachInfo {
                offset: 1,
                ..uprobe(&path, "bpfman_probe_inside")
            }),
        ),
        (
            "uprobe: container_pid of no process",
            Code::Internal,
            uprobe_id,
            to_uprobe(UprobeAttachInfo {
                container_pid: Some(i32::MAX),
                ..uprobe(&path, "bpfman_probe_inside")
            }),
        ),
        (
            "uprobe: no library",
            Code::Internal,
            uprobe_id,
            to_uprobe(uprobe("libnothing-of-this-name", "main")),
        ),
        (
            "uprobe: library with a long name",
            Code::InvalidArgument,
            uprobe_id,
            to_uprobe(uprobe(&"l".repeat(ipc::limits::NAME_BYTES + 1), "main")),
        ),
        (
            "uprobe: no target",
            Code::Internal,
            uprobe_id,
            to_uprobe(uprobe("/nowhere", "main")),
        ),
    ] {
        assert_code(grpc.attach(id, info), code, row);
    }
    let near = grpc.attach(tracepoint_id, tracepoint("sched/sched_swich"));
    let told = assert_code(near, Code::NotFound, "tracepoint missing");
    assert!(told.contains("sched/sched_switch"), "suggestions: {told}");
    before.assert_unchanged(&instance, "attachments that fail");
}

#[test]
fn a_second_tcx_attachment_of_a_program_is_internal() {
    bpfman_tests::require!(bpfman_tests::kernel::tcx());
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let programs = [("tcx_ingress_count", BpfmanProgramType::Tcx)];
    let id = grpc.loaded(&Objects::new().object("counter"), &programs)[0];
    grpc.attach(id, tcx(INTERFACE, "Ingress"))
        .expect("attached");
    let again = grpc.attach(id, tcx(INTERFACE, "ingress"));
    let told = assert_code(again, Code::Internal, "duplicate");
    assert!(told.contains("already attached"), "{told}");
}

#[test]
fn a_client_that_is_in_time_is_answered() {
    let instance = Instance::start();
    let outcome = Grpc::to(&instance).call(async |mut client| {
        let mut request = Request::new(ListRequest::default());
        request.set_timeout(Duration::from_secs(60));
        client.list(request).await
    });
    assert!(outcome.expect("in time").results.is_empty());
}
