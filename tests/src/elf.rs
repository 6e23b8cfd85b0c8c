//! Breaking object files in the places where readers break.

use std::collections::BTreeSet;

/// Byte that says which end comes first; 1 is little, 2 is big.
pub const ENDIANNESS: usize = 5;

/// First byte of the machine.
pub const MACHINE: usize = 18;

/// Every offset at which the file header, a section, or the table of sections begins or ends, ascending, the whole length
/// left out.
pub fn boundaries(object: &[u8]) -> Vec<usize> {
    let word = |at: usize| {
        usize::try_from(u64::from_le_bytes(
            object[at..at + 8].try_into().expect("8 bytes"),
        ))
        .expect("an offset")
    };
    let half = |at: usize| usize::from(u16::from_le_bytes([object[at], object[at + 1]]));
    // Elf64_Ehdr: e_shoff at 0x28, e_shentsize at 0x3a, e_shnum at 0x3c. Elf64_Shdr: sh_type at 4, sh_offset at 0x18,
    // sh_size at 0x20.
    let (table, size, count) = (word(0x28), half(0x3a), half(0x3c));
    let mut found = BTreeSet::from([0x10, 0x40]);
    for section in 0..count {
        let header = table + section * size;
        const NO_BITS: u32 = 8;
        let kind = u32::from_le_bytes(object[header + 4..header + 8].try_into().expect("4 bytes"));
        let (start, length) = (
            word(header + 0x18),
            if kind == NO_BITS {
                0
            } else {
                word(header + 0x20)
            },
        );
        found.extend([header, header + size, start, start + length]);
    }
    found
        .into_iter()
        .filter(|at| *at > 0 && *at < object.len())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_inside_and_many() {
        let found = boundaries(bpf::COUNTER);
        assert!(found.len() > 20, "{found:?}");
        assert!(found.iter().all(|at| *at < bpf::COUNTER.len()));
    }
}
