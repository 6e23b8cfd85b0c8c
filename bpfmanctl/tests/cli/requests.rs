//! What commands ask for, and how they show what they are told.

use crate::samples;
use crate::service::Service;
use ipc::messages::attach::{AttachSpec, Direction, Sampling};
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::loader::DoctorReport;
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace};
use ipc::messages::program::{GlobalValue, LoadOptions, ProgramKind, ProgramRequest, Source};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};

pub(crate) fn replying(reply: ClientReply) -> Service {
    Service::start(move |_, _, _| reply.clone())
}

#[test]
fn one_program_and_one_link() {
    let service = Service::start(|_, request, _| match request {
        ClientRequest::GetProgram { program_id: 512 } => {
            ClientReply::Program(Box::new(samples::full_program()))
        }
        ClientRequest::GetLink { link_id: 1 } => ClientReply::Link(Box::new(samples::xdp_link())),
        other => panic!("{other:?}"),
    });
    let program = service.run("program get 512");
    assert!(
        program.output.starts_with("Program ID: 512\n  Spec:\n"),
        "{program:?}"
    );
    assert_eq!(service.run("get program 512").output, program.output);
    let json = service.run("program get 512 -o json").output;
    assert!(
        json.starts_with("{\n  \"record\": {\n    \"program_id\": 512,\n"),
        "{json}"
    );

    let link = service.run("link get 1");
    assert!(
        link.output
            .starts_with("Link ID: 1\n  Spec:\n    BPF Function:"),
        "{link:?}"
    );
    assert_eq!(service.run("get link 1").output, link.output);
    let json = service.run("link get 1 --output=json").output;
    assert!(
        json.starts_with("{\n  \"record\": {\n    \"id\": 1,\n"),
        "{json}"
    );
}

#[test]
fn a_load_sends_the_open_file() {
    let contents = Arc::new(Mutex::new(Vec::new()));
    let read = Arc::clone(&contents);
    let service = Service::start(move |_, _, descriptors| {
        let [object] = descriptors.try_into().unwrap();
        let mut bytes = Vec::new();
        File::from(object).read_to_end(&mut bytes).unwrap();
        read.lock().unwrap().push(bytes);
        let mut other = samples::program();
        other.record.program_id = 400;
        ClientReply::Loaded(vec![samples::program(), other])
    });
    let object = service.directory().join("object.o");
    std::fs::write(&object, b"the object").unwrap();
    let path = object.to_str().unwrap();

    let loaded = service.run(&format!(
        "program load file {path} --programs xdp:pass,fentry:watch:do_unlinkat -m a=1,{app}=x -m b=2 -a shop \
         -g limit=0x1027 --map-owner-id 0 --maps-mode 0640 --maps-group root",
        app = "bpfman.io/application",
    ));
    assert_eq!((loaded.code, loaded.errors.as_str()), (0, ""));
    let [first, second]: [&str; 2] = loaded
        .output
        .split("\n\n")
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    assert!(first.starts_with("Program ID: 400\n"), "{first}");
    assert!(second.starts_with("Program ID: 512\n"), "{second}");
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        service.requests(),
        [ClientRequest::Load(LoadOptions {
            programs: vec![
                ProgramRequest {
                    name: "pass".to_owned(),
                    kind: ProgramKind::Xdp,
                    attach_function: None
                },
                ProgramRequest {
                    name: "watch".to_owned(),
                    kind: ProgramKind::Fentry,
                    attach_function: Some("do_unlinkat".to_owned())
                },
            ],
            metadata: BTreeMap::from([
                label("a", "1"),
                label("b", "2"),
                label("bpfman.io/application", "shop")
            ]),
            globals: vec![GlobalValue {
                name: "limit".to_owned(),
                bytes: vec![0x10, 0x27]
            }],
            map_owner: None,
            maps_mode: Some(0o640),
            maps_group: Some(0),
            source: Source::File(path.to_owned()),
        })]
    );

    let json = service
        .run(&format!("program load {path} --programs xdp:pass -o json"))
        .output;
    assert!(json.find("\"program_id\": 512").unwrap() < json.find("\"program_id\": 400").unwrap());
    assert_eq!(*contents.lock().unwrap(), [b"the object", b"the object"]);
}

