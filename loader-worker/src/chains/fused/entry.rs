//! The function on the hook, and the one for what it seldom meets.
//!
//! Most packets get the verdict that lets them go on to the next member. For those the path is straight: a call, one
//! comparison, one counter. Everything else stands behind it.

use super::assembler::{Assembler, Call, Jump, Register};
use super::{Member, counting};
use crate::chains::verdicts;
use ipc::messages::chain::HookKind;

const PACKET: Register = Register::R6;
const ROWS: Register = Register::R7;
/// Where a verdict waits. Another register would cost each packet a push and a pop.
const VERDICT: i16 = -8;

/// The code, with what is not known yet.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) code: Assembler,
    /// Calls of each member.
    pub(super) members: Vec<Call>,
    /// Calls of [`unusual_function`].
    pub(super) unusual: Vec<Call>,
    /// Instructions that name the map of the counters.
    pub(super) counters: Vec<usize>,
    /// Where the counters of this CPU are not found.
    missing: Vec<Jump>,
}

/// A member's verdict that is not the usual one.
struct Unusual {
    from: Jump,
    /// Where the chain goes on.
    back: usize,
}

/// Generates the function. Whoever has more than one member to call keeps packet and counters in registers that survive calls, which
/// is what those cost: the only member is called with the packet where it is, and its counters are looked for afterwards.
pub(super) fn function(hook: HookKind, members: &[Member<'_>], cpus: u32) -> Entry {
    let is_alone = members.len() == 1;
    let mut entry = Entry::default();
    if !is_alone {
        entry.code.mov(PACKET, Register::R1);
        entry.find_rows(ROWS, cpus);
    }
    let mut unusual = Vec::with_capacity(members.len());
    for member in members {
        if !is_alone {
            entry.code.mov(Register::R1, PACKET);
        }
        entry.members.push(entry.code.call_later());
        let from = if let Some(bit) = usual(hook, member.mask) {
            let verdict = bit - verdicts::bit_of_zero(hook);
            let from = entry.code.jump_unless_equal32(Register::R0, verdict);
            let rows = if is_alone {
                entry.find_rows(Register::R1, cpus);
                Register::R1
            } else {
                ROWS
            };
            counting::count_known(&mut entry.code, rows, member.slot, bit);
            from
        } else {
            entry.code.jump()
        };
        let back = entry.code.len();
        unusual.push(Unusual { from, back });
    }
    // Nobody had the last word.
    entry.answer(verdict_of_nobody(hook));
    for (member, Unusual { from, back }) in members.iter().zip(unusual) {
        entry.code.land(from);
        entry.code.store64(Register::R10, VERDICT, Register::R0);
        if is_alone {
            entry.find_rows(Register::R2, cpus);
        } else {
            entry.code.mov(Register::R2, ROWS);
        }
        counting::to_row(&mut entry.code, Register::R2, member.slot);
        // The bit of the verdict: what both the counters and the mask go by.
        entry.code.load64(Register::R1, Register::R10, VERDICT);
        let bit_of_zero = verdicts::bit_of_zero(hook);
        entry.code.add32(Register::R1, bit_of_zero);
        entry.code.mov32_constant(Register::R3, member.mask);
        entry.unusual.push(entry.code.call_later());
        entry.code.jump_back_if_not_zero(Register::R0, back);
        entry.code.load64(Register::R0, Register::R10, VERDICT);
        entry.code.exit();
    }
    for missing in std::mem::take(&mut entry.missing) {
        entry.code.land(missing);
    }
    entry.answer(verdict_of_failure(hook));
    entry
}

impl Entry {
    fn find_rows(&mut self, to: Register, cpus: u32) {
        let found = counting::find(&mut self.code, to, cpus);
        self.counters.push(found.map);
        self.missing.push(found.missing);
    }

    fn answer(&mut self, verdict: i32) {
        self.code.mov_constant(Register::R0, verdict);
        self.code.exit();
    }
}

/// `bool (u32 bit, u64 *row, u32 mask)`: counts a verdict, and says whether the chain goes on.
pub(super) fn unusual_function(code: &mut Assembler) {
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
pub(super) fn usual(hook: HookKind, mask: u32) -> Option<i32> {
    let mut bits = std::iter::once(verdicts::go_on(hook) + verdicts::bit_of_zero(hook))
        .chain(0..=counting::LAST_NAMED);
    bits.find(|bit| mask & 1 << bit != 0)
}

/// What is said when every member lets the chain go on: pass, ok.
fn verdict_of_nobody(hook: HookKind) -> i32 {
    match hook {
        HookKind::Xdp => 2,
        HookKind::TcIngress | HookKind::TcEgress => 0,
    }
}

/// What is said on a CPU without counters, which no CPU is: aborted, shot. No packet may pass members that have not seen it.
fn verdict_of_failure(hook: HookKind) -> i32 {
    match hook {
        HookKind::Xdp => 0,
        HookKind::TcIngress | HookKind::TcEgress => 2,
    }
}
