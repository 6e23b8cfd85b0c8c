//! Counters of a fused program: an array of one element, in which every CPU has a table, and in it every member a row of
//! verdicts. A packet is counted by what the member said of it, so the packets are the sum. The number of the CPU and the
//! address of the array, which the verifier writes into the program, are all that a look-up takes: a per-CPU array, where the
//! kernel has that, costs twice as many instructions.

use super::assembler::{Assembler, Jump, Register};
use crate::chains::strategy::FUSED_MEMBERS;
use crate::chains::verdicts;
use ipc::messages::chain::{HookKind, OTHER_VERDICT, SlotCounters};
use ipc::plan::MapPlan;

/// Numbers of one row: one per bucket of verdicts, then room.
const ROW: usize = 16;

/// Bytes of a CPU's table, as a power of two.
const TABLE_BITS: i32 = 13;
const TABLE_BYTES: usize = FUSED_MEMBERS * ROW * 8;
const _: () = assert!(TABLE_BYTES == 1 << TABLE_BITS);

/// Buckets of verdicts: bits 0 to 11, the bit of `dispatcher_return`, all others.
pub const BUCKETS: usize = 14;

pub(super) const LAST_NAMED: i32 = 11;
const RETURN_BIT: i32 = 31;
const RETURN_BUCKET: u32 = 12;
const OTHER_BUCKET: u32 = 13;

/// The map, on a machine with so many CPUs.
pub fn counters(cpus: u32) -> MapPlan {
    const ARRAY: u32 = 2;
    // The kernel has at most 8192 CPUs.
    let bytes = cpus.saturating_mul(1 << TABLE_BITS);
    MapPlan::plain("counters", ARRAY, (4, bytes), 1)
}

/// A table that was looked for.
pub(super) struct Found {
    /// The instruction that names the map.
    pub(super) map: usize,
    /// Taken on a CPU that the map has no room for. There is none, which newer kernels know: then they take the comparison out.
    pub(super) missing: Jump,
}

/// Finds the table of this CPU. What the other registers of a call hold does not stay.
pub(super) fn find(code: &mut Assembler, to: Register, cpus: u32) -> Found {
    const GET_SMP_PROCESSOR_ID: i32 = 8;
    code.call_helper(GET_SMP_PROCESSOR_ID);
    let last = i32::try_from(cpus.saturating_sub(1)).unwrap_or(i32::MAX);
    let missing = code.jump_if_greater(Register::R0, last);
    code.shift_left(Register::R0, TABLE_BITS);
    let map = code.len();
    code.load_map_value(to);
    code.add_register(to, Register::R0);
    Found { map, missing }
}

/// Counts a packet with a verdict that is known beforehand by its bit, at most [`LAST_NAMED`]. R0 stays; R3 does not. Nothing
/// interrupts a program of the network by the same program on the same CPU, so plain additions do.
pub(super) fn count_known(code: &mut Assembler, rows: Register, slot: usize, bit: i32) {
    let bucket = usize::try_from(bit).unwrap_or_default();
    increment(code, rows, Register::R3, bytes(slot * ROW + bucket));
}

/// From a table to the row of a slot.
pub(super) fn to_row(code: &mut Assembler, rows: Register, slot: usize) {
    code.add(rows, bytes(slot * ROW).into());
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

/// The row of a slot, summed over the CPUs. `element` is what the kernel returns for the one key.
pub fn buckets(element: &[u8], slot: usize) -> [u64; BUCKETS] {
    let mut sum = [0; BUCKETS];
    for cpu in element.chunks_exact(TABLE_BYTES) {
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
        let mut element = vec![0; 2 * TABLE_BYTES];
        let mut set = |cpu: usize, slot: usize, index: usize, value: u64| {
            let at = cpu * TABLE_BYTES + (slot * ROW + index) * 8;
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
