//! One program made of many: for hooks on which the kernel lets no program replace a function of another, for more
//! members than a dispatcher takes, and for counters. Pure.
//!
//! The generated function calls each member with the packet, counts its verdict, and goes on if the mask of its place has
//! the bit of the verdict. Members are what their load plans say, unchanged: calls inside of one are relative, so it runs
//! wherever it stands. Each is a global function to the verifier, which looks at it by itself and not once for every way
//! in which the members before it may end; its subprograms are static, since that is how the verifier follows a call with
//! what it knows about the arguments.
//!
//! What does not survive: line information (rejections name instructions), and the type information of a member's own
//! subprograms.

mod assembler;
mod btf;
mod counting;

pub use counting::{BUCKETS, COUNTER_BYTES, buckets, report};

use super::strategy::FUSED_MEMBERS;
use super::verdicts;
use assembler::{Assembler, Call, Jump, Register};
use ipc::messages::chain::HookKind;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::messages::program::ProgramKind;
use ipc::plan::{InfoTable, MapSlot, ProgramPlan};
use std::collections::BTreeSet;

/// `BPF_F_XDP_HAS_FRAGS`.
pub const HAS_FRAGS: u32 = 1 << 5;

const INSTRUCTION: usize = 8;

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The program, as its own plan has it.
    pub program: &'a ProgramPlan,
    /// For each map of its own plan, the index among the maps of all.
    pub maps: &'a [u32],
    /// Verdicts after which the chain goes on.
    pub mask: u32,
    /// Its place among the counters.
    pub slot: usize,
}

/// The program with its types. Map 0 are the counters.
#[derive(Clone, Debug)]
pub struct Fused {
    /// To be loaded like a program of a plan.
    pub program: ProgramPlan,
    /// The BTF that its function table refers to.
    pub btf: Vec<u8>,
}

