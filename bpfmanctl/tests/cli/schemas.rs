//! JSON results have the keys of the established command, all of them, of the right types, and null where it says so.

mod shape;
mod tables;

use crate::samples;
use crate::service::Service;
use ipc::messages::attach::Link;
use ipc::messages::client::{ClientReply, ClientRequest};
use ipc::messages::program::{Program, ProgramKind, Source};
use ipc::messages::pull::{ImageSource, PullPolicy};
use serde_json::Value;
use shape::Seen;
use shape::Shape::{self, Keys, List};
use std::collections::BTreeMap;
use tables::{DETAILS, DISPATCHER, DISPATCHER_LIST, LINK, LINK_RECORD, LIST_ENTRY, PROGRAM};

/// What a command prints when the service answers so.
fn printed(line: &str, replies: Vec<ClientReply>) -> Value {
    let service = Service::start(move |number, _: &ClientRequest, _| replies[number].clone());
    let outcome = service.run(line);
    assert_eq!(outcome.code, 0, "{line}: {outcome:?}");
    serde_json::from_str(&outcome.output).unwrap()
}

/// Links with and without everything that may be missing.
fn links() -> Vec<Link> {
    let mut links = samples::links();
    let mut uprobe = samples::uprobe_link("malloc", 0);
    uprobe.record.kind = ProgramKind::Uprobe;
    links.push(uprobe);
    let mut bare = links[0].clone();
    bare.record.metadata.clear();
    bare.record.pin_path.clear();
    bare.record.kernel_link_id = None;
    bare.kernel = None;
    links.push(bare);
    let mut full = links[0].clone();
    full.record.metadata = BTreeMap::from([("owner".to_owned(), "acme".to_owned())]);
    links.push(full);
    links
}

/// As if it came from an image.
fn from_image(program: &Program) -> Program {
    let mut program = program.clone();
    program.record.source = Source::Image(ImageSource {
        url: "quay.io/acme/counter:v1".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
        origin: None,
    });
    program
}

#[test]
fn programs() {
    let mut gone = samples::program();
    gone.kernel = None;
    let mut full = samples::full_program();
    full.links = links();
    let mut seen = Seen::default();
    for program in [from_image(&full), samples::program(), full, gone] {
        let got = printed(
            "program get 512 -o json",
            vec![ClientReply::Program(Box::new(program.clone()))],
        );
        seen.check(&PROGRAM, &got, "");
        let loaded = printed(
            "program load /etc/passwd --programs xdp:p -o json",
            vec![ClientReply::Loaded(vec![program])],
        );
        const LOADED: Shape = Keys(&[("programs", List(&PROGRAM))]);
        Seen::default().check(&LOADED, &loaded, "");
    }
    seen.both(&[]);
}

#[test]
fn lists_of_programs() {
    const LIST: Shape = Keys(&[("programs", List(&LIST_ENTRY))]);
    let mut gone = samples::program_entry();
    gone.kernel = None;
    let mut shared = samples::program_entry();
    shared.record.map_owner = Some(1);
    shared.record.attach_function = Some("do_unlinkat".to_owned());
    let mut pulled = samples::program_entry();
    pulled.record.source = from_image(&samples::program()).record.source;
    let list = printed(
        "program list --all -o json",
        vec![
            ClientReply::Programs(vec![samples::program_entry(), gone, shared, pulled]),
            ClientReply::KernelPrograms(vec![samples::foreign_program()]),
        ],
    );
    let mut seen = Seen::default();
    seen.check(&LIST, &list, "");
    seen.both(&[]);
}

#[test]
fn links_of_every_kind() {
    let mut seen = Seen::default();
    let mut kinds: Vec<&str> = DETAILS.iter().map(|(kind, _)| *kind).collect();
    for link in links() {
        let kind = link.record.kind.name();
        let got = printed(
            "link get 1 -o json",
            vec![ClientReply::Link(Box::new(link.clone()))],
        );
        seen.check(&LINK, &got, "");
        if let Some((_, shape)) = DETAILS.iter().find(|(known, _)| *known == kind) {
            seen.check(shape, &got["record"]["details"], kind);
            kinds.retain(|left| *left != kind);
        }
        let attached = printed(
            "link attach fentry 512 -o json",
            vec![ClientReply::Link(Box::new(link))],
        );
        assert_eq!(attached, got);
    }
    assert!(kinds.is_empty(), "no sample of {kinds:?}");
    seen.both(&[]);
}

#[test]
fn lists_of_links_are_of_records() {
    const LIST: Shape = Keys(&[("links", List(&LINK_RECORD))]);
    let entries = links().into_iter().map(samples::entry_of).collect();
    let list = printed("link list -o json", vec![ClientReply::Links(entries)]);
    let mut seen = Seen::default();
    seen.check(&LIST, &list, "");
    seen.both(&[]);
}

#[test]
fn dispatchers() {
    let chains = samples::chains();
    let list = chains
        .iter()
        .map(|chain| chain.dispatcher.clone())
        .collect();
    let list = printed(
        "dispatcher list -o json",
        vec![ClientReply::Dispatchers(list)],
    );
    Seen::default().check(&DISPATCHER_LIST, &list, "");

    let mut seen = Seen::default();
    for mut chain in chains {
        if let [first, ..] = chain.members.as_mut_slice() {
            first.kernel_link_id = None;
            first.metadata.insert("owner".to_owned(), "acme".to_owned());
        }
        let got = printed(
            "dispatcher get xdp 4026531840 2 -o json",
            vec![ClientReply::Chain(Box::new(chain))],
        );
        seen.check(&DISPATCHER, &got, "");
    }
    seen.both(&[]);
}
