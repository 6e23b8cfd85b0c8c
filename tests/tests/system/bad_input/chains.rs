//! Hooks that take no more, or not this way, and maps that do not fit: the same over the command line and gRPC.

use super::assert_says;
use api_worker::proto::XdpAttachInfo;
use api_worker::proto::attach_info::Info;
use bpfman_tests::fixture::Objects;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::{Instance, ask};
use bpfman_tests::leftovers::Traces;
use bpfman_tests::netns::INTERFACE;
use ipc::messages::attach::AttachSpec;
use ipc::messages::chain::Strategy;
use ipc::messages::client::{ClientReply, ClientRequest};
use std::collections::BTreeMap;
use tonic::Code;

/// Tries to attach by both ways: what is said has all the words, in gRPC under this code, and nothing has changed.
#[track_caller]
fn assert_refused(instance: &Instance, id: u32, words: &[&str]) {
    let before = Traces::of(instance);
    let error = instance
        .ctl(&[
            "link",
            "attach",
            "xdp",
            &id.to_string(),
            INTERFACE,
            "-p",
            "50",
        ])
        .refused();
    assert_says(&error, words);
    let info = XdpAttachInfo {
        priority: 50,
        iface: INTERFACE.to_owned(),
        ..XdpAttachInfo::default()
    };
    let status = Grpc::to(instance)
        .attach(id, Info::XdpAttachInfo(info))
        .expect_err("refused");
    assert_eq!(status.code(), Code::Internal, "{}", status.message());
    for word in words {
        assert!(status.message().contains(word), "{}", status.message());
    }
    before.assert_unchanged(instance, "a refused attach");
}

/// Somebody else is another bpfman here.
#[test]
fn hooks_of_others_and_hooks_for_one_alone() {
    let instance = Instance::start();
    let (folder, _) = Instance::fresh_place();
    let (_, netns) = instance.place();
    let other = Instance::start_in(folder, netns, &[]);
    let object = Objects::new();
    let object = object.object("counter");
    let id = instance.load(&object, "xdp:xdp_count", &[])[0];
    let theirs = other.load(&object, "xdp:xdp_count", &[])[0].to_string();
    let attach = ["xdp", &theirs, INTERFACE, "-p", "1", "--strategy", "direct"];
    other.attach(&attach);
    // Made anew where programs are loaded to replace functions.
    let listed = other.ctl(&["dispatcher", "list", "-o", "json"]).json();
    let on_hook = &listed["dispatchers"][0]["runtime"]["program_id"];
    let name = format!("program {on_hook} \"xdp_count\"");
    let taken = "interface already has an XDP program attached";
    assert_refused(
        &instance,
        id,
        &[taken, &name, "detach the one on veth0 first"],
    );
    // By the way it is told to its owner.
    let owners: u32 = theirs.parse().expect("an id");
    assert_refused(
        &other,
        owners,
        &["one program alone on the hook, and 2", "chain convert"],
    );
    other.ctl(&["program", "unload", &theirs]).ok();
    instance.attach(&["xdp", &id.to_string(), INTERFACE, "-p", "1"]);
}

#[test]
fn a_dispatcher_with_all_its_members() {
    let instance = Instance::start();
    let id = instance.load(&Objects::new().object("counter"), "xdp:xdp_count", &[])[0];
    let mut client = instance.client();
    let mut attach = |strategy| {
        let spec = AttachSpec::Xdp {
            interface: INTERFACE.to_owned(),
            priority: 1,
            proceed_on: vec![],
            strategy,
        };
        let request = ClientRequest::Attach {
            program_id: id,
            spec,
            metadata: BTreeMap::new(),
        };
        ask(&mut client, &request)
    };
    let mut members = 0;
    match attach(Some(Strategy::Libxdp)) {
        ClientReply::Failed(failure) => {
            assert_says(
                &failure.to_string(),
                &["attach", "freplace", "--strategy fused"],
            );
        }
        _ => {
            for _ in 1..10 {
                let answer = attach(None);
                assert!(matches!(answer, ClientReply::Link(_)), "{answer:?}");
            }
            assert_refused(
                &instance,
                id,
                &[
                    "no free dispatcher slots (all 10 occupied)",
                    "--strategy fused",
                ],
            );
            members = 10;
        }
    }
    // As the remedy says. To the end where this is all: elsewhere emulated machines would work on it for minutes.
    let last = if members == 0 { 64 } else { members + 1 };
    for _ in members..last {
        let answer = attach(Some(Strategy::Fused));
        assert!(matches!(answer, ClientReply::Link(_)), "{answer:?}");
    }
    if last == 64 {
        assert_refused(
            &instance,
            id,
            &[
                "no free dispatcher slots (all 64 occupied)",
                "detach one first",
            ],
        );
    }
}

#[test]
fn maps_of_an_owner_that_are_others() {
    let instance = Instance::start();
    let objects = Objects::new();
    let owner = instance.load(&objects.object("chain"), "xdp:xdp_member", &[])[0].to_string();
    let before = Traces::of(&instance);
    let load = |object: &str, program: &str| {
        let path = objects.object(object);
        let path = path.to_string_lossy();
        let load = ["program", "load", "file", &path, "--programs", program];
        let error = instance.ctl(&[&load[..], &["--map-owner-id", &owner]].concat());
        error.refused()
    };
    let words = format!("load shared map \"trail\" from owner {owner}: incompatible shared map");
    assert_says(
        &load("order", "tcx:order_first"),
        &[&words, "its value size is 516, the object declares 260"],
    );
    let words = format!("load shared map \"counters\" from owner {owner}: the owner has no map");
    assert_says(
        &load("counter", "xdp:xdp_count"),
        &[&words, "program get OWNER"],
    );
    before.assert_unchanged(&instance, "maps that do not fit");
}
