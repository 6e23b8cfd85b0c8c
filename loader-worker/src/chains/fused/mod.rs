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
mod entry;

pub use counting::{BUCKETS, buckets, counters, report};

use super::strategy::FUSED_MEMBERS;
use entry::Entry;
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

/// Generates the program for these members, in this order, on a machine with so many CPUs.
pub fn generate(hook: HookKind, members: &[Member<'_>], cpus: u32) -> Result<Fused, Failure> {
    if members.is_empty() || members.len() > FUSED_MEMBERS {
        return Err(refused(format!(
            "{} members cannot be fused",
            members.len()
        )));
    }
    let Entry {
        mut code,
        members: calls,
        unusual: unusual_calls,
        counters,
        ..
    } = entry::function(hook, members, cpus);
    let unusual = code.len();
    for call in unusual_calls {
        code.set_call(call, unusual);
    }
    entry::unusual_function(&mut code);
    let mut types = btf::Types::new(context(hook));
    let mut functions = vec![
        (0, types.function("bpfman_fused", btf::Linkage::Global)),
        (unusual, types.function("unusual", btf::Linkage::Static)),
    ];
    let mut map_slots: Vec<MapSlot> = counters
        .into_iter()
        .map(|instruction| MapSlot {
            instruction: count(instruction),
            map: 0,
        })
        .collect();
    for (index, (member, call)) in members.iter().zip(calls).enumerate() {
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
