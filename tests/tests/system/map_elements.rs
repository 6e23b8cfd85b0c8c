//! Maps whose elements the source sets (`.values = {…}`), through the whole service.

use bpfman_tests::fixture::{Objects, map_pin};
use bpfman_tests::instance::Instance;
use bpfman_tests::leftovers::Traces;
use bpfman_tests::maps::counter;
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::process::call_getpid;

/// Slots of the map `counters` of the object `elements`.
mod slot {
    pub(super) const EVENTS: usize = 0;
    pub(super) const IN_ARRAY: usize = 1;
    /// Of a program that is jumped to.
    pub(super) const CALLED: usize = 1;
    pub(super) const IN_HASH: usize = 2;
    pub(super) const IN_SHARED: usize = 3;
    /// What is not there was found, or a jump came back.
    pub(super) const WRONG: usize = 4;
    pub(super) const IN_FILTER: usize = 5;
}

const READABLE: [&str; 2] = ["--maps-mode", "0644"];

#[test]
fn map_elements_of_the_source_are_there_when_the_program_runs() {
    let instance = Instance::start();
    let empty = Traces::of(&instance);
    let objects = Objects::new();
    let object = objects.object("elements");
    let load = || instance.load(&object, "tracepoint:trace_tables", &READABLE)[0];
    let count = |id: u32, name: &str, index| counter(&map_pin(&instance, id, name), index);

    let first = load();
    let attach = |id: u32| {
        let (link, _) =
            instance.attach(&["tracepoint", &id.to_string(), "syscalls/sys_enter_getpid"]);
        link.to_string()
    };
    let mut links = vec![attach(first)];
    // The map that is shared by name is there already: what the first load put into it stays.
    let second = load();
    links.push(attach(second));
    call_getpid(4);
    for link in &links {
        instance.ctl(&["link", "detach", link]).ok();
    }
    let seen = |id: u32| [0, 1, 2, 3, 4, 5].map(|slot| count(id, "counters", slot));
    let (of_first, of_second) = (seen(first), seen(second));
    let listed = instance.ctl(&["map", "list", "-o", "json"]).json();
    let maps = listed["maps"].as_array().expect("maps");
    let filters = maps.iter().filter(|map| map["name"] == "seen");
    let functions: Vec<_> = filters.map(|map| &map["kernel"]["map_extra"]).collect();
    assert_eq!(functions, [3, 3], "hash functions");
    for counts in [of_first, of_second] {
        let events = counts[slot::EVENTS];
        assert!(events >= 4, "{counts:?}");
        assert_eq!(counts[slot::IN_ARRAY], 2 * events, "{counts:?}");
        assert_eq!(counts[slot::IN_HASH], events, "{counts:?}");
        assert_eq!(counts[slot::IN_SHARED], events, "{counts:?}");
        assert_eq!(counts[slot::IN_FILTER], events, "{counts:?}");
        assert_eq!(counts[slot::WRONG], 0, "{counts:?}");
    }
    let (first_events, second_events) = (of_first[slot::EVENTS], of_second[slot::EVENTS]);
    assert_eq!(count(first, "low", 0), 2 * first_events + second_events);
    assert_eq!(count(second, "low", 0), second_events);
    assert_eq!(count(second, "high", 0), 2 * second_events);
    for id in [first, second] {
        instance.ctl(&["program", "unload", &id.to_string()]).ok();
    }
    empty.assert_unchanged(&instance, "unload");
}

#[test]
fn map_elements_are_programs_that_are_named_as_well() {
    let instance = Instance::start();
    let empty = Traces::of(&instance);
    let objects = Objects::new();
    let object = objects.object("elements");
    let path = object.to_string_lossy();
    let count = |id: u32, slot| counter(&map_pin(&instance, id, "counters"), slot);
    let alone = ["program", "load", "file", &path, "--programs"];
    let alone = [&alone[..], &["tracepoint:trace_caller"]].concat();
    let refused = instance.ctl(&alone).refused();
    assert!(
        refused.contains("name it as well: --programs tracepoint:trace_callee"),
        "{refused}"
    );
    empty.assert_unchanged(&instance, "a load without the program that is jumped to");

    let both = "tracepoint:trace_caller,tracepoint:trace_callee";
    let of_trace = instance.load(&object, both, &READABLE);
    let (caller, callee) = (of_trace[0], of_trace[1]);
    // Its maps are the first one's, in which nothing is set again: it jumps where that one does.
    let owner = caller.to_string();
    let guests = instance.load(&object, both, &["--map-owner-id", &owner]);
    let guest = guests[0].to_string();
    let (link, _) = instance.attach(&["tracepoint", &guest, "syscalls/sys_enter_getpid"]);
    call_getpid(4);
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let events = count(caller, slot::EVENTS);
    assert!(events >= 4, "counted {events}");
    assert_eq!(count(callee, slot::CALLED), events);
    let (link, _) = instance.attach(&["tracepoint", &owner, "syscalls/sys_enter_getpid"]);
    call_getpid(4);
    instance.ctl(&["link", "detach", &link.to_string()]).ok();
    let events = count(caller, slot::EVENTS);
    assert!(events >= 8, "counted {events}");
    assert_eq!(count(callee, slot::CALLED), events);
    // Who is jumped to is in the array also when it is unloaded.
    let unloaded = ["program", "unload", &callee.to_string()];
    instance.ctl(&unloaded).ok();
    instance.attach(&["tracepoint", &owner, "syscalls/sys_enter_getpid"]);
    call_getpid(4);
    assert!(count(caller, slot::EVENTS) >= events + 4);
    assert_eq!(count(caller, slot::WRONG), 0);

    // In a chain, alone and beside another.
    let of_xdp = instance.load(&object, "xdp:xdp_caller,xdp:xdp_callee", &READABLE);
    let caller = of_xdp[0].to_string();
    instance.attach(&["xdp", &caller, INTERFACE, "--priority", "50"]);
    let mut before = 0;
    for members in ["alone", "beside another"] {
        instance.netns().send_packets(5);
        let events = count(of_xdp[0], slot::EVENTS);
        assert!(events >= before + 5, "{members}: counted {events}");
        assert_eq!(count(of_xdp[1], slot::CALLED), events, "{members}");
        assert_eq!(count(of_xdp[0], slot::WRONG), 0, "{members}");
        before = events;
        if members == "alone" {
            let other = instance.load(&objects.object("counter"), "xdp:xdp_count", &[])[0];
            instance.attach(&["xdp", &other.to_string(), INTERFACE, "--priority", "10"]);
        }
    }
    instance.assert_no_drift();
    let listed = instance.ctl(&["program", "list", "-o", "json"]).json();
    let programs = listed["programs"].as_array().expect("programs");
    for program in programs {
        let id = program["record"]["program_id"].to_string();
        instance.ctl(&["program", "unload", &id]).ok();
    }
    empty.assert_unchanged(&instance, "unload");
}
