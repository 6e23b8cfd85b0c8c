//! Frames as they stand on the wire: a change of a message that changes its bytes shows up in review.
//!
//! `UPDATE_GOLDEN=1 cargo test -p ipc` writes the file anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod golden_file;
mod golden_samples;

use golden_samples::{
    chain, create_mprog_link, create_netfilter_link, failure, foreign_dispatcher, globals, hello,
    hook, hook_view, images, labels, libxdp, list_mprog, note_interface, options, process,
    programs, set_log, show_hooks, show_hooks_to, tcx, types, uprobe, volumes,
};
use ipc::codec;
use ipc::frame::Header;
use ipc::limits::PLAN_BYTES;
use ipc::messages::Message;
use ipc::messages::attach::{
    AttachSpec, Link, LinkDetails, LinkEntry, LinkNumbers, LinkRecord, ProbePlace, Sampling,
    XdpMode,
};
use ipc::messages::chain::Strategy;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::helper::{HelperJob, HelperKind, HelperResult};
use ipc::messages::image::{ImageReply, ImageRequest, PlanDelivery, PlanReceipt};
use ipc::messages::kernel::{
    ForeignLink, Inventory, KernelLink, KernelMap, KernelProgram, ProgramStats,
};
use ipc::messages::loader::{DoctorReport, Errand, LoaderReply, LoaderRequest};
use ipc::messages::program::{Program, ProgramEntry, ProgramKind, ProgramRecord, Source};
use ipc::messages::supervision::{Control, SandboxReport, Status};
use ipc::role::Role;
use std::collections::BTreeSet;
use std::fmt::Write;

fn record() -> ProgramRecord {
    ProgramRecord {
        program_id: 5,
        name: "count".to_owned(),
        kind: ProgramKind::Tcx,
        section: "tcx/ingress".to_owned(),
        attach_function: None,
        license: "GPL".to_owned(),
        gpl_compatible: true,
        metadata: labels(),
        globals: globals(),
        source: Source::File("a.o".to_owned()),
        object_digest: [3; 32],
        plan_path: "/s/p".to_owned(),
        pin_path: "/r/prog_5".to_owned(),
        maps_dir: "/r/maps/5".to_owned(),
        map_owner: None,
        loaded_by: 1000,
        created_at: 1_700_000_000,
    }
}

fn link_record() -> LinkRecord {
    LinkRecord {
        id: 1,
        program_id: 5,
        kernel_link_id: Some(9),
        kind: ProgramKind::Xdp,
        pin_path: "/r/links/1".to_owned(),
        details: LinkDetails::Xdp {
            interface: "eth0".to_owned(),
            ifindex: 2,
            priority: 50,
            position: 0,
            proceed_on: vec![2, 31],
            netns: String::new(),
            nsid: 4_026_531_840,
            dispatcher_id: 0,
            revision: 0,
            mode: XdpMode::Generic,
            strategy: Strategy::Direct,
        },
        created_at: 1_700_000_001,
        metadata: labels(),
    }
}

fn link() -> Link {
    Link {
        record: link_record(),
        program_name: "count".to_owned(),
        kernel: Some(KernelLink::default()),
        pin_present: true,
        numbers: LinkNumbers::None,
    }
}

fn link_entry() -> LinkEntry {
    LinkEntry {
        record: link_record(),
        program_name: "count".to_owned(),
        program_kind: ProgramKind::Xdp,
        program_metadata: labels(),
    }
}

fn program() -> Program {
    Program {
        record: record(),
        kernel: Some(KernelProgram {
            id: 5,
            map_ids: vec![6],
            memlock: Some(4096),
            ..KernelProgram::default()
        }),
        stats: Some(ProgramStats {
            runtime_ns: 1,
            run_count: 2,
            recursion_misses: 3,
        }),
        links: vec![link()],
        maps: vec![KernelMap {
            id: 6,
            present: true,
            ..KernelMap::default()
        }],
        map_used_by: vec![5],
    }
}