#[test]
fn attach_requests() {
    let service = Service::start(|_, request, descriptors| {
        let ClientRequest::Attach { spec, .. } = request else {
            panic!("{request:?}")
        };
        let expected = usize::from(matches!(spec, AttachSpec::Uprobe { .. }));
        assert_eq!(descriptors.len(), expected);
        ClientReply::Link(Box::new(samples::xdp_link()))
    });
    let attached =
        service.run("link attach xdp 5 eth0 -p 50 --proceed-on drop,PASS,aborted -m a=b");
    assert_eq!((attached.code, attached.errors.as_str()), (0, ""));
    assert!(
        attached.output.starts_with("Link ID: 1\n") && !attached.output.contains("BPF Function")
    );
    assert_eq!(service.run("link attach xdp 5 eth0 --priority=0").code, 0);
    assert_eq!(
        service.run("link attach tcx 5 eth0 INGRESS -p 50 -n=").code,
        0
    );
    assert_eq!(
        service
            .run("link attach tracepoint 5 sched/sched_switch -o json")
            .code,
        0
    );
    assert_eq!(
        service
            .run("link attach uprobe 5 libc -f malloc --offset 4 --pid 0")
            .code,
        0
    );
    assert_eq!(
        service
            .run("link attach uprobe 5 /etc/passwd --offset 0x10")
            .code,
        0
    );

    let specs: Vec<AttachSpec> = service
        .requests()
        .into_iter()
        .map(|request| match request {
            ClientRequest::Attach {
                program_id: 5,
                spec,
                ..
            } => spec,
            other => panic!("{other:?}"),
        })
        .collect();
    let interface = || "eth0".to_owned();
    let xdp = |priority, proceed_on| AttachSpec::Xdp {
        interface: interface(),
        priority,
        proceed_on,
        strategy: None,
    };
    assert_eq!(specs[0], xdp(50, vec![0, 1, 2]));
    assert_eq!(specs[1], xdp(0, vec![]));
    let direction = Direction::Ingress;
    assert_eq!(
        specs[2],
        AttachSpec::Tcx {
            interface: interface(),
            direction,
            priority: 50
        }
    );
    let (group, name) = ("sched".to_owned(), "sched_switch".to_owned());
    assert_eq!(specs[3], AttachSpec::Tracepoint { group, name });
    let AttachSpec::Uprobe {
        target,
        path,
        function,
        offset: 4,
        pid: None,
        ..
    } = &specs[4]
    else {
        panic!("{:?}", specs[4]);
    };
    assert_eq!(
        (target.as_str(), function.as_deref()),
        ("libc", Some("malloc"))
    );
    assert!(path.starts_with('/') && path.contains("libc"), "{path}");
    assert!(matches!(
        &specs[5],
        AttachSpec::Uprobe {
            function: None,
            offset: 16,
            ..
        }
    ));
    let ClientRequest::Attach { metadata, .. } = &service.requests()[0] else {
        panic!()
    };
    assert_eq!(
        *metadata,
        BTreeMap::from([("a".to_owned(), "b".to_owned())])
    );
}

