//! Every act of every request made to fail once: nothing of the request remains, or it can be repeated.

use crate::host::{Host, network, now, other_tracepoint, tracepoint, with_host};
use crate::switch::Mode;
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::ProgramKind;
use loader_worker::engine::Engine;

const PROBE: (&str, ProgramKind) = ("tracepoint_count", ProgramKind::Tracepoint);

/// Repeats a request, failing at one point later each time, until it succeeds without having failed; returns the points.
fn at_every_point<T>(
    host: &Host,
    engine: &mut Engine,
    mut request: impl FnMut(&mut Engine) -> Result<T, Failure>,
    mut after_failure: impl FnMut(&mut Engine, &str),
) -> (Vec<String>, T) {
    let mut points = Vec::new();
    for number in 0.. {
        host.switch.set(Mode::Fail(number));
        let outcome = request(engine);
        let fired = host.switch.fired();
        host.switch.set(Mode::Off);
        match (fired, outcome) {
            (Some(point), Err(_)) => {
                after_failure(engine, &point);
                points.push(point);
            }
            (Some(point), Ok(_)) => panic!("succeeded although this failed: {point}"),
            (None, outcome) => return (points, outcome.unwrap()),
        }
    }
    unreachable!("a request has a last point")
}

#[test]
fn a_failed_load_leaves_nothing() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &[PROBE, network().0]);
        let load = |engine: &mut Engine| {
            host.load_with(engine, &plan, |options| {
                options.maps_mode = Some(0o644);
                options.maps_group = Some(4242);
            })
        };
        let (points, loaded) = at_every_point(host, &mut engine, load, |engine, _| {
            host.assert_clean(engine)
        });
        for kind in [
            "LoadBtf",
            "CreateMap",
            "FillMap",
            "FreezeMap",
            "LoadProgram",
            "Begin",
            "KeepPlan",
            "MakeDirectory",
            "PinMap",
            "GiveToGroup",
            "SetMode",
            "PinProgram",
            "Commit",
        ] {
            assert!(
                points.iter().any(|point| point.contains(kind)),
                "{kind} never failed: {points:?}"
            );
        }
        assert_eq!(now(engine.doctor()).unwrap().findings, Vec::<String>::new());
        for program in loaded {
            now(engine.unload(program.record.program_id)).unwrap();
        }
        host.assert_clean(&engine);
    });
}

#[test]
fn a_failed_attach_leaves_nothing() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &[PROBE, network().0]);
        let loaded = host.load(&mut engine, &plan).unwrap();
        for (program, spec) in loaded.iter().zip([tracepoint(), network().1]) {
            let id = program.record.program_id;
            let before = engine.links().unwrap();
            let attach = |engine: &mut Engine| host.attach(engine, id, spec.clone());
            let (points, link) = at_every_point(host, &mut engine, attach, |engine, point| {
                assert_eq!(engine.links().unwrap(), before, "{point}");
                assert!(
                    !engine
                        .programs()
                        .unwrap()
                        .iter()
                        .any(|p| p.record.program_id == id && p.attached)
                );
                assert_eq!(
                    now(engine.doctor()).unwrap().findings,
                    Vec::<String>::new(),
                    "{point}"
                );
            });
            assert!(points.len() >= 4, "{points:?}");
            assert!(
                link.record.id > before.len() as u64 + 1,
                "ids of failed attachments are not given again"
            );
        }
        for program in loaded {
            now(engine.unload(program.record.program_id)).unwrap();
        }
        host.assert_clean(&engine);
    });
}

#[test]
fn a_failed_detach_or_unload_can_be_repeated() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(bpf::COUNTER, &[PROBE, network().0]);
        let mut failed_at_commit = 0;
        for number in 0.. {
            let ids: Vec<u32> = host
                .load(&mut engine, &plan)
                .unwrap()
                .iter()
                .map(|p| p.record.program_id)
                .collect();
            host.attach(&mut engine, ids[0], tracepoint()).unwrap();
            let extra = host
                .attach(&mut engine, ids[0], other_tracepoint())
                .unwrap()
                .record
                .id;
            let other = host
                .attach(&mut engine, ids[1], network().1)
                .unwrap()
                .record
                .id;

            host.switch.set(Mode::Fail(number));
            let outcomes = [
                now(engine.detach(other)),
                now(engine.unload(ids[0])),
                now(engine.unload(ids[1])),
            ];
            let fired = host.switch.fired();
            host.switch.set(Mode::Off);
            let failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
            assert_eq!(
                failures.len(),
                usize::from(fired.is_some()),
                "{fired:?}: {failures:?}"
            );
            failed_at_commit += usize::from(fired.as_deref() == Some("Commit"));

            // Once more, and all is gone. What a failed commit had taken away already is finished first, and then
            // not found any more.
            let gone = |outcome: Result<(), Failure>| {
                if let Err(failure) = outcome {
                    assert_eq!(failure.code, FailureCode::NotFound, "{fired:?}: {failure}");
                }
            };
            gone(now(engine.detach(other)));
            gone(now(engine.detach(extra)));
            ids.into_iter().for_each(|id| gone(now(engine.unload(id))));
            host.assert_clean(&engine);
            if fired.is_none() {
                assert!(number > 8, "only {number} points");
                assert_eq!(failed_at_commit, 3);
                return;
            }
        }
    });
}

#[test]
fn one_rejected_program_takes_the_others_with_it() {
    with_host(|host| {
        let mut engine = host.open();
        let plan = host.plan(
            bpf::INVALID,
            &[
                ("accepted", ProgramKind::Tcx),
                ("rejected", ProgramKind::Tcx),
            ],
        );
        let failure = host.load(&mut engine, &plan).unwrap_err();
        assert_eq!(failure.code, FailureCode::Rejected);
        assert!(failure.verifier_log.is_some_and(|log| !log.is_empty()));
        host.assert_clean(&engine);
    });
}
