//! Images: what `PullBytecode` and `Load` do, and with which codes they fail.

use crate::images::waiting::Counted;
use crate::images::{Place, UNSIGNED};
use api_worker::proto::bytecode_location::Location;
use api_worker::proto::{
    BpfmanProgramType, BytecodeImage, BytecodeLocation, ListRequest, LoadRequest,
};
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::instance::Instance;
use bpfman_tests::registry::available;
use bpfman_tests::require;
use bpfman_tests::wait;
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tonic::{Code, Status};

const ALWAYS: i32 = 0;
const IF_NOT_PRESENT: i32 = 1;
const NEVER: i32 = 2;

fn image(url: &str, image_pull_policy: i32) -> BytecodeImage {
    BytecodeImage {
        url: url.to_owned(),
        image_pull_policy,
        ..BytecodeImage::default()
    }
}

fn load(url: &str, image_pull_policy: i32) -> LoadRequest {
    LoadRequest {
        bytecode: Some(BytecodeLocation {
            location: Some(Location::Image(image(url, image_pull_policy))),
        }),
        ..load_request(Path::new(""), &[("xdp_count", BpfmanProgramType::Xdp)])
    }
}

/// Both methods fail in the same way.
#[track_caller]
fn assert_codes(grpc: &Grpc, (url, policy): (&str, i32), code: Code, words: &str) {
    let pulled = grpc.pull(image(url, policy));
    let loaded = grpc.load(load(url, policy)).map(drop);
    for outcome in [pulled, loaded] {
        let status: Status = outcome.expect_err(url);
        assert_eq!(status.code(), code, "{url}: {status}");
        assert!(status.message().contains(words), "{url}: {status}");
    }
}

#[test]
fn programs_are_loaded_from_images() {
    require!(available());
    let place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    let url = registry.image("acme/counter:v1");
    place.copy(&place.layout(), &url, &[]);
    let grpc = Grpc::to(&place.instance);

    assert_codes(&grpc, (&url, NEVER), Code::Internal, "not in cache");
    grpc.pull(image(&url, IF_NOT_PRESENT))
        .expect("it is pulled");
    let cached = place.instance.ctl(&["image", "list", "-o", "json"]).ok();
    assert!(cached.contains(&url), "{cached}");

    for policy in [NEVER, IF_NOT_PRESENT, ALWAYS] {
        let request = load(&url, policy);
        let mut loaded = grpc.load(request.clone()).expect("it loads").programs;
        let told = loaded.remove(0);
        assert_eq!(told.info.expect("info").bytecode, request.bytecode);
        let id = told.kernel_info.expect("kernel_info").id;
        assert!(grpc.get(id).is_ok());
        let id = id.to_string();
        let shown = place
            .instance
            .ctl(&["program", "get", &id, "-o", "json"])
            .json();
        assert_eq!(
            shown["record"]["load"]["image_source"]["url"],
            url.as_str(),
            "{shown}"
        );
        grpc.unload(id.parse().expect("a number"))
            .expect("it is unloaded");
    }
    let other = LoadRequest {
        info: load_request(Path::new(""), &[("nothing", BpfmanProgramType::Xdp)]).info,
        ..load(&url, NEVER)
    };
    let missing = grpc.load(other).expect_err("no such program");
    assert_eq!(missing.code(), Code::Internal, "as from a file: {missing}");

    let absent = registry.image("acme/absent:v1");
    assert_codes(&grpc, (&absent, ALWAYS), Code::Internal, "absent");
    drop(registry);
    assert_codes(&grpc, (&url, ALWAYS), Code::Internal, "cannot be reached");
    assert!(
        grpc.load(load(&url, IF_NOT_PRESENT)).is_ok(),
        "from the cache"
    );
    place.instance.assert_no_drift();
}

#[test]
fn what_is_wrong_with_a_request_is_told_before_anybody_is_asked() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let missing = grpc.pull(None).expect_err("no image");
    assert_eq!(missing.code(), Code::InvalidArgument, "{missing}");
    let url = "registry.example/counter:v1";
    for policy in [-1, 3] {
        assert_codes(&grpc, (url, policy), Code::InvalidArgument, "pull policy");
    }
    let long = "x".repeat(ipc::limits::REFERENCE_BYTES + 1);
    for (url, words) in [("", "empty"), (long.as_str(), "allowed")] {
        assert_codes(&grpc, (url, ALWAYS), Code::InvalidArgument, words);
    }
    // Found by who pulls.
    let upper = "registry.example/UPPER";
    assert_codes(&grpc, (upper, ALWAYS), Code::Internal, "UPPER");
    let secret = "x".repeat(ipc::limits::CREDENTIAL_BYTES);
    let status = grpc
        .pull(BytecodeImage {
            username: Some("somebody".to_owned()),
            password: Some(secret),
            ..image(url, ALWAYS)
        })
        .expect_err("too long");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
}

#[test]
fn an_image_that_nobody_signed_is_refused_without_a_word_about_it_in_the_configuration() {
    require!(available());
    let place = Place::new("");
    let registry = place.registry("", "");
    let url = registry.image("acme/counter:v1");
    place.copy(&place.layout(), &url, &[]);
    let grpc = Grpc::to(&place.instance);
    assert_codes(
        &grpc,
        (&url, ALWAYS),
        Code::PermissionDenied,
        "must be signed",
    );
    assert!(
        grpc.list(ListRequest::default())
            .expect("a list")
            .is_empty()
    );
}

#[test]
fn a_client_that_left_while_a_registry_hung_has_nothing_loaded_later() {
    require!(available());
    let place = Place::new(UNSIGNED);
    let registry = place.registry("", "");
    place.copy(&place.layout(), &registry.image("acme/counter:v1"), &[]);
    let counted = place.instance.netns().inside(|| Counted::before(&registry));
    counted.is_open.store(false, Ordering::Relaxed);
    let url = format!("{}/acme/counter:v1", counted.address);
    let grpc = Grpc::to(&place.instance);
    for _ in 0..2 {
        let answered = grpc.run(async |mut client| {
            let asked = client.load(load(&url, ALWAYS));
            tokio::time::timeout(Duration::from_millis(300), asked).await
        });
        assert!(answered.is_err(), "{answered:?}");
        // The connection goes on, and so does everybody else.
        assert!(grpc.list(ListRequest::default()).is_ok());
    }
    counted.is_open.store(true, Ordering::Relaxed);
    let arrived = wait::until(Duration::from_secs(30), || {
        grpc.pull(image(&url, NEVER)).ok()
    });
    arrived.expect("what was begun is kept");
    grpc.load(load(&url, NEVER)).expect("it loads");
    let programs = grpc.list(ListRequest::default()).expect("a list");
    assert_eq!(programs.len(), 1, "the one that was waited for");
    place.instance.assert_no_drift();
}

#[test]
fn a_deadline_is_kept_while_a_registry_says_nothing() {
    let place = Place::new(UNSIGNED);
    let silent = place
        .instance
        .netns()
        .inside(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let url = format!("{}/acme/silent:v1", silent.local_addr().expect("bound"));
    for (method, message) in [
        ("Load", prost::Message::encode_to_vec(&load(&url, ALWAYS))),
        (
            "PullBytecode",
            prost::Message::encode_to_vec(&api_worker::proto::PullBytecodeRequest {
                image: Some(image(&url, ALWAYS)),
            }),
        ),
    ] {
        let status = super::waiting::ask(&place.instance, method, Some(&message), "300m");
        assert_eq!(status, super::waiting::DEADLINE_EXCEEDED, "{method}");
    }
}
