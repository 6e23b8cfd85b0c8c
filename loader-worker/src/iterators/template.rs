//! Whether a compiled iterator is the one that was built into this binary, fitted to a kernel. Pure.
//!
//! A plan is made by the image worker, which parses what others wrote. If it were taken over, a free hand here would let it
//! have any tracing program loaded without that anybody asked for one. So its plan may differ from the template only in
//! instructions that CO-RE relocates, and there only by the number that a relocation fills in, within a bound. Wrong numbers
//! make an iterator tell wrong fields; the verifier checks every one of them against the kernel's types, or reads it by a
//! helper that cannot fault, and nothing is ever written to.

use bpf::Template;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use ipc::plan::ProgramPlan;

/// The license of `bpf/src/iterators.bpf.c`: helpers that read the kernel's memory ask for a GPL compatible one.
pub const LICENSE: &str = "Dual BSD/GPL";
/// `BPF_PROG_TYPE_TRACING`.
const TRACING: u32 = 26;
/// Largest offset of a field. The structures that are read have a few thousand bytes.
const LARGEST_OFFSET: i32 = 4096;
/// What stands in place of an instruction that reads a field which the kernel does not have: a call of no function. Such
/// instructions are never reached; if one were, the verifier would refuse the program.
const POISON: [u8; 8] = [0x85, 0, 0, 0, 0x10, 0x23, 0xad, 0x0b];

/// The program to load, made of what was built in and of what may come from the plan.
pub fn fit(template: &Template, planned: &ProgramPlan) -> Result<ProgramPlan, Failure> {
    let (known, _) = template.instructions.as_chunks::<8>();
    let (given, rest) = planned.instructions.as_chunks::<8>();
    if known.len() != given.len() || !rest.is_empty() {
        return Err(refused(template, "it has another length"));
    }
    for (index, (known, given)) in known.iter().zip(given).enumerate() {
        let relocated = u32::try_from(index)
            .is_ok_and(|index| template.relocated.binary_search(&index).is_ok());
        if known != given && !(relocated && fits(*known, *given)) {
            return Err(refused(template, &format!("instruction {index} differs")));
        }
    }
    Ok(ProgramPlan {
        name: template.name.to_owned(),
        kind: ProgramKind::Iter,
        section: template.section.to_owned(),
        prog_type: TRACING,
        expected_attach_type: super::TRACE_ITER,
        flags: 0,
        instructions: planned.instructions.clone(),
        map_slots: Vec::new(),
        func_info: None,
        line_info: None,
        attach_function: None,
        section_target: None,
        // Which iterator it is: the kernel takes ids of iterators only, and checks the program against its arguments.
        attach_btf_id: planned.attach_btf_id,
    })
}

/// Whether an instruction is another with the number of a relocation filled in.
fn fits(known: [u8; 8], given: [u8; 8]) -> bool {
    const CLASS: u8 = 0x07;
    const LOAD: u8 = 0x01;
    const ALU: u8 = 0x04;
    const ALU64: u8 = 0x07;
    /// A register in place of the immediate.
    const REGISTER: u8 = 0x08;
    /// Width of a load.
    const WIDTH: u8 = 0x18;
    let [code, registers, low, high, ..] = given;
    let offset = i32::from(i16::from_le_bytes([low, high]));
    let immediate = |instruction: [u8; 8]| {
        i32::from_le_bytes([
            instruction[4],
            instruction[5],
            instruction[6],
            instruction[7],
        ])
    };
    let bounded = |number: i32| (0..=LARGEST_OFFSET).contains(&number);
    if given == POISON {
        return true;
    }
    if registers != known[1] {
        return false;
    }
    match known[0] & CLASS {
        LOAD => {
            code & !WIDTH == known[0] & !WIDTH
                && immediate(given) == immediate(known)
                && bounded(offset)
        }
        ALU | ALU64 => {
            code == known[0]
                && code & REGISTER == 0
                && known[2..4] == given[2..4]
                && bounded(immediate(given))
        }
        _ => false,
    }
}

/// A plan that is not used.
pub(super) fn refused(template: &Template, reason: &str) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Query,
        format!(
            "the plan of iterator \"{}\" is not of this build: {reason}",
            template.name
        ),
    )
    .remedy("this is a fault of bpfman's image worker, please report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn planned(template: &Template) -> ProgramPlan {
        let mut plan = crate::valid_plan::sample::plan().programs[0].clone();
        plan.instructions = template.instructions.to_vec();
        plan.attach_btf_id = 7;
        plan
    }

    fn templates() -> impl Strategy<Value = Template> {
        prop::sample::select(&bpf::ITERATOR_TEMPLATES[..])
    }

    #[test]
    fn nothing_but_the_numbers_is_taken_from_a_plan() {
        for template in &bpf::ITERATOR_TEMPLATES {
            let fitted = fit(template, &planned(template)).unwrap();
            assert_eq!((fitted.prog_type, fitted.expected_attach_type), (26, 28));
            assert_eq!((fitted.flags, fitted.attach_btf_id), (0, 7));
            assert!(fitted.map_slots.is_empty() && fitted.func_info.is_none());
            let mut longer = planned(template);
            longer.instructions.extend([0; 8]);
            assert!(fit(template, &longer).is_err());
        }
    }

    #[test]
    fn an_offset_has_a_bound_and_registers_stay() {
        // r1 = *(u32 *)(r2 + 0), r1 += 0, and the call that stands for a missing field.
        let load = [0x61, 0x21, 0, 0, 0, 0, 0, 0];
        let add = [0x07, 0x01, 0, 0, 0, 0, 0, 0];
        let with = |mut instruction: [u8; 8], at: usize, value: &[u8]| {
            instruction[at..at + value.len()].copy_from_slice(value);
            instruction
        };
        for (known, taken) in [
            (load, with(load, 2, &4096_i16.to_le_bytes())),
            (load, with(load, 0, &[0x79])),
            (add, with(add, 4, &4096_i32.to_le_bytes())),
            (load, POISON),
        ] {
            assert!(fits(known, taken), "{taken:x?}");
        }
        for (known, refused) in [
            (load, with(load, 2, &4097_i16.to_le_bytes())),
            (load, with(load, 2, &(-1_i16).to_le_bytes())),
            (load, with(load, 1, &[0x31])),
            (load, with(load, 0, &[0x63])),
            (load, with(load, 4, &[1])),
            (add, with(add, 4, &4097_i32.to_le_bytes())),
            (add, with(add, 4, &(-1_i32).to_le_bytes())),
            (add, with(add, 0, &[0x0f])),
            (add, with(add, 2, &[1])),
            // A call of another function.
            (load, with(POISON, 4, &[6, 0, 0, 0])),
        ] {
            assert!(!fits(known, refused), "{refused:x?}");
        }
    }

    proptest! {
        /// An instruction that is not relocated keeps every bit.
        #[test]
        fn any_other_bit_counts(template in templates(), at: prop::sample::Index, bit in 0_u8..8) {
            let mut changed = planned(&template);
            let at = at.index(changed.instructions.len());
            changed.instructions[at] ^= 1 << bit;
            let relocated = template.relocated.contains(&u32::try_from(at / 8).unwrap());
            prop_assert!(relocated || fit(&template, &changed).is_err());
        }
    }
}
