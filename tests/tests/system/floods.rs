//! A thousand changes of a hook under traffic: no packet is lost, each is seen by every member that stays, and by what
//! others have there.

use bpfman_tests::fixture::{Counter, slot};
use bpfman_tests::instance::{Client, Instance, ask};
use bpfman_tests::netns::INTERFACE;
use bpfman_tests::traffic::under_flood;
use bpfman_tests::{kernel, require, wait};
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::client::{ClientReply, ClientRequest};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::BTreeMap;

/// Changes of a hook.
const CHANGES: usize = 1000;
const CHANGES_UNDER_EMULATION: usize = 40;

/// The one that stays, and those that come and go on either side of it.
const STAYS: i32 = 50;
const COME_AND_GO: [i32; 2] = [10, 90];

fn is_emulated() -> bool {
    wait::slowness() > 1
}

fn attach(client: &mut Client, program: &Counter, spec: &AttachSpec) -> u64 {
    let request = ClientRequest::Attach {
        program_id: program.program,
        spec: spec.clone(),
        metadata: BTreeMap::new(),
    };
    match ask(client, &request) {
        ClientReply::Link(link) => link.record.id,
        other => panic!("attach answered {other:?}"),
    }
}

fn detach(client: &mut Client, link_id: u64) {
    match ask(client, &ClientRequest::Detach { link_id }) {
        ClientReply::Done => {}
        other => panic!("detach answered {other:?}"),
    }
}

fn tcx(priority: i32) -> AttachSpec {
    AttachSpec::Tcx {
        interface: INTERFACE.to_owned(),
        direction: Direction::Ingress,
        priority,
    }
}

fn xdp(priority: i32) -> AttachSpec {
    AttachSpec::Xdp {
        interface: INTERFACE.to_owned(),
        priority,
        proceed_on: Vec::new(),
        strategy: None,
    }
}

/// Emulated processors may run code that another of them has just replaced: there, the kernel changes the call of an XDP
/// program and ends at the breakpoint that it had put in its place. Everything that a thread starts stays on its
/// processor.
fn on_one_processor_if_emulated(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if is_emulated() {
                let mut first = CpuSet::new();
                first.set(0);
                sched_setaffinity(None, &first).expect("affinity");
            }
            work();
        });
    });
}

/// Another bpfman in the same network namespace has a program of its own on the hook or behind it.
fn changed_under_flood(kind: &str, spec: fn(i32) -> AttachSpec, slot: usize) {
    let instance = Instance::start();
    let (folder, _) = Instance::fresh_place();
    let somebody = Instance::start_in(folder, instance.place().1, &[]);
    let others = kernel::tcx().is_ok().then(|| {
        let counter = Counter::load(&somebody, "tcx:tcx_ingress_count", slot::TCX_INGRESS);
        attach(&mut somebody.client(), &counter, &tcx(STAYS));
        counter
    });
    let stays = Counter::load(&instance, kind, slot);
    let come_and_go = COME_AND_GO.map(|priority| (priority, Counter::load(&instance, kind, slot)));
    let mut client = instance.client();
    let link = attach(&mut client, &stays, &spec(STAYS));
    let counted = |counter: &Counter| counter.value();
    let before = (counted(&stays), others.as_ref().map(counted));

    let changes = if is_emulated() {
        CHANGES_UNDER_EMULATION
    } else {
        CHANGES
    };
    let ((), sent) = under_flood(instance.netns(), || {
        let mut attached = Vec::new();
        for number in 0..changes {
            match number % 4 {
                new @ (0 | 1) => {
                    let (priority, counter) = &come_and_go[new];
                    attached.push(attach(&mut client, counter, &spec(*priority)));
                }
                _ => detach(&mut client, attached.remove(0)),
            }
        }
    });
    assert!(
        sent.datagrams > changes as u64 && sent.echoes > changes as u64 / 4,
        "{sent:?}"
    );
    println!("{kind}: {changes} changes, {sent:?}, none lost");
    let after = (counted(&stays), others.as_ref().map(counted));
    assert_eq!(
        after.0 - before.0,
        sent.packets(),
        "seen by the one that stayed"
    );
    if let (Some(before), Some(after)) = (before.1, after.1) {
        assert_eq!(after - before, sent.packets(), "seen by somebody else's");
    }
    for (_, counter) in &come_and_go {
        assert!((1..=sent.packets()).contains(&counted(counter)));
    }
    detach(&mut client, link);
    instance.assert_no_drift();
    somebody.assert_no_drift();
}

#[test]
fn xdp_loses_no_packet_to_a_thousand_changes() {
    on_one_processor_if_emulated(|| changed_under_flood("xdp:xdp_count", xdp, slot::XDP));
}

#[test]
fn tcx_loses_no_packet_to_a_thousand_changes() {
    require!(kernel::tcx());
    on_one_processor_if_emulated(|| {
        changed_under_flood("tcx:tcx_ingress_count", tcx, slot::TCX_INGRESS);
    });
}
