//! Perf events that can be sampled, by the names that perf(1) gives them.

/// An event that every machine can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SampledEvent {
    /// What users call it.
    pub name: &'static str,
    /// `enum perf_type_id`: hardware or software.
    pub event_type: u32,
    /// `enum perf_hw_id` or `enum perf_sw_ids` (`include/uapi/linux/perf_event.h`).
    pub config: u64,
}

const fn hardware(name: &'static str, config: u64) -> SampledEvent {
    SampledEvent {
        name,
        event_type: 0,
        config,
    }
}

const fn software(name: &'static str, config: u64) -> SampledEvent {
    SampledEvent {
        name,
        event_type: 1,
        config,
    }
}

/// All of them.
pub const EVENTS: [SampledEvent; 19] = [
    software("cpu-clock", 0),
    software("task-clock", 1),
    software("page-faults", 2),
    software("context-switches", 3),
    software("cpu-migrations", 4),
    software("minor-faults", 5),
    software("major-faults", 6),
    software("alignment-faults", 7),
    software("emulation-faults", 8),
    hardware("cycles", 0),
    hardware("instructions", 1),
    hardware("cache-references", 2),
    hardware("cache-misses", 3),
    hardware("branches", 4),
    hardware("branch-misses", 5),
    hardware("bus-cycles", 6),
    hardware("stalled-cycles-frontend", 7),
    hardware("stalled-cycles-backend", 8),
    hardware("ref-cycles", 9),
];

/// The event of this name.
pub fn find(name: &str) -> Option<&'static SampledEvent> {
    EVENTS.iter().find(|event| event.name == name)
}
