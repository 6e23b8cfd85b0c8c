//! What the kernel does not have, or not any more: how gRPC clients hear of it.

use super::codes::{assert_code, kprobe};
use api_worker::proto::{BpfmanProgramType, ListRequest};
use bpfman_tests::fixture::Objects;
use bpfman_tests::grpc::Grpc;
use bpfman_tests::instance::Instance;
use bpfman_tests::kernel;
use bpfman_tests::leftovers::Traces;
use tonic::Code;

#[test]
fn a_program_that_is_gone_from_the_kernel_is_told_to_be_so_and_not_listed() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let programs = [
        ("xdp_count", BpfmanProgramType::Xdp),
        ("tcx_ingress_count", BpfmanProgramType::Tcx),
    ];
    let ids = grpc.loaded(&Objects::new().object("counter"), &programs);
    std::fs::remove_file(instance.fs().join(format!("prog_{}", ids[0]))).expect("its pin");
    let told = assert_code(grpc.get(ids[0]), Code::Internal, "gone");
    assert!(told.contains("requires reconciliation"), "{told}");
    let listed = grpc.list(ListRequest::default()).expect("listed");
    let listed: Vec<u32> = listed
        .into_iter()
        .filter_map(|result| Some(result.kernel_info?.id))
        .collect();
    assert_eq!(listed, ids[1..]);
    let printed = |arguments: &[&str]| instance.ctl(arguments).ok();
    assert_eq!(printed(&["program", "list", "-q"]), format!("{}\n", ids[1]));
    let all = printed(&["program", "list", "--all"]);
    assert!(all.contains("xdp_count (gone)"), "{all}");
    grpc.unload(ids[0]).expect("what is left of it is removed");
    assert_code(grpc.get(ids[0]), Code::NotFound, "unloaded");
    instance.assert_no_drift();
}

#[test]
fn a_kernel_function_that_is_missing_is_internal_and_brings_a_suggestion() {
    let instance = Instance::start();
    let grpc = Grpc::to(&instance);
    let programs = [("kprobe_count", BpfmanProgramType::Kprobe)];
    let id = grpc.loaded(&Objects::new().object("functions"), &programs)[0];
    let before = Traces::of(&instance);
    let refused = grpc.attach(id, kprobe("do_unlinkatt"));
    let told = assert_code(refused, Code::Internal, "missing kernel symbol");
    let part = match kernel::kprobes() {
        Ok(()) => "did you mean: do_unlinkat",
        Err(_) => "this kernel has no kprobes",
    };
    assert!(told.contains(part), "{told}");
    before.assert_unchanged(&instance, "a function that is missing");
}
