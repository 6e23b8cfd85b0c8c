//! What a packet costs, by strategy: every member is called once for each, and the times are told, which
//! `cargo xtask bench` puts into its report.

use bpfman_tests::instance::Instance;
use bpfman_tests::{per_packet, wait};
use std::io::Write;

#[test]
fn every_strategy_calls_each_member_once_per_packet() {
    let instance = Instance::start();
    let runs = 20_000 / wait::slowness();
    let costs = per_packet::measure(&instance, 9, runs);
    assert!(costs.len() >= 5, "{costs:?}");
    for cost in costs {
        let (strategy, members, median) = (cost.strategy, cost.members, cost.median());
        // Past the test harness, which swallows what tests print that pass.
        let _ = writeln!(
            std::io::stderr(),
            "measured: per packet: {strategy} {members} {median} ns"
        );
    }
    instance.assert_no_drift();
}
