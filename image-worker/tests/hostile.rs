//! Whatever is done to an object: no panic, and no plan that breaks its bounds.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use image_worker::compile::{Request, RunningKernel, compile};
use image_worker::limits;
use ipc::codec;
use ipc::limits::PLAN_BYTES;
use ipc::messages::failure::Failure;
use ipc::messages::program::{GlobalValue, ProgramKind, ProgramRequest};
use ipc::plan::{Elements, InfoTable, LoadPlan, ProgramPlan};
use proptest::prelude::*;
use std::cell::RefCell;

use ProgramKind::{Tc, Tcx, Tracepoint, Uprobe, Usdt, Xdp};

type Wanted = &'static [(&'static str, ProgramKind)];

/// Objects with programs to ask for: one alone, and several together.
const REQUESTS: [(&str, &[u8], Wanted); 9] = [
    (
        "counter",
        bpf::COUNTER,
        &[
            ("xdp_count", Xdp),
            ("tcx_egress_count", Tcx),
            ("uprobe_count", Uprobe),
        ],
    ),
    ("counter", bpf::COUNTER, &[("optional_count", Xdp)]),
    (
        "order",
        bpf::ORDER,
        &[("order_second", Tcx), ("order_third", Tcx)],
    ),
    (
        "core",
        bpf::CORE,
        &[("core_task", Tracepoint), ("core_callback", Tracepoint)],
    ),
    ("invalid", bpf::INVALID, &[("accepted", Tcx)]),
    ("maps", bpf::MAPS, &[("uses_all", Tc)]),
    (
        "elements",
        bpf::ELEMENTS,
        &[
            ("trace_tables", Tracepoint),
            ("xdp_caller", Xdp),
            ("xdp_callee", Xdp),
        ],
    ),
    (
        "kconfig",
        bpf::KCONFIG,
        &[("kconfig_known", Tracepoint), ("usdt_arguments", Usdt)],
    ),
    ("bare", bpf::BARE, &[("bare_count", Tc)]),
];

thread_local! {
    static KERNEL: RefCell<RunningKernel> = RefCell::default();
}

fn compile_all(object: &[u8], programs: &[(&str, ProgramKind)]) -> Result<LoadPlan, Failure> {
    let programs: Vec<_> = programs
        .iter()
        .map(|(name, kind)| ProgramRequest {
            name: (*name).to_owned(),
            kind: *kind,
            attach_function: None,
        })
        .collect();
    let globals: [GlobalValue; 0] = [];
    let request = Request {
        programs: &programs,
        globals: &globals,
        types: &[],
    };
    KERNEL.with_borrow_mut(|kernel| compile(object, &request, kernel))
}

/// Compiles, and checks what the loader may rely on when there is a plan.
fn attempt(object: &[u8], programs: &[(&str, ProgramKind)]) -> Result<(), Failure> {
    let plan = compile_all(object, programs)?;
    assert!(codec::encode(&plan, PLAN_BYTES).is_ok());
    assert!(plan.maps.len() <= limits::MAPS);
    for (index, map) in plan.maps.iter().enumerate() {
        assert!(
            map.inner.is_none_or(|inner| (inner as usize) < index),
            "{}",
            map.name
        );
        let whole = |initial: &Vec<u8>| initial.len() == map.value_size as usize;
        assert!(map.initial.as_ref().is_none_or(whole), "{}", map.name);
        for element in map.elements.iter().flat_map(Elements::list) {
            let room = match map.elements {
                Some(Elements::Programs(_)) => plan.programs.len(),
                _ => plan.maps.len(),
            };
            assert!((element.value as usize) < room, "{}", map.name);
        }
        assert!(
            map.internal || (map.initial.is_none() && !map.freeze),
            "{}",
            map.name
        );
    }
    assert_eq!(plan.programs.len(), programs.len());
    for program in &plan.programs {
        check_program(&plan, program);
    }
    Ok(())
}

