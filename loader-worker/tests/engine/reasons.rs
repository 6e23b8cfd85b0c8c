//! What the kernel refuses without a word has its reason and its remedy in the failure.

use crate::host::{now, with_host};
use ipc::messages::attach::AttachSpec;
use ipc::messages::chain::Strategy;
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;

#[test]
fn a_map_without_entries_is_named() {
    with_host(|host| {
        let mut engine = host.open();
        let mut plan = host.plan(
            bpf::COUNTER,
            &[("tracepoint_count", ProgramKind::Tracepoint)],
        );
        let public = plan.maps.iter().position(|map| !map.internal).unwrap();
        plan.maps[public].max_entries = 0;
        let failure = host.load(&mut engine, &plan).unwrap_err();
        assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
        let name = &plan.maps[public].name;
        assert!(
            failure.cause.starts_with(&format!("map \"{name}\" (type ")),
            "{failure}"
        );
        assert!(failure.cause.contains(", 0 entries, "), "{failure}");
        assert!(failure.remedy.contains("max_entries"), "{failure}");
        host.assert_clean(&engine);
    });
}

#[test]
fn a_program_for_maps_is_loaded_for_them_and_put_on_no_interface() {
    /// `BPF_XDP_DEVMAP`, `BPF_XDP_CPUMAP`.
    const TYPES: [u32; 2] = [33, 35];
    with_host(|host| {
        let mut engine = host.open();
        for expected in TYPES {
            let mut plan = host.plan(bpf::COUNTER, &[("xdp_count", ProgramKind::Xdp)]);
            plan.programs[0].expected_attach_type = expected;
            let id = host.load(&mut engine, &plan).unwrap()[0].record.program_id;
            for strategy in [None, Some(Strategy::Direct), Some(Strategy::Fused)] {
                let spec = AttachSpec::Xdp {
                    interface: "lo".to_owned(),
                    priority: 50,
                    proceed_on: Vec::new(),
                    strategy,
                };
                let failure = host.attach(&mut engine, id, spec).unwrap_err();
                assert_eq!(failure.code, FailureCode::InvalidArgument, "{failure}");
                assert!(failure.cause.contains("devmap"), "{failure}");
                assert!(failure.remedy.contains(&format!("prog_{id}")), "{failure}");
            }
            now(engine.unload(id)).unwrap();
        }
        host.assert_clean(&engine);
    });
}
