//! `program delete`, `link delete`, `dispatcher delete`.

use crate::samples;
use crate::service::Service;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Programs by id: the owner of their maps, and their links.
type Programs = BTreeMap<u32, (Option<u32>, Vec<u64>)>;

/// A service with these programs, which forgets what is taken away. Link 66 cannot be detached.
fn holding(programs: &[(u32, Option<u32>, &[u64])]) -> Service {
    let state: Programs = programs
        .iter()
        .map(|(id, owner, links)| (*id, (*owner, links.to_vec())))
        .collect();
    let state = Arc::new(Mutex::new(state));
    Service::start(move |_, request, _| answer(&mut state.lock().unwrap(), request))
}

fn answer(programs: &mut Programs, request: &ClientRequest) -> ClientReply {
    let missing = |what: String| {
        ClientReply::Failed(Failure::new(
            FailureCode::NotFound,
            Stage::Request,
            format!("{what} does not exist"),
        ))
    };
    match request {
        ClientRequest::ListPrograms => {
            let entries = programs.iter().map(|(id, (owner, _))| {
                let mut entry = samples::program_entry();
                entry.record.program_id = *id;
                entry.record.map_owner = *owner;
                entry
            });
            ClientReply::Programs(entries.collect())
        }
        ClientRequest::Unload { program_id } => match programs.remove(program_id) {
            Some(_) => ClientReply::Done,
            None => missing(format!("program {program_id}")),
        },
        ClientRequest::GetLink { link_id } => {
            match programs
                .iter()
                .find(|(_, (_, links))| links.contains(link_id))
            {
                Some((id, _)) => {
                    let mut link = samples::tracepoint_link();
                    link.record.id = *link_id;
                    link.record.program_id = *id;
                    ClientReply::Link(Box::new(link))
                }
                None => missing(format!("link {link_id}")),
            }
        }
        ClientRequest::Detach { link_id: 66 } => ClientReply::Failed(Failure::new(
            FailureCode::PermissionDenied,
            Stage::Detach,
            "not yours",
        )),
        ClientRequest::Detach { link_id } => {
            for (_, links) in programs.values_mut() {
                links.retain(|link| link != link_id);
            }
            ClientReply::Done
        }
        ClientRequest::GetProgram { program_id } => {
            let mut program = samples::program();
            program.record.program_id = *program_id;
            program.links = programs[program_id]
                .1
                .iter()
                .map(|_| samples::tracepoint_link())
                .collect();
            ClientReply::Program(Box::new(program))
        }
        other => panic!("{other:?}"),
    }
}

/// What was taken away, in its order.
fn removals(service: &Service) -> Vec<String> {
    let requests = service.requests().into_iter();
    requests
        .filter_map(|request| match request {
            ClientRequest::Unload { program_id } => Some(format!("program {program_id}")),
            ClientRequest::Detach { link_id } => Some(format!("link {link_id}")),
            _ => None,
        })
        .collect()
}

const SHARING: [(u32, Option<u32>, &[u64]); 4] = [
    (1, None, &[11]),
    (2, Some(1), &[]),
    (3, Some(1), &[31, 32]),
    (9, None, &[66]),
];

#[test]
fn a_program_goes_alone_or_with_those_that_use_its_maps() {
    for (line, expected) in [
        ("program delete 1", &["program 1"][..]),
        (
            "program delete 1 -r",
            &["program 2", "program 3", "program 1"],
        ),
        (
            "program delete 1 3 --recursive 2",
            &["program 2", "program 3", "program 1"],
        ),
        (
            "program delete --all",
            &["program 2", "program 3", "program 1", "program 9"],
        ),
    ] {
        let service = holding(&SHARING);
        let outcome = service.run(line);
        assert_eq!(
            (
                outcome.code,
                outcome.output.as_str(),
                outcome.errors.as_str()
            ),
            (0, "", ""),
            "{line}"
        );
        assert_eq!(removals(&service), expected, "{line}");
    }
}

#[test]
fn every_program_is_tried() {
    let service = holding(&SHARING);
    let outcome = service.run("program delete 7 9");
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.errors,
        "program 7: request: program 7 does not exist\n\
         bpfman: error: 1 of 2 program(s) failed to delete\n"
    );
    assert_eq!(removals(&service), ["program 7", "program 9"]);
}

#[test]
fn all_of_nothing_is_done() {
    let outcome = holding(&[]).run("program delete --all");
    assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""));
}

#[test]
fn a_program_goes_with_its_last_link() {
    for (line, expected) in [
        ("link delete 11", &["link 11", "program 1"][..]),
        (
            "link delete 11 -r",
            &["link 11", "program 2", "program 3", "program 1"],
        ),
        ("link delete 31", &["link 31"]),
        ("link delete 32 31 32", &["link 32", "link 31", "program 3"]),
    ] {
        let service = holding(&SHARING);
        let outcome = service.run(line);
        assert_eq!((outcome.code, outcome.errors.as_str()), (0, ""), "{line}");
        assert_eq!(removals(&service), expected, "{line}");
    }
    let service = holding(&SHARING);
    let outcome = service.run("link delete 66 5 31");
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.errors,
        "link 66: detach: not yours\n\
         link 5: request: link 5 does not exist\n\
         bpfman: error: 2 of 3 link(s) failed to delete\n"
    );
    assert_eq!(removals(&service), ["link 66", "link 31"]);
}

#[test]
fn a_dispatcher_goes_with_its_members() {
    let service = Service::start(|_, request, _| match request {
        ClientRequest::GetDispatcher { key } if key.ifindex == 2 => {
            ClientReply::Chain(Box::new(samples::chains()[0].clone()))
        }
        _ => ClientReply::Failed(Failure::new(
            FailureCode::NotFound,
            Stage::Request,
            "no dispatcher there",
        )),
    });
    let outcome = service.run("dispatcher delete xdp 4026531840 2");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome
            .errors
            .contains("goes with the last one; run `bpfmanctl link detach "),
        "{outcome:?}"
    );
    let outcome = service.run("dispatcher delete xdp 4026531840 3");
    assert_eq!(
        outcome.errors,
        "bpfman: error: request: no dispatcher there\n"
    );
}
