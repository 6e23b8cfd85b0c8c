//! What becomes of requests whose clients do not wait: forgotten before the loader has begun, carried out afterwards. Workers
//! pause meanwhile, so that it is known how far each request is.

use api_worker::proto::attach_info::Info;
use api_worker::proto::bpfman_client::BpfmanClient;
use api_worker::proto::{
    AttachInfo, AttachRequest, BpfmanProgramType, DetachRequest, ListRequest, TracepointAttachInfo,
    UnloadRequest, UprobeAttachInfo,
};
use bpfman_tests::fixture::Objects;
use bpfman_tests::grpc::{Grpc, load_request};
use bpfman_tests::instance::Instance;
use bpfman_tests::process::Paused;
use bpfman_tests::uprobe_target::Target;
use bpfman_tests::wait;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// Asks for something while a worker pauses, and leaves when it must have heard of it.
#[track_caller]
fn give_up<T: Debug>(
    (instance, grpc): (&Instance, &Grpc),
    role: &str,
    ask: impl AsyncFnOnce(BpfmanClient<Channel>) -> Result<T, Status>,
) {
    let paused = Paused::new(instance.process(role).pid);
    let patience = Duration::from_millis(500) * wait::slowness();
    let answer = grpc.run(async |client| {
        let answer = tokio::time::timeout(patience, ask(client)).await;
        // The service hears of it while this goes on, and before the worker does.
        tokio::time::sleep(patience).await;
        answer
    });
    assert!(answer.is_err(), "{answer:?}");
    drop(paused);
}

fn load(grpc: &Grpc, object: &Path) -> u32 {
    grpc.loaded(
        object,
        &[("tracepoint_count", BpfmanProgramType::Tracepoint)],
    )[0]
}

fn attach(id: u32, info: Info) -> AttachRequest {
    AttachRequest {
        id,
        attach: Some(AttachInfo { info: Some(info) }),
    }
}

fn links(grpc: &Grpc, program: u32) -> Vec<u32> {
    grpc.get(program)
        .expect("the program")
        .info
        .expect("info")
        .links
}

#[test]
fn what_the_loader_was_asked_for_is_carried_out() {
    let instance = Instance::start();
    let objects = Objects::new();
    let grpc = Grpc::to(&instance);
    let id = load(&grpc, &objects.object("counter"));
    let to = (&instance, &grpc);
    let tracepoint = Info::TracepointAttachInfo(TracepointAttachInfo {
        tracepoint: "syscalls/sys_enter_getpid".to_owned(),
        ..TracepointAttachInfo::default()
    });
    let request = attach(id, tracepoint);
    give_up(to, "loader", async |mut client| {
        client.attach(request).await
    });
    let link = wait::until(Duration::from_secs(10), || links(&grpc, id).pop());
    let link_id = link.expect("it was attached");

    let request = DetachRequest { link_id };
    give_up(to, "loader", async |mut client| {
        client.detach(request).await
    });
    let detached = wait::until(Duration::from_secs(10), || {
        links(&grpc, id).is_empty().then_some(())
    });
    detached.expect("it was detached");

    give_up(to, "loader", async |mut client| {
        client.unload(UnloadRequest { id }).await
    });
    let unloaded = wait::until(Duration::from_secs(10), || grpc.get(id).err());
    unloaded.expect("it was unloaded");
    instance.assert_no_drift();
}

#[test]
fn what_the_loader_has_not_begun_is_forgotten() {
    let instance = Instance::start();
    let objects = Objects::new();
    let object = objects.object("counter");
    let grpc = Grpc::to(&instance);
    let to = (&instance, &grpc);
    let programs = [
        ("tracepoint_count", BpfmanProgramType::Tracepoint),
        ("uprobe_count", BpfmanProgramType::Uprobe),
    ];
    // The file is to be opened by the one, or to be compiled by the other.
    for role in ["loader", "image"] {
        let request = load_request(&object, &programs);
        give_up(to, role, async |mut client| client.load(request).await);
    }
    let ids = grpc.loaded(&object, &programs);
    let listed = grpc.list(ListRequest::default()).expect("a list");
    assert_eq!(listed.len(), ids.len(), "those that were waited for");

    let target = Target::start();
    let uprobe = Info::UprobeAttachInfo(UprobeAttachInfo {
        target: target.path(),
        fn_name: Some("bpfman_probe_here".to_owned()),
        ..UprobeAttachInfo::default()
    });
    // The function is to be found.
    let request = attach(ids[1], uprobe.clone());
    give_up(to, "image", async |mut client| client.attach(request).await);
    let link = grpc.attach(ids[1], uprobe).expect("it is attached");
    assert_eq!(links(&grpc, ids[1]), [link], "the one that was waited for");
    instance.assert_no_drift();
}
