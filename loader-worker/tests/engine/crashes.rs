//! The process killed before every act of every request, and while it recovers: the next one finds the old state or the
//! new one, never anything between.

use crate::host::{Host, network, now, other_tracepoint, tracepoint, with_host};
use crate::switch::{Mode, survive};
use ipc::messages::program::ProgramKind;
use loader_worker::engine::Engine;

const PROBE: (&str, ProgramKind) = ("tracepoint_count", ProgramKind::Tracepoint);

/// Kills the process in a request, then kills each process that recovers, one point later each time, until one gets
/// through. `None`: the request was finished before the point was reached.
pub(crate) fn kill(
    host: &Host,
    mut engine: Engine,
    number: usize,
    request: impl FnOnce(&mut Engine),
) -> Option<(String, Engine)> {
    host.switch.set(Mode::Crash(number));
    let outcome = survive(|| request(&mut engine));
    drop(engine);
    let Some(point) = host.switch.fired() else {
        host.switch.set(Mode::Off);
        assert!(outcome.is_some());
        return None;
    };
    for number in 0.. {
        host.switch.set(Mode::Crash(number));
        if let Some(engine) = survive(|| host.open()) {
            host.switch.set(Mode::Off);
            assert_eq!(
                now(engine.doctor()).unwrap().findings,
                Vec::<String>::new(),
                "after {point}"
            );
            return Some((point, engine));
        }
    }
    unreachable!("recovery has a last point")
}

#[test]
fn a_load_happens_or_not() {
    with_host(|host| {
        let plan = host.plan(bpf::COUNTER, &[PROBE, network().0]);
        for number in 0.. {
            let request = |engine: &mut Engine| {
                let _ = host.load(engine, &plan);
            };
            let Some((point, mut engine)) = kill(host, host.open(), number, request) else {
                assert!(number > 20, "only {number} points");
                let mut engine = host.open();
                forget_all(&mut engine);
                host.assert_clean(&engine);
                return;
            };
            let programs = engine.programs().unwrap();
            if point == "Answer" {
                assert_eq!(programs.len(), 2, "it was committed");
                assert!(programs.iter().all(|program| program.kernel.is_some()));
                forget_all(&mut engine);
            }
            host.assert_clean(&engine);
        }
    });
}

#[test]
fn an_attach_happens_or_not() {
    with_host(|host| {
        let plan = host.plan(bpf::COUNTER, &[PROBE, network().0]);
        let mut engine = host.open();
        let loaded = host.load(&mut engine, &plan).unwrap();
        drop(engine);
        let mut last_id = 0;
        for (program, spec) in loaded.iter().zip([tracepoint(), network().1]) {
            let id = program.record.program_id;
            for number in 0.. {
                let request = |engine: &mut Engine| {
                    let _ = host.attach(engine, id, spec.clone());
                };
                let Some((point, engine)) = kill(host, host.open(), number, request) else {
                    assert!(number >= 5, "only {number} points");
                    break;
                };
                let links = engine.program(id).unwrap().links;
                assert_eq!(links.len(), usize::from(point == "Answer"), "{point}");
                for link in links {
                    assert!(link.kernel.is_some() && link.pin_present);
                    assert!(link.record.id > last_id, "a link id was given twice");
                    last_id = link.record.id;
                    now(engine.detach(link.record.id)).unwrap();
                }
            }
        }
        let mut engine = host.open();
        forget_all(&mut engine);
        host.assert_clean(&engine);
    });
}

#[test]
fn an_unload_happens_or_not() {
    with_host(|host| {
        let plan = host.plan(bpf::COUNTER, &[PROBE]);
        for number in 0.. {
            let mut engine = host.open();
            let id = host.load(&mut engine, &plan).unwrap()[0].record.program_id;
            host.attach(&mut engine, id, tracepoint()).unwrap();
            host.attach(&mut engine, id, other_tracepoint()).unwrap();
            let request = |engine: &mut Engine| {
                let _ = now(engine.unload(id));
            };
            let Some((point, mut engine)) = kill(host, engine, number, request) else {
                assert!(number >= 6, "only {number} points");
                host.assert_clean(&host.open());
                return;
            };
            if point == "Begin" {
                let program = engine.program(id).unwrap();
                assert!(program.kernel.is_some());
                assert_eq!(
                    program
                        .links
                        .iter()
                        .filter(|link| link.kernel.is_some())
                        .count(),
                    2
                );
                forget_all(&mut engine);
            }
            host.assert_clean(&engine);
        }
    });
}

#[test]
fn a_detach_happens_or_not() {
    with_host(|host| {
        let plan = host.plan(bpf::COUNTER, &[PROBE, network().0]);
        let mut engine = host.open();
        let loaded = host.load(&mut engine, &plan).unwrap();
        drop(engine);
        for (program, spec) in loaded.iter().zip([tracepoint(), network().1]) {
            let id = program.record.program_id;
            for number in 0.. {
                let mut engine = host.open();
                let link = host
                    .attach(&mut engine, id, spec.clone())
                    .unwrap()
                    .record
                    .id;
                let request = |engine: &mut Engine| {
                    let _ = now(engine.detach(link));
                };
                let Some((point, engine)) = kill(host, engine, number, request) else {
                    assert!(number >= 4, "only {number} points");
                    break;
                };
                let links = engine.program(id).unwrap().links;
                assert_eq!(links.len(), usize::from(point == "Begin"), "{point}");
                assert!(links.iter().all(|link| link.kernel.is_some()));
                if !links.is_empty() {
                    now(engine.detach(link)).unwrap();
                }
            }
        }
        let mut engine = host.open();
        forget_all(&mut engine);
        host.assert_clean(&engine);
    });
}

fn forget_all(engine: &mut Engine) {
    for program in engine.programs().unwrap() {
        now(engine.unload(program.record.program_id)).unwrap();
    }
}
