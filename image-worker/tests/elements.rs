//! Elements of maps that the source sets, as the plan has them, and what is done to objects that say something else.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

mod plans;

use image_worker::limits;
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::ProgramKind::{Tracepoint, Xdp};
use ipc::plan::{Element, Elements, LoadPlan};
use plans::{map, plan, plan_with};

const TABLES: (&str, ipc::messages::program::ProgramKind) = ("trace_tables", Tracepoint);
const CALLER: (&str, ipc::messages::program::ProgramKind) = ("trace_caller", Tracepoint);
const CALLEE: (&str, ipc::messages::program::ProgramKind) = ("trace_callee", Tracepoint);

/// Keys and names of the maps or programs there.
fn elements<'p>(plan: &'p LoadPlan, name: &str) -> Vec<(u32, &'p str)> {
    let name_of = |element: &Element, of_maps: bool| {
        let index = element.value as usize;
        let name = if of_maps {
            &plan.maps[index].name
        } else {
            &plan.programs[index].name
        };
        (element.key, name.as_str())
    };
    match &map(plan, name).elements {
        None => Vec::new(),
        Some(Elements::Maps(list)) => list.iter().map(|one| name_of(one, true)).collect(),
        Some(Elements::Programs(list)) => list.iter().map(|one| name_of(one, false)).collect(),
    }
}

#[test]
fn inner_maps_and_programs_are_in_the_plan() {
    let plan = plan(bpf::ELEMENTS, &[TABLES, CALLER, CALLEE]);
    assert_eq!(elements(&plan, "tables"), [(1, "low"), (3, "high")]);
    assert_eq!(elements(&plan, "hashed"), [(2, "high")]);
    assert_eq!(elements(&plan, "shared_tables"), [(0, "low")]);
    assert_eq!(elements(&plan, "trace_calls"), [(2, "trace_callee")]);
    assert!(map(&plan, "trace_calls").inner.is_none());
    assert_eq!(map(&plan, "trace_calls").value_size, 4);
    assert_eq!(map(&plan, "seen").hash_functions, 3);
    assert_eq!(map(&plan, "low").elements, None);
}

#[test]
fn who_may_be_jumped_to_must_be_asked_for() {
    let failure = plan_with(bpf::ELEMENTS, &[TABLES, CALLER], &[]).expect_err("no callee");
    assert_eq!(failure.code, FailureCode::FailedPrecondition);
    assert_eq!(
        failure.cause,
        "program \"trace_caller\" may call program \"trace_callee\", element 2 of map \"trace_calls\", which is not asked for"
    );
    assert_eq!(
        failure.remedy,
        "name it as well: --programs tracepoint:trace_callee"
    );
    // Where nobody asked for jumps, the place is left empty.
    let unused = plan(bpf::ELEMENTS, &[TABLES]);
    assert_eq!(map(&unused, "trace_calls").elements, None);
    assert_eq!(map(&unused, "xdp_calls").elements, None);
    let plan = plan(
        bpf::ELEMENTS,
        &[("xdp_callee", Xdp), ("xdp_caller", Xdp), TABLES],
    );
    assert_eq!(elements(&plan, "xdp_calls"), [(0, "xdp_callee")]);
    assert_eq!(elements(&plan, "trace_calls"), []);
}

/// One relocation: offset in `.maps`, kind, symbol.
type Relocation = (u64, u32, u32);

fn long(object: &[u8], at: usize) -> usize {
    u64::from_le_bytes(object[at..at + 8].try_into().expect("eight bytes")) as usize
}

fn word(object: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(object[at..at + 4].try_into().expect("four bytes"))
}

/// Header of the first section of this type whose `sh_info` satisfies the condition.
fn header(object: &[u8], kind: u32, holds: impl Fn(usize) -> bool) -> usize {
    let count = usize::from(u16::from_le_bytes([object[60], object[61]]));
    (0..count)
        .map(|index| long(object, 40) + index * 64)
        .find(|header| word(object, header + 4) == kind && holds(*header))
        .expect("a section")
}

fn name(object: &[u8], offset: usize) -> &str {
    let end = object[offset..].iter().position(|byte| *byte == 0);
    std::str::from_utf8(&object[offset..offset + end.expect("an end")]).expect("a name")
}

fn section_header(object: &[u8], index: usize) -> usize {
    long(object, 40) + index * 64
}

/// The relocations of the definitions of maps, and where their header is.
fn relocations(object: &[u8]) -> (usize, Vec<Relocation>) {
    let names = usize::from(u16::from_le_bytes([object[62], object[63]]));
    let names = long(object, section_header(object, names) + 24);
    let header = header(object, 9, |header| {
        let target = section_header(object, word(object, header + 44) as usize);
        name(object, names + word(object, target) as usize) == ".maps"
    });
    let (start, size) = (long(object, header + 24), long(object, header + 32));
    let found = object[start..start + size]
        .chunks_exact(16)
        .map(|entry| (long(entry, 0) as u64, word(entry, 8), word(entry, 12)))
        .collect();
    (header, found)
}

