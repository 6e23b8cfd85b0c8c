use super::*;
use crate::proto::BytecodeImage;
use ipc::messages::program::{GlobalValue, Source};

fn entry(id: u32, kind: ProgramKind) -> ProgramEntry {
    ProgramEntry {
        record: ProgramRecord {
            program_id: id,
            name: "count_packets_with_a_long_name".to_owned(),
            kind,
            section: String::new(),
            attach_function: None,
            license: "GPL".to_owned(),
            gpl_compatible: true,
            metadata: BTreeMap::from([("owner".to_owned(), "acme".to_owned())]),
            globals: vec![GlobalValue {
                name: "limit".to_owned(),
                bytes: vec![1, 2],
            }],
            source: Source::File("/opt/counter.o".to_owned()),
            object_digest: [0; 32],
            plan_path: "/var/lib/bpfman/plans/0".to_owned(),
            pin_path: String::new(),
            maps_dir: "/run/bpfman/fs/maps/7".to_owned(),
            map_owner: (id != 7).then_some(7),
            loaded_by: 0,
            created_at: 0,
        },
        kernel: Some(KernelProgram {
            id,
            tag: [0, 1, 2, 3, 4, 5, 0xab, 0xcd],
            loaded_at: 1_786_962_672,
            jited_size: 9,
            memlock: Some(u64::MAX),
            ..KernelProgram::default()
        }),
        links: vec![3, 4],
        attached: true,
    }
}

fn list(request: &ListRequest, programs: Vec<ProgramEntry>) -> Vec<u32> {
    let results = listed(request, programs).unwrap();
    let id = |result: ListResult| result.kernel_info.unwrap().id;
    results.into_iter().map(id).collect()
}

#[test]
fn every_number_is_a_kind_and_back() {
    for kind in (0..9).map(|number| {
        let kind = kind(number).unwrap();
        assert_eq!(i64::from(super::number(kind)), number);
        kind
    }) {
        assert!(ProgramKind::ALL.contains(&kind));
    }
    for none in [-1, 9, i64::from(u32::MAX)] {
        assert_eq!(kind(none), None);
    }
    assert_eq!(number(ProgramKind::Kretprobe), 3);
    assert_eq!(number(ProgramKind::Uretprobe), 4);
}

#[test]
fn every_field_that_one_of_the_established_services_fills_is_filled() {
    let results = listed(
        &ListRequest::default(),
        vec![entry(7, ProgramKind::Xdp), entry(9, ProgramKind::Uretprobe)],
    )
    .unwrap();
    let info = results[1].info.clone().unwrap();
    assert_eq!(info.links, [3, 4]);
    assert_eq!(info.map_owner_id, Some(7));
    assert_eq!(info.map_used_by, ["7", "9"]);
    assert_eq!(info.global_data["limit"], [1, 2]);
    assert_eq!(info.metadata["owner"], "acme");
    let kernel = results[1].kernel_info.clone().unwrap();
    assert_eq!(kernel.loaded_at, "2026-08-17T10:31:12Z");
    assert_eq!(kernel.tag, "000102030405abcd");
    assert!(kernel.jited);
    assert_eq!(kernel.bytes_memlock, u32::MAX);
    assert_eq!(results[0].info.clone().unwrap().map_owner_id, None);
}

#[test]
fn lists_are_filtered_and_leave_out_what_is_gone() {
    let mut gone = entry(3, ProgramKind::Kprobe);
    gone.kernel = None;
    let programs = || {
        vec![
            gone.clone(),
            entry(7, ProgramKind::Kprobe),
            entry(8, ProgramKind::Kretprobe),
        ]
    };
    assert_eq!(list(&ListRequest::default(), programs()), [7, 8]);
    let of_type = |program_type| ListRequest {
        program_type: Some(program_type),
        ..ListRequest::default()
    };
    assert_eq!(list(&of_type(3), programs()), [7], "exactly kprobes");
    assert!(listed(&of_type(9), programs()).is_err());
    let with = |value: &str| ListRequest {
        match_metadata: BTreeMap::from([("owner".to_owned(), value.to_owned())]),
        ..ListRequest::default()
    };
    assert_eq!(list(&with("acme"), programs()), [7, 8]);
    assert!(list(&with("acm"), programs()).is_empty());
}

#[test]
fn where_programs_came_from_is_told_as_it_was_asked_for() {
    let entry = entry(7, ProgramKind::Xdp);
    let program = Program {
        record: entry.record,
        kernel: entry.kernel,
        stats: None,
        links: vec![],
        maps: vec![],
        map_used_by: vec![9, 7],
    };
    let image = BytecodeImage {
        url: "registry.example/counter:v1".to_owned(),
        image_pull_policy: 1,
        ..BytecodeImage::default()
    };
    let asked = BytecodeLocation {
        location: Some(Location::Image(image)),
    };
    let told = loaded(vec![program.clone()], &asked).remove(0);
    let info = told.info.unwrap();
    assert_eq!(info.bytecode, Some(asked));
    assert_eq!(info.map_used_by, ["7", "9"], "ascending");
    assert!(info.links.is_empty());

    let gone = Program {
        kernel: None,
        ..program
    };
    assert!(got(gone).unwrap_err().message().contains("reconciliation"));
}
