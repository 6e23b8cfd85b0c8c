use super::*;
use ipc::messages::attach::{Link, LinkDetails, LinkEntry, LinkNumbers};
use ipc::messages::kernel::{KernelLink, KernelMap, KernelProgram, ProgramStats};
use ipc::messages::loader::LoaderReply;
use ipc::messages::program::{ProgramEntry, ProgramKind, ProgramRecord, Source};

const LIMIT: usize = FRAME_BYTES as usize;

/// A program with a label of so many bytes.
fn stored(id: u32, label: usize) -> StoredProgram {
    StoredProgram {
        record: ProgramRecord {
            program_id: id,
            name: "count".into(),
            kind: ProgramKind::Tcx,
            section: "tcx/ingress".into(),
            attach_function: None,
            license: "GPL".into(),
            gpl_compatible: true,
            metadata: BTreeMap::from([("k".into(), "v".repeat(label))]),
            globals: vec![],
            source: Source::File("count.o".into()),
            object_digest: [0; 32],
            plan_path: "/s/plans/a.plan".into(),
            pin_path: format!("/r/fs/prog_{id}"),
            maps_dir: format!("/r/fs/maps/{id}"),
            map_owner: None,
            loaded_by: 0,
            created_at: 0,
        },
        maps: vec![KernelMap::default()],
        forms: vec![],
        member: None,
    }
}

fn link(id: u64, program_id: u32, label: usize) -> LinkRecord {
    LinkRecord {
        id,
        program_id,
        kernel_link_id: Some(1),
        kind: ProgramKind::Tracepoint,
        pin_path: format!("/r/fs/links/{id}"),
        details: LinkDetails::Tracepoint {
            group: "syscalls".into(),
            name: "sys_enter_getpid".into(),
        },
        created_at: 0,
        metadata: BTreeMap::from([("k".into(), "v".repeat(label))]),
    }
}

/// What the kernel says at most.
fn kernel_program() -> KernelProgram {
    KernelProgram {
        // Bytes that are no text take three each.
        name: "\u{fffd}".repeat(15),
        map_ids: vec![0; crate::kernel::limits::PROGRAM_MAPS],
        memlock: Some(0),
        ..KernelProgram::default()
    }
}

fn kernel_link() -> KernelLink {
    KernelLink {
        attach_type: Some(0),
        ..KernelLink::default()
    }
}

/// The longest label with which a check passes.
fn longest(mut passes: impl FnMut(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0, LIMIT);
    assert!(passes(good) && !passes(bad));
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        if passes(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

fn encoded(reply: &LoaderReply) -> usize {
    codec::encode(reply, usize::MAX).unwrap().len()
}

#[track_caller]
fn refused(outcome: Result<(), Failure>, what: &str) {
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code, FailureCode::ResourceExhausted);
    assert!(failure.cause.starts_with(what), "{failure}");
}

#[test]
fn what_the_kernel_tells_is_bounded() {
    assert!(codec::size(&kernel_program()).unwrap() <= KERNEL_PROGRAM_BYTES);
    assert!(codec::size(&kernel_link()).unwrap() <= KERNEL_LINK_BYTES);
    assert!(codec::size(&ProgramStats::default()).unwrap() + 64 <= ENVELOPE);
}

#[test]
fn the_longest_answer_to_a_load_fits_and_one_byte_more_is_refused() {
    let program = |label| Program {
        record: stored(7, label).record,
        kernel: Some(kernel_program()),
        stats: None,
        links: vec![],
        maps: vec![KernelMap::default()],
        map_used_by: vec![7],
    };
    let pair = |label| [program(1000), program(label)];
    let label = longest(|label| check_answer(&pair(label)).is_ok());
    assert!(encoded(&LoaderReply::Loaded(pair(label).to_vec())) <= LIMIT);
    refused(check_answer(&pair(label + 1)), "the answer");
}

#[test]
fn the_longest_list_of_programs_fits_and_one_byte_more_is_refused() {
    let pair = |label| [stored(7, 1000), stored(9, label)];
    let label = longest(|label| check_programs(pair(label).iter()).is_ok());
    let entry = |stored: StoredProgram, links| ProgramEntry {
        record: stored.record,
        kernel: Some(kernel_program()),
        links: vec![0; links],
        attached: true,
    };
    let [one, other] = pair(label);
    // Every link that there may be.
    let list = vec![entry(one, LINKS), entry(other, 0)];
    assert!(encoded(&LoaderReply::Programs(list)) <= LIMIT);
    refused(
        check_programs(pair(label + 1).iter()),
        "the list of programs",
    );
}

#[test]
fn the_longest_list_of_links_fits_and_one_byte_more_is_refused() {
    let programs = [stored(7, 1_000_000), stored(9, 100)];
    let three = |label| [link(1, 7, 10), link(2, 7, 20), link(3, 9, label)];
    let check = |label| check_links(three(label).iter(), &programs, &programs[1]);
    let label = longest(|label| check(label).is_ok());
    let entry = |record: LinkRecord| {
        let program = programs
            .iter()
            .find(|program| program.record.program_id == record.program_id)
            .unwrap();
        LinkEntry {
            record,
            program_name: program.record.name.clone(),
            program_kind: ProgramKind::Tracepoint,
            program_metadata: program.record.metadata.clone(),
        }
    };
    let list = three(label).map(entry).to_vec();
    assert!(encoded(&LoaderReply::Links(list)) <= LIMIT);
    refused(check(label + 1), "the list of links");
}

#[test]
fn the_longest_description_of_a_program_fits_and_one_byte_more_is_refused() {
    // Longer than its entry in the list of links, because of its maps.
    let mut program = stored(7, 0);
    program.maps = vec![KernelMap::default(); 1000];
    let programs = [program.clone()];
    let pair = |label| [link(1, 7, 10), link(2, 7, label)];
    let check = |label| check_links(pair(label).iter(), &programs, &program);
    let label = longest(|label| check(label).is_ok());
    let reply = LoaderReply::Program(Box::new(Program {
        kernel: Some(kernel_program()),
        stats: Some(ProgramStats::default()),
        links: pair(label)
            .map(|record| Link {
                record,
                program_name: program.record.name.clone(),
                kernel: Some(kernel_link()),
                pin_present: true,
                numbers: LinkNumbers::Netfilter {
                    family: u32::MAX,
                    hook: u32::MAX,
                    priority: i32::MIN,
                    flags: u32::MAX,
                },
            })
            .to_vec(),
        maps: program.maps.clone(),
        map_used_by: vec![0; PROGRAMS],
        record: program.record.clone(),
    }));
    assert!(encoded(&reply) <= LIMIT);
    refused(check(label + 1), "what is told about program 7");
}