fn entry() -> ProgramEntry {
    ProgramEntry {
        record: record(),
        kernel: None,
        links: vec![1],
        attached: true,
    }
}

/// One line for each sample; every variant of the direction must be among them.
fn direction<M: Message>(golden: &mut String, from: Role, to: Role, samples: &[M]) {
    let seen: BTreeSet<u16> = samples.iter().map(Message::kind).collect();
    assert_eq!(
        seen.len(),
        M::KINDS.len(),
        "a variant from {from} to {to} has no sample"
    );
    for sample in samples {
        let body = codec::encode(sample, PLAN_BYTES).unwrap();
        let mut header = Header::new(sample.kind(), 42, 2);
        header.length = u32::try_from(body.len()).unwrap();
        write!(
            golden,
            "{from} {to} {} ",
            M::KINDS[usize::from(sample.kind())]
        )
        .unwrap();
        for byte in header.encode().iter().chain(&body) {
            write!(golden, "{byte:02x}").unwrap();
        }
        golden.push('\n');
    }
}

#[test]
fn every_message_has_its_golden_frame() {
    let mut golden = String::new();
    let control = [
        Control::Hello(hello(Role::Supervisor)),
        Control::Activate,
        Control::PeerUp {
            peer: Role::Image,
            generation: 3,
        },
        Control::PeerDown {
            peer: Role::Image,
            generation: 3,
        },
        Control::HelperStarted,
        Control::HelperRefused {
            reason: "too many".to_owned(),
        },
        Control::StatusReport(vec![process()]),
        Control::Stop,
        set_log("info,loader=debug".to_owned()),
    ];
    direction(&mut golden, Role::Supervisor, Role::Loader, &control);
    let status = [
        Status::Hello(hello(Role::Loader)),
        Status::Ready(SandboxReport {
            pid: 3,
            groups: vec![4],
            descriptors: vec![0, 1, 2, 3],
            ..SandboxReport::default()
        }),
        Status::Serving,
        Status::PeerFault {
            peer: Role::Api,
            generation: 1,
            fault: "fault".to_owned(),
        },
        Status::StartHelper {
            kind: HelperKind::ChangeGroup,
        },
        Status::QueryStatus,
        Status::Drained,
    ];
    direction(&mut golden, Role::Loader, Role::Supervisor, &status);
    let requests = [
        ClientRequest::Hello(hello(Role::Client)),
        ClientRequest::Load(options()),
        ClientRequest::GetProgram { program_id: 5 },
        ClientRequest::ListPrograms,
        ClientRequest::Unload { program_id: 5 },
        ClientRequest::Attach {
            program_id: 5,
            spec: uprobe(),
            metadata: labels(),
        },
        ClientRequest::Detach { link_id: 1 },
        ClientRequest::GetLink { link_id: 1 },
        ClientRequest::ListLinks,
        ClientRequest::Status,
        ClientRequest::Doctor,
        ClientRequest::ListKernelPrograms,
        ClientRequest::ListKernelMaps,
        ClientRequest::ListKernelLinks,
        ClientRequest::AttachInNamespace {
            program_id: 42,
            spec: AttachSpec::SkLookup,
            netns: "/run/netns/blue".to_owned(),
            metadata: Default::default(),
        },
        ClientRequest::ListDispatchers,
        ClientRequest::GetDispatcher { key: hook() },
        ClientRequest::ConvertChain {
            key: hook(),
            strategy: Some(Strategy::Fused),
        },
        show_hooks(),
        ClientRequest::LoadTyped {
            options: options(),
            types: types(),
        },
    ];
    let requests = [&requests[..], &images::client_requests(options(), types())].concat();
    direction(&mut golden, Role::Client, Role::Api, &requests);
    let doctor = DoctorReport {
        checked: 2,
        findings: vec!["finding".to_owned()],
    };
    let replies = [
        ClientReply::Hello(hello(Role::Api)),
        ClientReply::Failed(failure()),
        ClientReply::Done,
        ClientReply::Loaded(vec![program()]),
        ClientReply::Program(Box::new(program())),
        ClientReply::Programs(vec![entry()]),
        ClientReply::Link(Box::new(link())),
        ClientReply::Links(vec![link_entry()]),
        ClientReply::Status(vec![process()]),
        ClientReply::Doctor(doctor.clone()),
        ClientReply::KernelPrograms(vec![program().kernel.unwrap()]),
        ClientReply::KernelMaps(program().maps),
        ClientReply::KernelLinks(vec![ForeignLink {
            link: link().kernel.unwrap(),
            attachment: "eth0".to_owned(),
        }]),
        ClientReply::Dispatchers(vec![chain().dispatcher]),
        ClientReply::Chain(Box::new(chain())),
        ClientReply::Hooks(vec![hook_view()]),
    ];
    let replies = [&replies[..], &images::client_replies()].concat();
    direction(&mut golden, Role::Api, Role::Client, &replies);
    let session = 11;
    let requests = [
        LoaderRequest::Hello(hello(Role::Api)),
        LoaderRequest::OpenSession { session },
        LoaderRequest::CloseSession { session },
        LoaderRequest::Load {
            session,
            ticket: 12,
            options: options(),
        },
        LoaderRequest::CancelLoad { ticket: 12 },
        LoaderRequest::Unload {
            session,
            program_id: 5,
        },
        LoaderRequest::GetProgram {
            session,
            program_id: 5,
        },
        LoaderRequest::ListPrograms { session },
        LoaderRequest::Attach {
            session,
            program_id: 5,
            spec: tcx(),
            places: vec![],
            netns: None,
            metadata: labels(),
        },
        LoaderRequest::Detach {
            session,
            link_id: 1,
        },
        LoaderRequest::GetLink {
            session,
            link_id: 1,
        },
        LoaderRequest::ListLinks { session },
        LoaderRequest::Doctor { session },
        LoaderRequest::OpenIterator {
            session,
            of: Inventory::Links,
        },
        LoaderRequest::InstallIterators {
            session,
            ticket: 12,
        },
        LoaderRequest::ListDispatchers { session },
        LoaderRequest::GetDispatcher {
            session,
            key: hook(),
        },
        LoaderRequest::ConvertChain {
            session,
            key: hook(),
            strategy: None,
        },
        show_hooks_to(session),
        LoaderRequest::OpenPath {
            session,
            path: "/opt/counter.o".to_owned(),
            container_pid: Some(4711),
        },
        volumes::publish(session),
        volumes::unpublish(session),
        LoaderRequest::Permit {
            session,
            errand: Errand::Attach,
        },
    ];
    direction(&mut golden, Role::Api, Role::Loader, &requests);
    let replies = [
        LoaderReply::Hello(hello(Role::Loader)),
        LoaderReply::Failed(failure()),
        LoaderReply::Done,
        LoaderReply::Loaded(vec![program()]),
        LoaderReply::Program(Box::new(program())),
        LoaderReply::Programs(vec![entry()]),
        LoaderReply::Link(Box::new(link())),
        LoaderReply::Links(vec![link_entry()]),
        LoaderReply::Doctor(doctor),
        LoaderReply::Iterator,
        LoaderReply::NoIterator,
        LoaderReply::Dispatchers(vec![chain().dispatcher]),
        LoaderReply::Chain(Box::new(chain())),
        LoaderReply::Hooks(vec![hook_view()]),
        LoaderReply::PathOpened,
    ];
    direction(&mut golden, Role::Loader, Role::Api, &replies);
    let requests = [
        ImageRequest::Hello(hello(Role::Api)),
        ImageRequest::Compile {
            ticket: 12,
            programs: programs(),
            globals: globals(),
            types: types(),
        },
        ImageRequest::ResolveSymbol {
            target: "libc".to_owned(),
            function: "malloc".to_owned(),
            offset: 4,
        },
        ImageRequest::CompileIterators { ticket: 12 },
        ImageRequest::ResolveFunctions {
            target: "libc".to_owned(),
            functions: vec!["malloc".to_owned(), "free".to_owned()],
        },
        ImageRequest::ResolveUsdt {
            target: "libc".to_owned(),
            provider: "libc".to_owned(),
            name: "setjmp".to_owned(),
        },
    ];
    let requests = [&requests[..], &images::image_requests(types())].concat();
    direction(&mut golden, Role::Api, Role::Image, &requests);
    let replies = [
        ImageReply::Hello(hello(Role::Image)),
        ImageReply::Failed(failure()),
        ImageReply::Delivered,
        ImageReply::Symbol {
            file_offset: 0x1234,
        },
        ImageReply::Places(vec![ProbePlace {
            offset: 0x1234,
            semaphore: 0x40,
        }]),
    ];
    let replies = [&replies[..], &images::image_replies()].concat();
    direction(&mut golden, Role::Image, Role::Api, &replies);
    let deliveries = [
        PlanDelivery::Hello(hello(Role::Image)),
        PlanDelivery::Plan {
            ticket: 12,
            length: 100,
            digest: [7; 32],
        },
        PlanDelivery::NoPlan {
            ticket: 12,
            failure: failure(),
        },
        images::delivery(),
    ];
    direction(&mut golden, Role::Image, Role::Loader, &deliveries);
    let receipts = [PlanReceipt::Hello(hello(Role::Loader))];
    direction(&mut golden, Role::Loader, Role::Image, &receipts);
    let [publish, unpublish] = volumes::jobs();
    let [open_libxdp, publish_libxdp, retire_libxdp] = libxdp::jobs();
    let jobs = [
        HelperJob::Hello(hello(Role::Loader)),
        HelperJob::OpenTracepoint {
            group: "g".to_owned(),
            name: "n".to_owned(),
        },
        HelperJob::OpenUprobe {
            file_offset: 16,
            retprobe: true,
            pid: Some(1),
        },
        HelperJob::ChangeGroup { gid: 100 },
        HelperJob::OpenKprobe {
            function: "do_unlinkat".to_owned(),
            offset: 4,
            retprobe: false,
        },
        HelperJob::FindInterface {
            name: "eth0".to_owned(),
        },
        HelperJob::CreateXdpLink {
            ifindex: 2,
            interface: "eth0".to_owned(),
            program_id: 42,
        },
        create_mprog_link(),
        HelperJob::OpenSampled {
            event: "cpu-clock".to_owned(),
            sampling: Sampling::Period(1000),
            pid: None,
            cpu: Some(1),
        },
        HelperJob::OpenPath {
            path: "/opt/counter.o".to_owned(),
            container_pid: None,
            uid: 1000,
            gid: 100,
            groups: vec![4, 990],
        },
        HelperJob::DescribeXdp {
            program_id: 77,
            ifindex: 2,
        },
        create_netfilter_link(),
        HelperJob::OpenNetlink,
        note_interface(),
        publish,
        unpublish,
        list_mprog(),
        open_libxdp,
        publish_libxdp,
        retire_libxdp,
    ];
    direction(&mut golden, Role::Loader, Role::Helper, &jobs);
    let results = [
        HelperResult::Hello(hello(Role::Helper)),
        HelperResult::Opened,
        HelperResult::Changed,
        HelperResult::Failed(failure()),
        HelperResult::Interface { ifindex: 2 },
        HelperResult::XdpLink {
            mode: XdpMode::Native,
        },
        HelperResult::XdpProgram {
            name: "xdp_dispatcher".to_owned(),
            dispatcher: Some(foreign_dispatcher()),
        },
        HelperResult::Volume,
        HelperResult::OnMprog(vec![Some(vec![42, 43]), None]),
        HelperResult::LibxdpBusy,
        libxdp::opened(),
    ];
    direction(&mut golden, Role::Helper, Role::Loader, &results);

    golden_file::assert_lines("frames.txt", &golden);
}
