//! What a packet costs on an XDP hook, by how the programs there are called: `BPF_PROG_TEST_RUN` of what is on the hook.
//!
//! Each member counts the packet and passes it. All hooks are made first and then measured in turns, so that what
//! disturbs the machine disturbs all of them.

#![allow(
    unsafe_code,
    reason = "bpf(2) takes pointers; the packet that they point into outlives the call"
)]

use crate::fixture::{Counter, slot};
use crate::instance::Instance;
use crate::kernel::{Attributes, bpf};
use serde_json::Value;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const PROG_TEST_RUN: i32 = 10;
const PROG_GET_FD_BY_ID: i32 = 13;
const XDP_PASS: u32 = 2;

/// Strategies, with the numbers of members that are measured.
const HOOKS: [(&str, usize); 8] = [
    ("direct", 1),
    ("fused", 1),
    ("fused", 5),
    ("fused", 10),
    ("fused", 64),
    ("libxdp", 1),
    ("libxdp", 5),
    ("libxdp", 10),
];

/// What was measured of one hook.
#[derive(Clone, Debug)]
pub struct Cost {
    /// How its programs are called.
    pub strategy: &'static str,
    /// How many there are.
    pub members: usize,
    /// Nanoseconds of one packet: each the mean of many runs; ascending.
    pub samples: Vec<u32>,
}

impl Cost {
    /// Half of the samples are not greater.
    pub fn median(&self) -> u32 {
        self.samples
            .get(self.samples.len() / 2)
            .copied()
            .unwrap_or_default()
    }
}

/// A hook, and the program on it.
struct Head {
    cost: Cost,
    program: OwnedFd,
}

/// Measures every strategy that this kernel carries out, `rounds` times with so many runs each. Panics where a run does
/// not call every member once.
pub fn measure(instance: &Instance, rounds: usize, runs: u32) -> Vec<Cost> {
    let counter = Counter::load(instance, "xdp:xdp_count", slot::XDP);
    let mut heads: Vec<Head> = HOOKS
        .iter()
        .enumerate()
        .filter_map(|(number, (strategy, members))| {
            make(instance, &counter, number, strategy, *members)
        })
        .collect();
    for head in &mut heads {
        let before = counter.value();
        run(&head.program, runs);
        let counted = counter.value() - before;
        let expected = head.cost.members as u64 * u64::from(runs);
        assert_eq!(counted, expected, "calls of {:?}", head.cost);
    }
    for _ in 0..rounds {
        for head in &mut heads {
            head.cost.samples.push(run(&head.program, runs));
        }
    }
    instance.ctl(&["program", "unload", &counter.id()]).ok();
    let costs = heads.into_iter().map(|mut head| {
        head.cost.samples.sort_unstable();
        head.cost
    });
    costs.collect()
}

/// `None` where the kernel has no such strategy.
fn make(
    instance: &Instance,
    counter: &Counter,
    number: usize,
    strategy: &'static str,
    members: usize,
) -> Option<Head> {
    let interface = format!("cost{number}");
    instance.netns().ip(&format!(
        "link add {interface} type veth peer name {interface}p"
    ));
    for priority in 0..members {
        let priority = priority.to_string();
        let id = counter.id();
        let mut arguments = vec!["link", "attach", "xdp", &id, &interface, "-p", &priority];
        arguments.extend(["--strategy", strategy]);
        let attached = instance.ctl(&arguments);
        if attached.code != 0 {
            let error = attached.refused();
            assert!(
                strategy == "libxdp" && error.contains("freplace"),
                "{error}"
            );
            return None;
        }
    }
    let listed = instance.ctl(&["dispatcher", "list", "-o", "json"]).json();
    let dispatchers = listed["dispatchers"].as_array().expect("dispatchers");
    let is_here = |dispatcher: &&Value| dispatcher["interface"] == *interface;
    let dispatcher = dispatchers.iter().find(is_here);
    let id = dispatcher.and_then(|dispatcher| dispatcher["runtime"]["program_id"].as_u64());
    let mut attributes: Attributes = [0; 18];
    attributes[0] = id.unwrap_or_else(|| panic!("no head of {interface} in {listed:#}"));
    // SAFETY: the attributes hold no pointer.
    let opened = unsafe { bpf(PROG_GET_FD_BY_ID, &mut attributes) }.expect("the head");
    let opened = i32::try_from(opened).expect("a descriptor");
    Some(Head {
        cost: Cost {
            strategy,
            members,
            samples: Vec::new(),
        },
        // SAFETY: the kernel has just made it for this call.
        program: unsafe { OwnedFd::from_raw_fd(opened) },
    })
}

/// Runs a program so many times on one packet; the mean in nanoseconds.
fn run(program: &OwnedFd, times: u32) -> u32 {
    let packet = [0_u8; 64];
    let mut attributes: Attributes = [0; 18];
    // prog_fd at 0, retval at 4, data_size_in at 8, data_in at 16, repeat at 32, duration at 36.
    attributes[0] = u64::from(program.as_raw_fd().unsigned_abs());
    attributes[1] = packet.len() as u64;
    attributes[2] = packet.as_ptr() as u64;
    attributes[4] = u64::from(times);
    // SAFETY: the packet is live and of the length that is passed; nothing is written back to it.
    unsafe { bpf(PROG_TEST_RUN, &mut attributes) }.expect("a run");
    assert_eq!((attributes[0] >> 32) as u32, XDP_PASS, "the verdict");
    (attributes[4] >> 32) as u32
}
