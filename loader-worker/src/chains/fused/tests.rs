//! Without a kernel: what the generated program refers to is there, and where it should be.

use super::*;
use crate::chains::verdicts;
use crate::valid_plan::sample;

fn member<'a>(program: &'a ProgramPlan, maps: &'a [u32]) -> Member<'a> {
    Member {
        program,
        maps,
        mask: 4,
        slot: 0,
    }
}

#[test]
fn slots_and_functions_move_with_their_member() {
    let program = sample::plan().programs[0].clone();
    let members = [member(&program, &[7, 8]), member(&program, &[9, 10])];
    let fused = generate(HookKind::Xdp, &members, 2).unwrap();
    let (code, rest) = fused.program.instructions.as_chunks::<8>();
    assert!(rest.is_empty());
    let own = program.instructions.len() / 8;
    let starts = [code.len() - 2 * own, code.len() - own];
    for (start, name) in starts.into_iter().zip(["first", "second"]) {
        assert_eq!(
            code[start..start + own].as_flattened(),
            program.instructions,
            "{name}"
        );
    }
    let expected: Vec<(u32, u32)> = std::iter::once((4, 0))
        .chain(starts.into_iter().zip([7, 9]).flat_map(|(start, first)| {
            program
                .map_slots
                .iter()
                .map(move |slot| (slot.instruction + start as u32, first + slot.map))
        }))
        .collect();
    let found: Vec<(u32, u32)> = fused
        .program
        .map_slots
        .iter()
        .map(|slot| (slot.instruction, slot.map))
        .collect();
    assert_eq!(found, expected);
    for slot in &fused.program.map_slots {
        assert_eq!(code[slot.instruction as usize][0], 0x18);
    }
    let records = fused.program.func_info.unwrap().records;
    let found: Vec<u32> = records
        .as_chunks::<8>()
        .0
        .iter()
        .map(|record| u32::from_ne_bytes([record[0], record[1], record[2], record[3]]))
        .collect();
    // Between the first and the members is what deals with unusual verdicts.
    assert_eq!(found.len(), 4);
    assert_eq!(found[0], 0);
    assert!((1..starts[0] as u32).contains(&found[1]));
    assert_eq!(found[2..], [starts[0] as u32, starts[1] as u32]);
}

#[test]
fn the_only_member_is_called_at_once() {
    let program = sample::plan().programs[0].clone();
    let fused = generate(HookKind::Xdp, &[member(&program, &[7, 8])], 2).unwrap();
    let (code, _) = fused.program.instructions.as_chunks::<8>();
    assert_eq!(code[0][..2], [0x85, 0x10]);
    // Its counters are looked for where the usual verdict goes on, and where another is dealt with.
    let counters = fused.program.map_slots.iter().filter(|slot| slot.map == 0);
    let found: Vec<u8> = counters
        .map(|slot| code[slot.instruction as usize][0])
        .collect();
    assert_eq!(found, [0x18, 0x18]);
}

#[test]
fn functions_are_found_by_their_calls() {
    // call +2; exit; r0 = 0; exit | r0 = function at 3 (two instructions) ...
    let call = [0x85, 0x10, 0, 0, 1, 0, 0, 0];
    let exit = [0x95, 0, 0, 0, 0, 0, 0, 0];
    let code = [call, exit, exit].concat();
    assert_eq!(entry_points(&code).unwrap(), BTreeSet::from([0, 2]));
    let address = [0x18, 0x40, 0, 0, 2, 0, 0, 0];
    let code = [address, [0; 8], exit, exit].concat();
    assert_eq!(entry_points(&code).unwrap(), BTreeSet::from([0, 3]));
    let outside = [0x85, 0x10, 0, 0, 9, 0, 0, 0];
    assert!(entry_points(&outside).is_err());
    let before = [0x85, 0x10, 0, 0, 0xf0, 0xff, 0xff, 0xff];
    assert!(entry_points(&before).is_err());
}

#[test]
fn one_member_more_than_there_is_room_for_is_refused() {
    let program = sample::plan().programs[0].clone();
    let members = vec![member(&program, &[1, 2]); FUSED_MEMBERS + 1];
    assert!(generate(HookKind::Xdp, &members[1..], 2).is_ok());
    assert!(generate(HookKind::Xdp, &members, 2).is_err());
    assert!(generate(HookKind::Xdp, &[], 2).is_err());
}

#[test]
fn fragments_are_allowed_when_every_member_allows_them() {
    let plain = sample::plan().programs[0].clone();
    let frags = ProgramPlan {
        flags: HAS_FRAGS,
        ..plain.clone()
    };
    let flags = |hook, members: &[Member<'_>]| generate(hook, members, 2).unwrap().program.flags;
    let both = [member(&frags, &[1, 2]), member(&frags, &[1, 2])];
    assert_eq!(flags(HookKind::Xdp, &both), HAS_FRAGS);
    assert_eq!(flags(HookKind::TcIngress, &both), 0);
    let mixed = [member(&frags, &[1, 2]), member(&plain, &[1, 2])];
    assert_eq!(flags(HookKind::Xdp, &mixed), 0);
}

#[test]
fn usual_verdict_is_the_one_that_goes_on() {
    let mask = |hook, verdicts: &[i32]| verdicts::mask(hook, verdicts);
    let xdp = |verdicts: &[i32]| entry::usual(HookKind::Xdp, mask(HookKind::Xdp, verdicts));
    assert_eq!(xdp(&[0, 2, 31]), Some(2));
    assert_eq!(xdp(&[1, 3]), Some(1));
    assert_eq!(xdp(&[31]), None);
    let tc =
        |verdicts: &[i32]| entry::usual(HookKind::TcEgress, mask(HookKind::TcEgress, verdicts));
    assert_eq!(tc(&[-1, 3, 30]), Some(4));
    assert_eq!(tc(&[-1]), Some(0));
    assert_eq!(tc(&[30]), None);
}
