//! What would make an answer too long for a frame is refused, leaves nothing, and every list can still be had.

use crate::host::{Host, now, tracepoint, with_host};
use ipc::limits::{FRAME_BYTES, METADATA_BYTES, METADATA_ENTRIES};
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::loader::LoaderReply;
use ipc::messages::program::{Program, ProgramKind};
use loader_worker::engine::Engine;
use std::collections::BTreeMap;

/// As many labels, as long, as one request may bring: a quarter of a megabyte of values.
fn labels() -> BTreeMap<String, String> {
    (0..METADATA_ENTRIES)
        .map(|index| (format!("label_{index}"), "v".repeat(METADATA_BYTES)))
        .collect()
}

fn load(host: &Host, engine: &mut Engine, programs: usize) -> Result<Vec<Program>, Failure> {
    let mut plan = host.plan(
        bpf::COUNTER,
        &[("tracepoint_count", ProgramKind::Tracepoint)],
    );
    plan.programs = vec![plan.programs[0].clone(); programs];
    host.load_with(engine, &plan, |options| options.metadata = labels())
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(outcome: Result<T, Failure>, what: &str) {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code, FailureCode::ResourceExhausted, "{failure}");
    assert!(failure.cause.starts_with(what), "{failure}");
}

#[track_caller]
fn assert_fits(reply: &LoaderReply) {
    assert!(ipc::codec::size(reply).unwrap() <= FRAME_BYTES as usize);
}

#[test]
fn a_load_whose_answer_would_be_too_long() {
    with_host(|host| {
        let mut engine = host.open();
        assert_refused(load(host, &mut engine, 17), "the answer");
        host.assert_clean(&engine);
        let loaded = load(host, &mut engine, 14).unwrap();
        assert_fits(&LoaderReply::Loaded(loaded.clone()));
        assert_fits(&LoaderReply::Programs(engine.programs().unwrap()));
        for program in loaded {
            now(engine.unload(program.record.program_id)).unwrap();
        }
        host.assert_clean(&engine);
    });
}

#[test]
fn a_load_that_would_make_the_list_too_long() {
    with_host(|host| {
        let mut engine = host.open();
        let mut ids = Vec::new();
        let refused = loop {
            match load(host, &mut engine, 1) {
                Ok(loaded) => ids.push(loaded[0].record.program_id),
                Err(failure) => break failure,
            }
            assert!(ids.len() < 17, "the list is longer than a frame");
        };
        assert_refused::<()>(Err(refused), "the list of programs");
        assert!(ids.len() > 13, "refused after {}", ids.len());
        assert_fits(&LoaderReply::Programs(engine.programs().unwrap()));
        // Room is there again when something is unloaded.
        now(engine.unload(ids.remove(0))).unwrap();
        ids.push(load(host, &mut engine, 1).unwrap()[0].record.program_id);
        ids.into_iter()
            .for_each(|id| now(engine.unload(id)).unwrap());
        host.assert_clean(&engine);
    });
}

#[test]
fn an_attachment_that_would_make_the_list_too_long() {
    with_host(|host| {
        let mut engine = host.open();
        let loaded = load(host, &mut engine, 12).unwrap();
        let ids: Vec<u32> = loaded
            .iter()
            .map(|program| program.record.program_id)
            .collect();
        // Each row of the list has the labels of the link and those of its program.
        let mut attach = |id| {
            host.attach_with(&mut engine, id, tracepoint(), labels())
                .map(drop)
        };
        let attached = ids.iter().take_while(|id| attach(**id).is_ok()).count();
        assert!((6..8).contains(&attached), "refused after {attached}");
        assert_refused(attach(ids[attached]), "the list of links");
        assert_eq!(engine.links().unwrap().len(), attached);
        assert_fits(&LoaderReply::Links(engine.links().unwrap()));
        now(engine.detach(1)).unwrap();
        host.attach_with(&mut engine, ids[attached], tracepoint(), labels())
            .unwrap();
        ids.into_iter()
            .for_each(|id| now(engine.unload(id)).unwrap());
        host.assert_clean(&engine);
    });
}
