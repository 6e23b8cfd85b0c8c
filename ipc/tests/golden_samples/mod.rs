//! Values for golden frames: places, chains, processes.

pub(crate) mod images;
pub(crate) mod libxdp;
pub(crate) mod volumes;

use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::chain::{
    Chain, Dispatcher, DispatcherMember, Filter, ForeignDispatcher, ForeignMember, HookEntry,
    HookKey, HookKind, HookView, InterfaceHook, SlotCounters, Strategy,
};
use ipc::messages::client::ClientRequest;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::hello::Hello;
use ipc::messages::helper::HelperJob;
use ipc::messages::loader::{LoaderRequest, Session};
use ipc::messages::mprog::{MprogHook, MprogMember, NetkitHook};
use ipc::messages::netfilter::{NetfilterFamily, NetfilterHook, NetfilterPlace};
use ipc::messages::program::{
    GlobalType, GlobalValue, LoadOptions, ProgramKind, ProgramRequest, Source, TypedGlobal,
};
use ipc::messages::supervision::{Control, ProcessState, ProcessStatus};
use ipc::role::Role;
use std::collections::BTreeMap;

pub(crate) fn hook() -> HookKey {
    HookKey {
        kind: HookKind::TcIngress,
        nsid: 4_026_531_840,
        ifindex: 2,
    }
}

pub(crate) fn netfilter_place() -> NetfilterPlace {
    NetfilterPlace {
        family: NetfilterFamily::Ipv6,
        hook: NetfilterHook::Forward,
        priority: -50,
        defragment: true,
    }
}

pub(crate) fn create_mprog_link() -> HelperJob {
    HelperJob::CreateMprogLink {
        ifindex: 2,
        interface: "eth0".to_owned(),
        hook: MprogHook::Tcx(Direction::Egress),
        member: MprogMember {
            program_id: 42,
            priority: 50,
            link_id: 0,
        },
        siblings: vec![MprogMember {
            program_id: 41,
            priority: 10,
            link_id: 7,
        }],
    }
}

pub(crate) fn create_netfilter_link() -> HelperJob {
    HelperJob::CreateNetfilterLink {
        place: netfilter_place(),
        program_id: 42,
    }
}

pub(crate) fn note_interface() -> HelperJob {
    HelperJob::NoteInterface {
        ifindex: 2,
        interface: "eth0".to_owned(),
    }
}

pub(crate) fn list_mprog() -> HelperJob {
    HelperJob::ListMprog {
        ifindex: 2,
        hooks: vec![
            MprogHook::Tcx(Direction::Ingress),
            MprogHook::Netkit(NetkitHook::Peer),
        ],
    }
}

pub(crate) fn show_hooks() -> ClientRequest {
    ClientRequest::ShowHooks {
        interface: "eth0".to_owned(),
        netns: Some("/run/netns/blue".to_owned()),
    }
}

pub(crate) fn show_hooks_to(session: Session) -> LoaderRequest {
    LoaderRequest::ShowHooks {
        session,
        interface: "eth0".to_owned(),
        netns: None,
    }
}

pub(crate) fn chain() -> Chain {
    Chain {
        dispatcher: Dispatcher {
            key: hook(),
            interface: "eth0".to_owned(),
            netns: String::new(),
            strategy: Strategy::Libxdp,
            requested: None,
            reason: "asked for".to_owned(),
            mode: None,
            revision: 3,
            program_id: 515,
            kernel_link_id: None,
            filter: Some(Filter {
                priority: 50,
                handle: 1,
            }),
            member_count: 1,
        },
        members: vec![member()],
    }
}

fn member() -> DispatcherMember {
    DispatcherMember {
        program_id: 5,
        program_name: "count".to_owned(),
        program_pin: "/r/prog_5".to_owned(),
        link_id: 1,
        kernel_link_id: Some(9),
        link_pin: "/r/link_0".to_owned(),
        position: 0,
        priority: 50,
        proceed_on: 0x8000_0010,
        metadata: [("owner".to_owned(), "acme".to_owned())].into(),
        counters: Some(SlotCounters {
            packets: 2,
            verdicts: vec![(3, 2)],
        }),
    }
}

pub(crate) fn foreign_dispatcher() -> ForeignDispatcher {
    ForeignDispatcher {
        program_id: 77,
        version: 2,
        members: vec![ForeignMember {
            program_id: Some(75),
            name: "xdp_pass".to_owned(),
            priority: 50,
            proceed_on: 0x8000_0004,
        }],
    }
}

pub(crate) fn hook_view() -> HookView {
    HookView {
        hook: InterfaceHook::TcIngress,
        dispatcher: Some(chain().dispatcher),
        entries: vec![HookEntry {
            program_id: 5,
            name: "count".to_owned(),
            member: Some(member()),
            reason: "first".to_owned(),
            has_moved: true,
        }],
        foreign: Some(foreign_dispatcher()),
    }
}

pub(crate) fn process() -> ProcessStatus {
    ProcessStatus {
        role: "loader".to_owned(),
        state: ProcessState::Serving,
        pid: 10,
        uid: 0,
        cap_effective: 1 << 39,
        cap_permitted: 1 << 39,
        seccomp_mode: 2,
        no_new_privs: true,
        landlock: 6,
        generation: 1,
        restarts: 0,
        memory: 4096,
        note: String::new(),
    }
}

pub(crate) fn uprobe() -> AttachSpec {
    AttachSpec::Uprobe {
        target: "libc".to_owned(),
        path: "/lib/libc.so.6".to_owned(),
        function: Some("malloc".to_owned()),
        offset: 4,
        pid: Some(1),
        container_pid: None,
    }
}

pub(crate) fn tcx() -> AttachSpec {
    AttachSpec::Tcx {
        interface: "eth0".to_owned(),
        direction: Direction::Egress,
        priority: 50,
    }
}

pub(crate) fn programs() -> Vec<ProgramRequest> {
    vec![ProgramRequest {
        name: "count".to_owned(),
        kind: ProgramKind::Lsm,
        attach_function: Some("f".to_owned()),
    }]
}

pub(crate) fn globals() -> Vec<GlobalValue> {
    vec![GlobalValue {
        name: "g".to_owned(),
        bytes: vec![1, 2],
    }]
}

pub(crate) fn failure() -> Failure {
    Failure::new(FailureCode::Rejected, Stage::Load, "cause")
        .remedy("remedy")
        .verifier_log("log".to_owned())
}

pub(crate) fn set_log(specification: String) -> Control {
    Control::SetLog { specification }
}

pub(crate) fn labels() -> BTreeMap<String, String> {
    [("owner".to_owned(), "acme".to_owned())].into()
}

pub(crate) fn hello(role: Role) -> Hello {
    Hello {
        version: 1,
        role,
        build_id: "build".to_owned(),
        generation: 2,
    }
}

pub(crate) fn types() -> Vec<TypedGlobal> {
    vec![TypedGlobal {
        name: "g".to_owned(),
        given_as: GlobalType::U16,
    }]
}

pub(crate) fn options() -> LoadOptions {
    LoadOptions {
        programs: programs(),
        metadata: labels(),
        globals: globals(),
        map_owner: Some(7),
        maps_mode: Some(0o640),
        maps_group: Some(8),
        source: Source::File("a.o".to_owned()),
    }
}
