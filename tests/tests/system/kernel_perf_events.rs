//! Programs at samples of perf events.

use crate::kernel_functions::load;
use bpfman_tests::fixture::Counter;
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::matrix;
use bpfman_tests::wait;
use std::process::{Child, Command};
use std::time::Duration;

/// Slot of the map `counters` of the object `functions`.
const SLOT: usize = 9;

/// A process that never rests; ended with it.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        let busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn();
        Self(busy.expect("cannot start sh"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Attached it is seen to run; detached it never does again; unloaded nothing is left.
fn samples_until_detached(instance: &Instance, before: &Traces, arguments: &[&str]) {
    let counter = load(instance, "perf_event:perf_event_count", SLOT).expect("loaded");
    let id = counter.id();
    let attach: Vec<&str> = ["perf_event", id.as_str()]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    assert_eq!(counter.value(), 0);
    let (link, attached) = instance.attach(&attach);
    assert_eq!(attached["record"]["kind"], "perf_event");
    assert_eq!(attached["record"]["details"]["event"], "cpu-clock");
    assert_eq!(attached["status"]["kernel"]["link_type"], "perf_event");
    let enough = wait::until(Duration::from_secs(20), || {
        (counter.value() >= 5).then_some(())
    });
    assert!(
        enough.is_some(),
        "{arguments:?}: counted {}",
        counter.value()
    );
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let at_detach = counter.value();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(counter.value(), at_detach, "it runs after detach returned");
    instance.ctl(&["program", "unload", &id]).ok();
    before.assert_unchanged(instance, "unload");
    instance.assert_no_drift();
    matrix::saw("perf_event", "runs at samples of `cpu-clock`");
}

#[test]
fn kernel_perf_events_are_sampled_of_a_process_and_of_a_cpu() {
    let instance = Instance::start();
    let before = Traces::of(&instance);
    let busy = Busy::start();
    let pid = busy.0.id().to_string();
    let of_process = ["cpu-clock", "--period", "1000000", "--pid", &pid];
    samples_until_detached(&instance, &before, &of_process);
    let of_cpu = ["cpu-clock", "--frequency", "200", "--cpu", "0"];
    samples_until_detached(&instance, &before, &of_cpu);
}

#[test]
fn kernel_perf_events_that_cannot_be_sampled_are_told_why() {
    let instance = Instance::start();
    let counter: Counter = load(&instance, "perf_event:perf_event_count", SLOT).expect("loaded");
    let before = Traces::of(&instance);
    for (arguments, cause) in [
        (
            ["cpu-clok", "--period", "1000", "--cpu", "0"],
            "perf event \"cpu-clok\" not found",
        ),
        (
            ["cpu-clock", "--frequency", "1000000000", "--cpu", "0"],
            "perf_event_max_sample_rate",
        ),
        (
            ["cpu-clock", "--period", "1000", "--pid", "2147483647"],
            "process 2147483647 does not exist",
        ),
        (
            ["cpu-clock", "--period", "1000", "--cpu", "4000000000"],
            "sampled like this",
        ),
    ] {
        let id = counter.id();
        let attach: Vec<&str> = ["link", "attach", "perf_event", id.as_str()]
            .into_iter()
            .chain(arguments)
            .collect();
        let refused = instance.ctl(&attach).refused();
        assert!(refused.contains(cause), "{refused}");
    }
    before.assert_unchanged(&instance, "refused attaches");
}