#[test]
fn attach_requests_for_functions_of_the_kernel() {
    let service = replying(ClientReply::Link(Box::new(samples::xdp_link())));
    for line in [
        "kprobe 5 do_unlinkat",
        "kprobe 5 do_unlinkat --offset 0x10",
        "fentry 5",
        "fexit 5 -m a=b",
        "lsm 5 -o json",
        "raw_tracepoint 5 sched_switch",
        "raw_tp 5 sched_switch",
        "tp_btf 5",
        "iter 5",
        "sk_lookup 5",
        "cgroup_skb 5 /",
        "cgroup_sock 5 /",
        "cgroup_sock_addr 5 /etc/",
        "cgroup_sockopt 5 /",
        "cgroup_sysctl 5 /",
        "cgroup_device 5 /",
        "perf_event 5 cpu-clock --frequency 99 --cpu 0",
        "perf_event 5 page-faults --period 1 --pid 7",
        "kprobe_multi 5 vfs_read vfs_write",
        "kprobe.multi 5 vfs_read",
        "netfilter 5 --family ipv4 --hook input --priority -2147483647",
        "netfilter 5 --family ipv6 --hook forward -p 2147483646 --defrag",
    ] {
        let outcome = service.run(&format!("link attach {line}"));
        assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
    }
    let specs: Vec<AttachSpec> = service
        .requests()
        .into_iter()
        .map(|request| match request {
            ClientRequest::Attach { spec, .. } => spec,
            other => panic!("{other:?}"),
        })
        .collect();
    let kprobe = |offset| AttachSpec::Kprobe {
        function: "do_unlinkat".to_owned(),
        offset,
    };
    let cgroup = |kind, path: &str| AttachSpec::Cgroup {
        kind,
        path: path.to_owned(),
    };
    let kprobe_multi = |functions: &[&str]| AttachSpec::KprobeMulti {
        functions: functions.iter().map(ToString::to_string).collect(),
    };
    let raw_tracepoint = || AttachSpec::RawTracepoint {
        name: "sched_switch".to_owned(),
    };
    assert_eq!(
        specs,
        [
            kprobe(0),
            kprobe(16),
            AttachSpec::Fentry,
            AttachSpec::Fexit,
            AttachSpec::Lsm,
            raw_tracepoint(),
            raw_tracepoint(),
            AttachSpec::TpBtf,
            AttachSpec::Iter,
            AttachSpec::SkLookup,
            cgroup(ProgramKind::CgroupSkb, "/"),
            cgroup(ProgramKind::CgroupSock, "/"),
            cgroup(ProgramKind::CgroupSockAddr, "/etc/"),
            cgroup(ProgramKind::CgroupSockopt, "/"),
            cgroup(ProgramKind::CgroupSysctl, "/"),
            cgroup(ProgramKind::CgroupDevice, "/"),
            AttachSpec::PerfEvent {
                event: "cpu-clock".to_owned(),
                sampling: Sampling::Frequency(99),
                pid: None,
                cpu: Some(0),
            },
            AttachSpec::PerfEvent {
                event: "page-faults".to_owned(),
                sampling: Sampling::Period(1),
                pid: Some(7),
                cpu: None,
            },
            kprobe_multi(&["vfs_read", "vfs_write"]),
            kprobe_multi(&["vfs_read"]),
            AttachSpec::Netfilter(NetfilterPlace {
                family: NetfilterFamily::Ipv4,
                hook: NetfilterHook::Input,
                priority: i32::MIN + 1,
                defragment: false,
            }),
            AttachSpec::Netfilter(NetfilterPlace {
                family: NetfilterFamily::Ipv6,
                hook: NetfilterHook::Forward,
                priority: i32::MAX - 1,
                defragment: true,
            }),
        ]
    );
    for line in [
        "--hook input --priority 0",
        "--family ipv4 --hook input",
        "--family ipv4 --hook ingress --priority 0",
        "--family ipv4 --hook input --priority -2147483648",
        "--family ipv4 --hook input --priority 2147483647",
    ] {
        let line = format!("link attach netfilter 5 {line}");
        assert_eq!(service.run(&line).code, 80, "{line}");
    }
    assert_eq!(service.run("link attach kprobe 5").code, 80);
    for line in [
        "--period 1",
        "--cpu 0",
        "--cpu 0 --period 0",
        "--pid 1 --period 1 --frequency 1",
    ] {
        let line = format!("link attach perf_event 5 cpu-clock {line}");
        assert_eq!(service.run(&line).code, 80, "{line}");
    }
    assert_eq!(service.run("link attach fentry 5 do_unlinkat").code, 80);
}

#[test]
fn batches_say_nothing_when_all_goes_well() {
    let service = replying(ClientReply::Done);
    for line in ["program unload 1 2", "link detach 3"] {
        let outcome = service.run(line);
        assert_eq!(
            (
                outcome.code,
                outcome.output.as_str(),
                outcome.errors.as_str()
            ),
            (0, "", ""),
            "{line}"
        );
    }
    assert_eq!(
        service.requests(),
        [
            ClientRequest::Unload { program_id: 1 },
            ClientRequest::Unload { program_id: 2 },
            ClientRequest::Detach { link_id: 3 }
        ]
    );
}

#[test]
fn the_state_of_the_service() {
    let service = replying(ClientReply::Status(samples::processes()));
    let status = service.run("status");
    assert_eq!(status.code, 0);
    assert!(status.output.starts_with("ROLE "), "{}", status.output);
    assert_eq!(status.output.lines().count(), 7, "a note below");
    assert!(
        service
            .run("status -o json")
            .output
            .starts_with("{\n  \"processes\": [\n")
    );

    let sound = replying(ClientReply::Doctor(DoctorReport {
        checked: 3,
        findings: vec![],
    }));
    let outcome = sound.run("doctor");
    assert_eq!(
        (outcome.code, outcome.output.as_str()),
        (0, "no differences (3 checked)\n")
    );

    let findings = vec![
        "pin /x is gone: \x1b[31mload again".to_owned(),
        "second".to_owned(),
    ];
    let ill = replying(ClientReply::Doctor(DoctorReport {
        checked: 3,
        findings,
    }));
    let outcome = ill.run("doctor");
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.output,
        "pin /x is gone: \\u{1b}[31mload again\nsecond\n"
    );
    assert_eq!(
        outcome.errors,
        "bpfman: error: 2 difference(s) between the records, the pins and the kernel\n"
    );
    assert_eq!(ill.run("doctor -o json").code, 1);
}
