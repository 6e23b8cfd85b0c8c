//! What `doctor` finds when somebody else handles pins and links.

use crate::host::{Host, network, now, other_tracepoint, tracepoint, with_host};
use ipc::messages::program::{ProgramKind, ProgramRecord};
use loader_worker::engine::Engine;
use loader_worker::kernel::{link, pin};
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

fn load(host: &Host, engine: &mut Engine, program: (&str, ProgramKind)) -> ProgramRecord {
    let plan = host.plan(bpf::COUNTER, &[program]);
    host.load(engine, &plan).unwrap().remove(0).record
}

fn exchange(one: &Path, other: &Path) {
    let aside = one.with_file_name("aside");
    fs::rename(one, &aside).unwrap();
    fs::rename(other, one).unwrap();
    fs::rename(aside, other).unwrap();
}

#[track_caller]
fn assert_finds(engine: &Engine, words: &[&str]) {
    let findings = now(engine.doctor()).unwrap().findings;
    assert_eq!(findings.len(), words.len(), "{findings:?}");
    for (finding, word) in findings.iter().zip(words) {
        assert!(finding.contains(word), "no \"{word}\" in {finding}");
    }
}

#[test]
fn map_pins_that_were_exchanged() {
    with_host(|host| {
        let mut engine = host.open();
        let record = load(
            host,
            &mut engine,
            ("tracepoint_count", ProgramKind::Tracepoint),
        );
        let maps: Vec<_> = fs::read_dir(&record.maps_dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        exchange(&maps[0], &maps[1]);
        assert_finds(&engine, &["instead of map", "instead of map"]);
        exchange(&maps[0], &maps[1]);
        fs::remove_file(&maps[0]).unwrap();
        assert_finds(&engine, &["the map pin"]);
        now(engine.unload(record.program_id)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn link_pins_of_one_program_that_were_exchanged() {
    with_host(|host| {
        let mut engine = host.open();
        let record = load(
            host,
            &mut engine,
            ("tracepoint_count", ProgramKind::Tracepoint),
        );
        let pins = [tracepoint(), other_tracepoint()].map(|place| {
            let link = host.attach(&mut engine, record.program_id, place).unwrap();
            link.record.pin_path
        });
        let [one, other] = pins.each_ref().map(Path::new);
        exchange(one, other);
        assert_finds(&engine, &["than link 1", "than link 2"]);
        assert_eq!(engine.link(1).unwrap().kernel, None, "it is another link");
        exchange(one, other);
        assert_finds(&engine, &[]);
        now(engine.unload(record.program_id)).unwrap();
        host.assert_clean(&engine);
    });
}

#[test]
fn a_link_that_was_taken_off_its_interface() {
    with_host(|host| {
        let (program, place) = network();
        let mut engine = host.open();
        let record = load(host, &mut engine, program);
        let attached = host.attach(&mut engine, record.program_id, place).unwrap();
        let held = pin::get(Path::new(&attached.record.pin_path)).unwrap();
        link::detach(held.as_fd()).unwrap();
        drop(held);
        assert_finds(&engine, &["or somebody took the link off it"]);
        now(engine.detach(1)).unwrap();
        now(engine.unload(record.program_id)).unwrap();
        host.assert_clean(&engine);
    });
}
