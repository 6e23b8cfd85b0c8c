//! Counters of a fused program: a per-CPU array of one element, in which every member has a row of packets and verdicts.
//! One look-up per packet serves all members.

use super::assembler::{Assembler, Register};
use crate::chains::strategy::FUSED_MEMBERS;
use crate::chains::verdicts;
use ipc::messages::chain::{HookKind, OTHER_VERDICT, SlotCounters};

/// Numbers of one row: packets, then one per bucket of verdicts, then room.
const ROW: usize = 16;

/// Bytes of the element: 8 KiB, a quarter of what the kernel lets a per-CPU value have.
pub const COUNTER_BYTES: usize = FUSED_MEMBERS * ROW * 8;

/// Buckets of verdicts: bits 0 to 11, the bit of `dispatcher_return`, all others.
pub const BUCKETS: usize = 14;

const LAST_NAMED: i32 = 11;
const RETURN_BIT: i32 = 31;
const RETURN_BUCKET: u32 = 12;
const OTHER_BUCKET: u32 = 13;

/// The instruction of [`begin`] that names the map.
pub(super) const MAP_INSTRUCTION: u32 = 4;

const ROWS: Register = Register::R7;

/// Finds the element; to be called when one instruction stands before.
pub(super) fn begin(code: &mut Assembler, verdict_without: i32) {
    const LOOKUP_ELEM: i32 = 1;
    code.store32_constant(Register::R10, -4, 0);
    code.mov(Register::R2, Register::R10);
    code.add(Register::R2, -4);
    code.load_map(Register::R1);
    code.call_helper(LOOKUP_ELEM);
    let found = code.jump_if_not_zero(Register::R0);
    code.mov_constant(Register::R0, verdict_without);
    code.exit();
    code.land(found);
    code.mov(ROWS, Register::R0);
}

/// Counts a packet and its verdict, whose bit is in R2. R0 and R2 stay; R1 and R3 do not. Nothing interrupts a program of the
/// network by the same program on the same CPU, so plain additions do.
pub(super) fn count(code: &mut Assembler, slot: usize) {
    // Behind 64 rows is 8192.
    let row = i16::try_from(slot * ROW * 8).unwrap_or_default();
    increment(code, ROWS, row);
    code.mov32(Register::R1, Register::R2);
    let named = code.jump_if_at_most32(Register::R1, LAST_NAMED);
    let other = code.jump_unless_equal32(Register::R1, RETURN_BIT);
    code.mov32_constant(Register::R1, RETURN_BUCKET);
    let returned = code.jump();
    code.land(other);
    code.mov32_constant(Register::R1, OTHER_BUCKET);
    code.land(named);
    code.land(returned);
    code.shift_left(Register::R1, 3);
    code.add_register(Register::R1, ROWS);
    increment(code, Register::R1, row + 8);
}

fn increment(code: &mut Assembler, base: Register, offset: i16) {
    code.load64(Register::R3, base, offset);
    code.add(Register::R3, 1);
    code.store64(base, offset, Register::R3);
}

/// The row of a slot, summed over the CPUs. `element` is what the kernel returns for the one key: the values of all CPUs.
pub fn buckets(element: &[u8], slot: usize) -> [u64; BUCKETS + 1] {
    let mut sum = [0; BUCKETS + 1];
    for cpu in element.chunks_exact(COUNTER_BYTES) {
        let (numbers, _) = cpu.as_chunks::<8>();
        let row = numbers.iter().skip(slot * ROW);
        for (total, number) in sum.iter_mut().zip(row) {
            *total = u64::wrapping_add(*total, u64::from_ne_bytes(*number));
        }
    }
    sum
}

/// Counters as people see them: without what was counted in the row before its present owner.
pub fn report(hook: HookKind, row: &[u64; BUCKETS + 1], before: &[u64]) -> SlotCounters {
    let since =
        |index: usize| row[index].wrapping_sub(before.get(index).copied().unwrap_or_default());
    let named = verdicts::known(hook).iter().map(|verdict| {
        let bit = verdict + verdicts::bit_of_zero(hook);
        let bucket = if bit == RETURN_BIT {
            RETURN_BUCKET as usize
        } else {
            // Bits of verdicts with a name are at most 11 or 31.
            usize::try_from(bit).unwrap_or_default()
        };
        (*verdict, since(1 + bucket))
    });
    let named: Vec<_> = named.collect();
    let told: u64 = named.iter().map(|(_, count)| count).sum();
    let packets = since(0);
    let other = (1..=BUCKETS).map(since).sum::<u64>() - told;
    SlotCounters {
        packets,
        verdicts: named
            .into_iter()
            .chain([(OTHER_VERDICT, other)])
            .filter(|(_, count)| *count > 0)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_over_cpus_and_counted_from_their_owner_on() {
        let mut element = vec![0; 2 * COUNTER_BYTES];
        let mut set = |cpu: usize, slot: usize, index: usize, value: u64| {
            let at = cpu * COUNTER_BYTES + (slot * ROW + index) * 8;
            element[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        };
        set(0, 3, 0, 10);
        set(1, 3, 0, 7);
        set(0, 3, 1 + 2, 9);
        set(1, 3, 1 + 12, 5);
        set(1, 3, 1 + 13, 3);
        set(1, 63, 0, 1);
        let row = buckets(&element, 3);
        let mut before = [0; BUCKETS + 1];
        before[0] = 4;
        before[3] = 4;
        let counters = report(HookKind::Xdp, &row, &before);
        assert_eq!(counters.packets, 13);
        assert_eq!(counters.verdicts, [(2, 5), (31, 5), (OTHER_VERDICT, 3)]);
        assert_eq!(buckets(&element, 63)[0], 1);
        assert_eq!(report(HookKind::TcIngress, &row, &[]).verdicts[0], (1, 9));
    }
}