/// Offset of the symbol with this name in the file, and its number.
fn symbol(object: &[u8], wanted: &str) -> (usize, u32) {
    let table = header(object, 2, |_| true);
    let names = section_header(object, word(object, table + 40) as usize);
    let (names, start) = (long(object, names + 24), long(object, table + 24));
    (0..)
        .map(|index| (start + index as usize * 24, index))
        .find(|(at, _)| name(object, names + word(object, *at) as usize) == wanted)
        .expect(wanted)
}

/// The object with other relocations of the definitions of maps.
fn with(change: impl FnOnce(&mut Vec<Relocation>)) -> Vec<u8> {
    let mut object = bpf::ELEMENTS.to_vec();
    let (header, mut list) = relocations(&object);
    change(&mut list);
    object.resize(object.len().next_multiple_of(8), 0);
    let start = object.len() as u64;
    for (offset, kind, symbol) in &list {
        object.extend_from_slice(&offset.to_le_bytes());
        object.extend_from_slice(&kind.to_le_bytes());
        object.extend_from_slice(&symbol.to_le_bytes());
    }
    let size = object.len() as u64 - start;
    object[header + 24..header + 32].copy_from_slice(&start.to_le_bytes());
    object[header + 32..header + 40].copy_from_slice(&size.to_le_bytes());
    object
}

#[track_caller]
fn refused(object: &[u8], text: &str) -> Failure {
    let failure = plan_with(object, &[TABLES, CALLER, CALLEE], &[]).expect_err(text);
    assert!(failure.cause.contains(text), "{failure} is not \"{text}\"");
    failure
}

#[test]
fn relocations_that_are_no_elements_are_refused() {
    let place = |offset: u64| with(move |list| list[0].0 = offset);
    // In the definition before the elements, between two of them, behind them, outside, and next to the last number.
    let first = relocations(bpf::ELEMENTS).1[0].0;
    for offset in [
        first - 16,
        first + 1,
        first + 4,
        0,
        1 << 20,
        u64::MAX - 7,
        u64::MAX,
    ] {
        refused(&place(offset), "is no element of a map");
    }
    refused(&with(|list| list[0].1 = 1), "is no element of a map");
    refused(&with(|list| list[1].0 = list[0].0), "twice");
    refused(&with(|list| list[0].2 = u32::MAX), "refers to symbol");
}

#[test]
fn elements_that_cannot_be_are_refused() {
    let point = |at: usize, name: &str| {
        let symbol = symbol(bpf::ELEMENTS, name).1;
        with(move |list| list[at].2 = symbol)
    };
    // The relocations are those of `tables`, `tables`, `hashed`, `shared_tables`, `trace_calls`, `xdp_calls`.
    refused(&point(0, "trace_callee"), "element 1 is not a map");
    refused(&point(0, "_license"), "element 1 is not a map");
    refused(&point(0, "tables"), "element 1 is a map of another type");
    refused(&point(2, "seen"), "element 2 is a map of another type");
    refused(&point(4, "low"), "element 2 is not a program");
    refused(&point(4, "counters"), "element 2 is not a program");
    // A program, but its symbol says that it begins elsewhere.
    let mut object = bpf::ELEMENTS.to_vec();
    let (at, _) = symbol(&object, "trace_callee");
    object[at + 4] = 0x11;
    assert!(plan_with(&object, &[TABLES], &[]).is_err());
}

#[test]
fn elements_beyond_the_end_of_their_map_are_refused() {
    // The map begins one place earlier, at the cost of the map before it: what was its first element is the second.
    let callee = symbol(bpf::ELEMENTS, "trace_callee").1;
    let mut object = with(|list| list.retain(|one| one.2 != callee));
    for (name, field, change) in [
        ("trace_calls", 16, -8),
        ("xdp_calls", 8, -8),
        ("xdp_calls", 16, 8),
    ] {
        let at = symbol(&object, name).0 + field;
        let number = long(&object, at) as i64 + change;
        object[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    let failure = plan_with(&object, &[("xdp_callee", Xdp)], &[]).expect_err("one too many");
    assert_eq!(
        failure.cause,
        "map \"xdp_calls\": element 1 is one too many: max_entries is 1"
    );
}

#[test]
fn more_elements_than_the_bound_are_refused() {
    let many = |count: usize| {
        let object = with(|list| {
            let one = list[0];
            *list = (0..count as u64).map(|at| (at * 8, one.1, one.2)).collect();
        });
        plan_with(&object, &[TABLES], &[])
            .expect_err("no elements of maps")
            .code
    };
    assert_eq!(many(limits::MAP_ELEMENTS), FailureCode::InvalidArgument);
    assert_eq!(
        many(limits::MAP_ELEMENTS + 1),
        FailureCode::ResourceExhausted
    );
}