/// Generates the program for these members, in this order.
pub fn generate(hook: HookKind, members: &[Member<'_>]) -> Result<Fused, Failure> {
    if members.is_empty() || members.len() > FUSED_MEMBERS {
        return Err(refused(format!(
            "{} members cannot be fused",
            members.len()
        )));
    }
    let (mut code, calls) = main_function(hook, members);
    let unusual = code.len();
    for call in calls.unusual {
        code.set_call(call, unusual);
    }
    unusual_function(&mut code);
    let mut types = btf::Types::new(context(hook));
    let mut functions = vec![
        (0, types.function("bpfman_fused", btf::Linkage::Global)),
        (unusual, types.function("unusual", btf::Linkage::Static)),
    ];
    let mut map_slots = vec![MapSlot {
        instruction: counting::MAP_INSTRUCTION,
        map: 0,
    }];
    for (index, (member, call)) in members.iter().zip(calls.members).enumerate() {
        let start = code.len();
        code.set_call(call, start);
        for function in entry_points(&member.program.instructions)? {
            let name = format!("m{index}_{}", member.program.name);
            let type_id = if function == 0 {
                types.function(&name, btf::Linkage::Global)
            } else {
                types.function(&format!("{name}_at_{function}"), btf::Linkage::Static)
            };
            functions.push((start + function, type_id));
        }
        for slot in &member.program.map_slots {
            let map = member.maps.get(slot.map as usize).copied();
            map_slots.push(MapSlot {
                instruction: slot.instruction + count(start),
                map: map.ok_or_else(|| refused("a member uses a map that is not there".into()))?,
            });
        }
        code.append(&member.program.instructions);
    }
    let records = functions
        .iter()
        .flat_map(|(start, type_id)| [count(*start).to_ne_bytes(), type_id.to_ne_bytes()])
        .flatten()
        .collect();
    let has_frags = members
        .iter()
        .all(|member| member.program.flags & HAS_FRAGS != 0);
    Ok(Fused {
        program: ProgramPlan {
            name: "bpfman_fused".into(),
            kind: match hook {
                HookKind::Xdp => ProgramKind::Xdp,
                HookKind::TcIngress | HookKind::TcEgress => ProgramKind::Tc,
            },
            section: String::new(),
            prog_type: match hook {
                HookKind::Xdp => 6,
                HookKind::TcIngress | HookKind::TcEgress => 3,
            },
            expected_attach_type: 0,
            flags: if has_frags && hook == HookKind::Xdp {
                HAS_FRAGS
            } else {
                0
            },
            instructions: code.into_bytes(),
            map_slots,
            func_info: Some(InfoTable {
                record_size: 8,
                records,
            }),
            line_info: None,
            attach_function: None,
            section_target: None,
            attach_btf_id: 0,
        },
        btf: types.into_bytes(),
    })
}

/// A member's verdict that is not the usual one is dealt with behind the function's straight path.
struct Unusual {
    from: Jump,
    /// Where the chain goes on.
    back: usize,
}

/// Calls of the function on the hook, whose targets are not known yet.
struct Calls {
    /// Of each member.
    members: Vec<Call>,
    /// Of the function that deals with unusual verdicts.
    unusual: Vec<Call>,
}

/// The function on the hook.
///
/// Most packets get the verdict that lets them go on to the next member. For those the path is straight: a call, one
/// comparison, one counter. Everything else stands behind it.
fn main_function(hook: HookKind, members: &[Member<'_>]) -> (Assembler, Calls) {
    const PACKET: Register = Register::R6;
    /// Where a verdict waits, below the key of the counters. Another register would cost each packet a push and a pop.
    const VERDICT: i16 = -16;
    let mut code = Assembler::default();
    code.mov(PACKET, Register::R1);
    counting::begin(&mut code, verdict_of_failure(hook));
    let mut calls = Calls {
        members: Vec::with_capacity(members.len()),
        unusual: Vec::with_capacity(members.len()),
    };
    let mut unusual = Vec::with_capacity(members.len());
    for member in members {
        code.mov(Register::R1, PACKET);
        calls.members.push(code.call_later());
        let from = if let Some(bit) = usual(hook, member.mask) {
            let from = code.jump_unless_equal32(Register::R0, bit - verdicts::bit_of_zero(hook));
            counting::count_known(&mut code, member.slot, bit);
            from
        } else {
            code.jump()
        };
        let back = code.len();
        unusual.push(Unusual { from, back });
    }
    // Nobody had the last word.
    code.mov_constant(Register::R0, verdict_of_nobody(hook));
    code.exit();
    for (member, Unusual { from, back }) in members.iter().zip(unusual) {
        code.land(from);
        code.store64(Register::R10, VERDICT, Register::R0);
        // The bit of the verdict: what both the counters and the mask go by.
        code.mov32(Register::R1, Register::R0);
        code.add32(Register::R1, verdicts::bit_of_zero(hook));
        counting::row(&mut code, Register::R2, member.slot);
        code.mov32_constant(Register::R3, member.mask);
        calls.unusual.push(code.call_later());
        code.jump_back_if_not_zero(Register::R0, back);
        code.load64(Register::R0, Register::R10, VERDICT);
        code.exit();
    }
    (code, calls)
}

/// `bool (u32 bit, u64 *row, u32 mask)`: counts a verdict, and says whether the chain goes on.
fn unusual_function(code: &mut Assembler) {
    counting::count(code, Register::R1, Register::R2);
    code.mov_constant(Register::R0, 0);
    let beyond = code.jump_if_greater32(Register::R1, 31);
    code.mov(Register::R0, Register::R3);
    code.shift_right(Register::R0, Register::R1);
    code.and(Register::R0, 1);
    code.land(beyond);
    code.exit();
}

/// The bit of the verdict after which a chain usually goes on from a member: the one that stands for "go on" on the hook if
/// the mask has it, otherwise the lowest one with a counter of its own.
fn usual(hook: HookKind, mask: u32) -> Option<i32> {
    let mut bits = std::iter::once(verdicts::go_on(hook) + verdicts::bit_of_zero(hook))
        .chain(0..=counting::LAST_NAMED);
    bits.find(|bit| mask & 1 << bit != 0)
}

/// Where functions begin, in instructions: 0, and whatever is called or taken the address of.
fn entry_points(instructions: &[u8]) -> Result<BTreeSet<usize>, Failure> {
    const CALL: u8 = 0x85;
    const LD_IMM64: u8 = 0x18;
    const PSEUDO_CALL: u8 = 1;
    const PSEUDO_FUNCTION: u8 = 4;
    let (code, _) = instructions.as_chunks::<INSTRUCTION>();
    let mut found = BTreeSet::from([0]);
    let mut index = 0;
    while let Some([opcode, registers, _, _, immediate @ ..]) = code.get(index) {
        let source = registers >> 4;
        if (*opcode, source) == (CALL, PSEUDO_CALL)
            || (*opcode, source) == (LD_IMM64, PSEUDO_FUNCTION)
        {
            let distance = i64::from(i32::from_ne_bytes(*immediate));
            let target = usize::try_from(index as i64 + 1 + distance)
                .ok()
                .filter(|target| *target < code.len());
            found.insert(target.ok_or_else(|| {
                refused(format!(
                    "instruction {index} of a member calls what is not in it"
                ))
            })?);
        }
        index += if *opcode == LD_IMM64 { 2 } else { 1 };
    }
    Ok(found)
}

/// The structure that the kernel knows as the context of such programs.
fn context(hook: HookKind) -> &'static str {
    match hook {
        HookKind::Xdp => "xdp_md",
        HookKind::TcIngress | HookKind::TcEgress => "__sk_buff",
    }
}

/// What is said when every member lets the chain go on: pass, ok.
fn verdict_of_nobody(hook: HookKind) -> i32 {
    match hook {
        HookKind::Xdp => 2,
        HookKind::TcIngress | HookKind::TcEgress => 0,
    }
}

/// What is said where the verifier thinks that the counters might be missing, which they never are: aborted, shot. No
/// packet may pass members that have not seen it.
fn verdict_of_failure(hook: HookKind) -> i32 {
    match hook {
        HookKind::Xdp => 0,
        HookKind::TcIngress | HookKind::TcEgress => 2,
    }
}

/// Numbers of instructions and functions, bounded by the limits of plans.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn refused(cause: String) -> Failure {
    Failure::new(FailureCode::Internal, Stage::Attach, cause)
        .remedy("this is a fault of bpfman, please report it")
}

#[cfg(test)]
mod tests;