fn check_program(plan: &LoadPlan, program: &ProgramPlan) {
    let count = program.instructions.len() / 8;
    assert!(program.instructions.len().is_multiple_of(8) && count > 0);
    assert!(count as u64 <= limits::PROGRAM_INSTRUCTIONS);
    let mut slots = program.map_slots.iter().peekable();
    let mut index = 0;
    while index < count {
        let instruction = &program.instructions[index * 8..index * 8 + 8];
        let is_load = instruction[0] == 0x18;
        let slot = slots.next_if(|slot| slot.instruction as usize == index);
        match slot {
            Some(slot) => {
                assert!((slot.map as usize) < plan.maps.len());
                let data = plan.maps[slot.map as usize].internal;
                assert!(is_load && instruction[1] >> 4 == if data { 2 } else { 1 });
                assert_eq!(instruction[4..], [0; 4]);
                assert!(index + 1 < count);
            }
            // A number, or the address of a function: never a descriptor.
            None => assert!(!is_load || matches!(instruction[1] >> 4, 0 | 4)),
        }
        index += if is_load { 2 } else { 1 };
    }
    assert!(
        slots.next().is_none(),
        "slots ascend and lie on instructions"
    );
    for (table, size) in [(&program.func_info, 8), (&program.line_info, 16)] {
        if let Some(InfoTable {
            record_size,
            records,
        }) = table
        {
            assert_eq!(*record_size, size);
            assert!(records.len().is_multiple_of(size as usize));
            for record in records.chunks_exact(size as usize) {
                let offset = u32::from_le_bytes(record[..4].try_into().expect("four bytes"));
                assert!((offset as usize) < count);
            }
        }
    }
}

fn u64_at(object: &[u8], offset: usize) -> usize {
    u64::from_le_bytes(object[offset..offset + 8].try_into().expect("eight bytes")) as usize
}

/// Offset and size of each section, and of the table of sections.
fn sections(object: &[u8]) -> Vec<(usize, usize)> {
    let table = u64_at(object, 40);
    let count = usize::from(u16::from_le_bytes([object[60], object[61]]));
    let mut found: Vec<_> = (0..count)
        .map(|index| table + index * 64)
        .filter(|header| object[header + 4] != 8)
        .map(|header| (u64_at(object, header + 24), u64_at(object, header + 32)))
        .collect();
    found.push((table, count * 64));
    found.retain(|(_, size)| *size > 0);
    found
}

#[test]
fn untouched_objects_compile() {
    for (name, object, programs) in REQUESTS {
        assert_eq!(attempt(object, programs), Ok(()), "{name}");
    }
}

#[test]
fn truncated_objects_are_refused_at_every_section_boundary() {
    for (name, object, programs) in REQUESTS {
        for (start, size) in sections(object) {
            for length in [
                start.saturating_sub(1),
                start,
                start + 1,
                start + size / 2,
                start + size - 1,
            ] {
                let failure = attempt(&object[..length], programs).expect_err("truncated");
                assert!(
                    !failure.cause.is_empty() && !failure.remedy.is_empty(),
                    "{name} at {length}"
                );
            }
        }
    }
}

/// A place in an object, likelier in a small section than its share of the bytes says.
fn place(object: &[u8], section: usize, within: usize) -> usize {
    let sections = sections(object);
    match section % (sections.len() + 1) {
        0 => within % 64,
        index => {
            let (start, size) = sections[index - 1];
            start + within % size
        }
    }
}

proptest! {
    #[test]
    fn changed_bytes_do_no_harm(
        request in 0..REQUESTS.len(),
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 1..6),
    ) {
        let (_, object, programs) = REQUESTS[request];
        let mut changed = object.to_vec();
        for (section, within, value) in changes {
            let at = place(object, section, within);
            changed[at] = value;
        }
        let _ = attempt(&changed, programs);
    }

    #[test]
    fn flipped_bits_do_no_harm(
        request in 0..REQUESTS.len(),
        flips in proptest::collection::vec((any::<usize>(), any::<usize>(), 0_u32..8), 1..4),
    ) {
        let (_, object, programs) = REQUESTS[request];
        let mut changed = object.to_vec();
        for (section, within, bit) in flips {
            let at = place(object, section, within);
            changed[at] ^= 1 << bit;
        }
        let _ = attempt(&changed, programs);
    }

    #[test]
    fn extreme_words_do_no_harm(
        request in 0..REQUESTS.len(),
        words in proptest::collection::vec(
            (any::<usize>(), any::<usize>(), prop::sample::select(vec![0_u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX])),
            1..3,
        ),
    ) {
        let (_, object, programs) = REQUESTS[request];
        let mut changed = object.to_vec();
        for (section, within, word) in words {
            let at = place(object, section, within) & !3;
            if let Some(place) = changed.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
        let _ = attempt(&changed, programs);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(attempt(&bytes, &[("program", Xdp)]).is_err());
    }
}
