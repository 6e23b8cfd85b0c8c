//! Changes of many hooks at once: none waits for another's, those of one hook follow one another, and afterwards all is
//! as if they had come one by one.

use crate::host::{Host, now, options, user, valid, with_host};
use crate::kernel_support::{ip, plan};
use ipc::messages::attach::{AttachSpec, Direction};
use ipc::messages::failure::FailureCode;
use ipc::messages::program::ProgramKind;
use loader_worker::engine::{AttachCommand, Engine};
use loader_worker::faults::{Faults, Point};
use loader_worker::kernel::probe;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

const HOOKS: usize = 64;

/// Stops the first change that comes to an act of this name, until it is let go.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    is_closed: bool,
    holds: bool,
}

impl Gate {
    fn close(&self) {
        self.0.0.lock().unwrap().is_closed = true;
    }

    fn wait_until_it_holds(&self) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let _state = changed.wait_while(state, |state| !state.holds).unwrap();
    }

    fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().is_closed = false;
        changed.notify_all();
    }

    fn faults(&self, act: &'static str) -> Faults {
        let gate = self.clone();
        Faults::new(Box::new(move |point: &Point<'_>| {
            let (state, changed) = &*gate.0;
            let mut state = state.lock().unwrap();
            if state.is_closed && !state.holds && format!("{point:?}").contains(act) {
                state.holds = true;
                changed.notify_all();
                let mut state = changed.wait_while(state, |state| state.is_closed).unwrap();
                state.holds = false;
            }
            Ok(())
        }))
    }
}

fn command(program_id: u32, spec: AttachSpec) -> AttachCommand {
    AttachCommand {
        program_id,
        spec,
        target: None,
        places: vec![],
        namespace: None,
        metadata: BTreeMap::new(),
    }
}

fn xdp(interface: usize, priority: i32) -> AttachSpec {
    AttachSpec::Xdp {
        interface: format!("d{interface}"),
        priority,
        proceed_on: vec![],
        strategy: None,
    }
}

fn tcx(interface: usize, priority: i32) -> AttachSpec {
    AttachSpec::Tcx {
        interface: format!("d{interface}"),
        direction: Direction::Ingress,
        priority,
    }
}

fn interfaces() {
    for number in (0..HOOKS).step_by(2) {
        let other = number + 1;
        ip(&format!("link add d{number} type veth peer name d{other}"));
    }
}

fn load(host: &Host, engine: &mut Engine, name: &str, kind: ProgramKind) -> u32 {
    let plan = host.marked(plan(bpf::COUNTER, &[(name, kind)]));
    host.load(engine, &plan).unwrap()[0].record.program_id
}

fn attach(engine: &Engine, program: u32, spec: AttachSpec) -> u64 {
    let link = now(engine.attach(&user(0), &command(program, spec)));
    link.unwrap().record.id
}

/// One attachment is held in the middle: 63 others, a load, detachments and questions do not wait for it. What is about
/// its hook does.
#[test]
fn a_hook_that_takes_long_delays_no_other() {
    with_host(|host| {
        interfaces();
        for act in ["LoadHead", "PinHook", "Commit"] {
            let gate = Gate::default();
            let (mut engine, drift) = host.open_with(gate.faults(act)).unwrap();
            assert_eq!(drift, []);
            let program = load(host, &mut engine, "xdp_count", ProgramKind::Xdp);
            gate.close();
            thread::scope(|scope| {
                let held = scope.spawn(|| attach(&engine, program, xdp(0, 50)));
                gate.wait_until_it_holds();
                let behind = scope.spawn(|| attach(&engine, program, xdp(0, 10)));
                let others: Vec<_> = (1..HOOKS)
                    .map(|hook| {
                        let engine = &engine;
                        scope.spawn(move || attach(engine, program, xdp(hook, 50)))
                    })
                    .collect();
                let mut links: Vec<u64> = others
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .collect();
                let plan = host.marked(plan(
                    bpf::COUNTER,
                    &[("tracepoint_count", ProgramKind::Tracepoint)],
                ));
                let loaded = now(engine.load(0, &valid(&plan), &options(&plan)));
                let other = loaded.unwrap()[0].record.program_id;
                now(engine.unload(other)).unwrap();
                now(engine.detach(links.pop().unwrap())).unwrap();
                let shown = engine.dispatchers().unwrap();
                assert_eq!(shown.len(), HOOKS - 2, "all but the held one");
                assert!(!held.is_finished() && !behind.is_finished(), "{act}");
                gate.open();
                let (first, second) = (held.join().unwrap(), behind.join().unwrap());
                let ids: BTreeSet<u64> = links.iter().copied().chain([first, second]).collect();
                assert_eq!(ids.len(), HOOKS, "each link has an id of its own");
            });
            let chains = engine.dispatchers().unwrap();
            assert_eq!(chains.len(), HOOKS - 1);
            for chain in chains {
                let members = engine.chain(chain.key).unwrap().members;
                let wanted = if chain.interface == "d0" {
                    &[10, 50][..]
                } else {
                    &[50]
                };
                assert!(
                    members
                        .iter()
                        .map(|member| member.priority)
                        .eq(wanted.iter().copied())
                );
            }
            assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
            // On all hooks at once.
            now(engine.unload(program)).unwrap();
            host.assert_clean(&engine);
        }
    });
}

/// Several attach to the same few hooks while an unload waits for all of them.
#[test]
fn changes_of_one_hook_follow_one_another() {
    with_host(|host| {
        interfaces();
        let mut engine = host.open();
        let mut sorts = vec![(
            "xdp_count",
            ProgramKind::Xdp,
            xdp as fn(usize, i32) -> AttachSpec,
        )];
        if probe::tcx().is_ok() {
            sorts.push(("tcx_ingress_count", ProgramKind::Tcx, tcx));
        }
        for (name, kind, spec) in sorts {
            let programs: Vec<u32> = (0..8)
                .map(|_| load(host, &mut engine, name, kind))
                .collect();
            let leaving = load(host, &mut engine, name, kind);
            for hook in 0..4 {
                attach(&engine, leaving, spec(hook, 5));
            }
            thread::scope(|scope| {
                let engine = &engine;
                for (number, program) in (0..).zip(&programs) {
                    scope.spawn(move || {
                        for hook in 0..4 {
                            attach(engine, *program, spec(hook, 7 - number));
                        }
                    });
                }
                scope.spawn(move || now(engine.unload(leaving)).unwrap());
                // Either it is early enough, or it comes too late: nothing in between.
                scope.spawn(move || {
                    let late = now(engine.attach(&user(0), &command(leaving, spec(5, 1))));
                    assert!(
                        late.map_or_else(|failure| failure.code == FailureCode::NotFound, |_| true)
                    );
                });
            });
            assert!(engine.program(leaving).is_err());
            let mut links = engine.links().unwrap();
            assert_eq!(links.len(), 32);
            links.retain(|link| engine.link(link.record.id).unwrap().kernel.is_some());
            assert_eq!(links.len(), 32, "all are in the kernel");
            assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
            for chain in engine.dispatchers().unwrap() {
                let members = engine.chain(chain.key).unwrap().members;
                assert!(members.iter().map(|member| member.priority).eq(0..8));
            }
            for program in programs {
                now(engine.unload(program)).unwrap();
            }
        }
        host.assert_clean(&engine);
    });
}
