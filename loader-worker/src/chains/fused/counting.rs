//! Counters of a fused program: a per-CPU array of one element, in which every member has a row of verdicts. A packet is
//! counted by what the member said of it, so the packets are the sum. One look-up per packet serves all members.

use super::assembler::{Assembler, Register};
use crate::chains::strategy::FUSED_MEMBERS;
use crate::chains::verdicts;
use ipc::messages::chain::{HookKind, OTHER_VERDICT, SlotCounters};

/// Numbers of one row: one per bucket of verdicts, then room.
const ROW: usize = 16;

/// Bytes of the element: 8 KiB, a quarter of what the kernel lets a per-CPU value have.
pub const COUNTER_BYTES: usize = FUSED_MEMBERS * ROW * 8;

/// Buckets of verdicts: bits 0 to 11, the bit of `dispatcher_return`, all others.
pub const BUCKETS: usize = 14;

pub(super) const LAST_NAMED: i32 = 11;
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

/// Counts a packet with a verdict that is known beforehand by its bit, at most [`LAST_NAMED`]. R0 stays; R3 does not. Nothing
/// interrupts a program of the network by the same program on the same CPU, so plain additions do.
pub(super) fn count_known(code: &mut Assembler, slot: usize, bit: i32) {
    let bucket = usize::try_from(bit).unwrap_or_default();
    increment(code, ROWS, Register::R3, bytes(slot * ROW + bucket));
}

/// Puts the address of a slot's row into a register.
pub(super) fn row(code: &mut Assembler, to: Register, slot: usize) {
    code.mov(to, ROWS);
    code.add(to, bytes(slot * ROW).into());
}

/// Counts a packet in a row with a verdict by its bit. Both registers stay; R4 and R5 do not.
pub(super) fn count(code: &mut Assembler, bit: Register, row: Register) {
    code.mov32(Register::R4, bit);
    let named = code.jump_if_at_most32(Register::R4, LAST_NAMED);
    let other = code.jump_unless_equal32(Register::R4, RETURN_BIT);
    code.mov32_constant(Register::R4, RETURN_BUCKET);
    let returned = code.jump();
    code.land(other);
    code.mov32_constant(Register::R4, OTHER_BUCKET);
    code.land(named);
    code.land(returned);
    code.shift_left(Register::R4, 3);
    code.add_register(Register::R4, row);
    increment(code, Register::R4, Register::R5, 0);
}

/// Where a number of the element begins.
fn bytes(number: usize) -> i16 {
    // The last one ends at 8192.
    i16::try_from(number * 8).unwrap_or_default()
}

fn increment(code: &mut Assembler, base: Register, by: Register, offset: i16) {
    code.load64(by, base, offset);
    code.add(by, 1);
    code.store64(base, offset, by);
}

/// The row of a slot, summed over the CPUs. `element` is what the kernel returns for the one key: the values of all CPUs.
pub fn buckets(element: &[u8], slot: usize) -> [u64; BUCKETS] {
    let mut sum = [0; BUCKETS];
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
pub fn report(hook: HookKind, row: &[u64; BUCKETS], before: &[u64]) -> SlotCounters {
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
        (*verdict, since(bucket))
    });
    let named: Vec<_> = named.collect();
    let told: u64 = named.iter().map(|(_, count)| count).sum();
    let packets = (0..BUCKETS).map(since).sum::<u64>();
    let other = packets - told;
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
        set(0, 3, 2, 5);
        set(1, 3, 2, 4);
        set(1, 3, 12, 5);
        set(1, 3, 13, 3);
        set(1, 63, 0, 1);
        let row = buckets(&element, 3);
        let mut before = [0; BUCKETS];
        before[2] = 4;
        let counters = report(HookKind::Xdp, &row, &before);
        assert_eq!(counters.packets, 13);
        assert_eq!(counters.verdicts, [(2, 5), (31, 5), (OTHER_VERDICT, 3)]);
        assert_eq!(buckets(&element, 63)[0], 1);
        assert_eq!(report(HookKind::TcIngress, &row, &[]).verdicts[0], (1, 9));
        assert_eq!(report(HookKind::Xdp, &row, &[]).packets, 17);
    }
}
