//! The records that bpfman's iterators write (`bpf/src/iterators.bpf.c`), by their offsets. Pure.

use ipc::boot_time::since_epoch;
use ipc::messages::kernel::{ForeignLink, KernelLink, KernelMap, KernelProgram};

/// Bytes of `struct program_record`.
const PROGRAM: usize = 328;
/// Bytes of `struct map_record`.
const MAP: usize = 56;
/// Bytes of `struct link_record`.
const LINK: usize = 152;
/// Most maps that a program record has room for, which is also the most that the kernel lets a program use.
const PROGRAM_MAPS: usize = 64;
/// `NO_ATTACH_TYPE`.
const NO_ATTACH_TYPE: u32 = u32::MAX;

/// Kernel programs, ascending by id. `page` is the size of a page of memory.
pub fn programs(list: &[u8], page: u64) -> Option<Vec<KernelProgram>> {
    let program = |record: Record<'_, PROGRAM>| {
        let maps = (record.number(68) as usize).min(PROGRAM_MAPS);
        KernelProgram {
            loaded_at: since_epoch(record.wide(0)),
            id: record.number(8),
            prog_type: record.number(12),
            name: record.text(16, 16),
            tag: record.bytes(32),
            uid: record.number(40),
            btf_id: record.number(44),
            jited_size: record.number(48),
            xlated_size: record.number(52).saturating_mul(8),
            verified_insns: record.number(56),
            memlock: Some(u64::from(record.number(60)) * page),
            gpl_compatible: record.number(64) != 0,
            map_ids: (0..maps).map(|map| record.number(72 + 4 * map)).collect(),
        }
    };
    let mut programs = each(list, program)?;
    programs.sort_by_key(|program| program.id);
    Some(programs)
}

/// Kernel maps, ascending by id.
pub fn maps(list: &[u8]) -> Option<Vec<KernelMap>> {
    let map = |record: Record<'_, MAP>| KernelMap {
        map_extra: record.wide(0),
        id: record.number(8),
        map_type: record.number(12),
        name: record.text(16, 16),
        key_size: record.number(32),
        value_size: record.number(36),
        max_entries: record.number(40),
        flags: record.number(44),
        btf_id: record.number(48),
        frozen: record.number(52) != 0,
        // The kernel counts it by type, nowhere that an iterator could read.
        memlock: None,
        pin_path: String::new(),
        present: false,
    };
    let mut maps = each(list, map)?;
    maps.sort_by_key(|map| map.id);
    Some(maps)
}

/// Kernel links, ascending by id.
pub fn links(list: &[u8]) -> Option<Vec<ForeignLink>> {
    let mut links = each(list, |record: Record<'_, LINK>| ForeignLink {
        attachment: attachment(record),
        link: KernelLink {
            cgroup_id: record.wide(0),
            id: record.number(8),
            link_type: record.number(12),
            program_id: record.number(16),
            attach_type: attach_type(record),
            ifindex: record.number(24),
            netns_ino: record.number(28),
            target_obj_id: record.number(32),
            target_btf_id: record.number(36),
        },
    })?;
    links.sort_by_key(|link| link.link.id);
    Some(links)
}

/// As `struct bpf_link_info` has it: newer kernels know one of every link, and tell it of these.
fn attach_type(record: Record<'_, LINK>) -> Option<u32> {
    const TELLING: [u32; 5] = [2, 3, 5, 11, 13];
    let known = record.number(20);
    (known != NO_ATTACH_TYPE && TELLING.contains(&record.number(12))).then_some(known)
}

/// Where a link is, in one cell.
fn attachment(record: Record<'_, LINK>) -> String {
    const REPLACEMENT: u32 = 0;
    let (group, name) = (record.text(56, 32), record.text(88, 64));
    let netns = format!("netns={}", record.number(28));
    let (object, target) = (record.number(32), record.number(36));
    // enum bpf_link_type.
    match record.number(12) {
        1 | 4 => name,
        2 if object == 0 => String::new(),
        2 if record.number(20) == REPLACEMENT => format!("program {object}"),
        2 => format!("type {target} of BTF {object}"),
        3 => format!("cgroup {}", record.wide(0)),
        5 if record.number(28) != 0 => netns,
        // Zero when the interface is gone.
        6 | 11 | 13 if record.number(24) != 0 => match record.number(20) {
            46 => format!("{name} ingress {netns}"),
            47 => format!("{name} egress {netns}"),
            _ => format!("{name} {netns}"),
        },
        7 if !name.is_empty() => format!("{group}/{name}"),
        7 if !group.is_empty() => format!("{group}/#{}", record.number(40)),
        8 => format!("{} functions", record.number(40)),
        10 => {
            let priority = i32::from_ne_bytes(record.bytes(52));
            let (family, hook) = (record.number(44), record.number(48));
            format!("family {family} hook {hook} priority {priority}")
        }
        12 => format!("{name} at {} places", record.number(40)),
        _ => String::new(),
    }
}

/// All records of a list; `None` when it does not consist of whole ones.
fn each<T, const SIZE: usize>(list: &[u8], read: impl Fn(Record<'_, SIZE>) -> T) -> Option<Vec<T>> {
    let (records, rest) = list.as_chunks::<SIZE>();
    let read = records.iter().map(|record| read(Record(record)));
    rest.is_empty().then(|| read.collect())
}

/// One record. What is beyond its end reads as zero.
#[derive(Clone, Copy)]
struct Record<'a, const SIZE: usize>(&'a [u8; SIZE]);

impl<const SIZE: usize> Record<'_, SIZE> {
    fn bytes<const COUNT: usize>(self, at: usize) -> [u8; COUNT] {
        let found = self.0.get(at..).and_then(|rest| rest.first_chunk());
        found.copied().unwrap_or([0; COUNT])
    }

    fn number(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.bytes(at))
    }

    fn wide(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.bytes(at))
    }

    /// Up to the first NUL.
    fn text(self, at: usize, most: usize) -> String {
        let bytes = self.0.get(at..at + most).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(most);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    /// A record with these numbers at these offsets.
    fn record<const SIZE: usize>(numbers: &[(usize, u32)], texts: &[(usize, &str)]) -> [u8; SIZE] {
        let mut record = [0; SIZE];
        for (at, number) in numbers {
            record[*at..at + 4].copy_from_slice(&number.to_ne_bytes());
        }
        for (at, text) in texts {
            record[*at..at + text.len()].copy_from_slice(text.as_bytes());
        }
        record
    }

    #[test]
    fn lists_are_whole_records_in_the_order_of_ids() {
        let second = record::<PROGRAM>(
            &[
                (8, 9),
                (12, 6),
                (52, 3),
                (60, 2),
                (64, 1),
                (68, 2),
                (72, 4),
                (76, 5),
                (80, 6),
            ],
            &[(16, "sixteen_letters_")],
        );
        let list = [second, record::<PROGRAM>(&[(8, 7), (68, 1000)], &[])].concat();
        let found = programs(&list, 4096).unwrap();
        assert_eq!((found[0].id, found[0].map_ids.len()), (7, 64));
        let program = &found[1];
        assert_eq!((program.id, program.prog_type), (9, 6));
        assert_eq!((program.xlated_size, program.memlock), (24, Some(8192)));
        assert_eq!(program.map_ids, [4, 5]);
        assert_eq!(program.name, "sixteen_letters_");
        assert!(program.gpl_compatible && !found[0].gpl_compatible);
        assert_eq!(programs(&list[1..], 4096), None);
        assert_eq!(programs(&[], 4096), Some(vec![]));

        let list = record::<MAP>(&[(8, 3), (40, 10), (52, 1)], &[(16, "counters")]);
        let found = maps(&list).unwrap();
        assert_eq!((found[0].id, found[0].max_entries), (3, 10));
        assert!(found[0].frozen && found[0].name == "counters");
        assert_eq!(maps(&list[..MAP - 1]), None);
    }

    #[test]
    fn places_are_told_by_the_kind_of_link() {
        let at = |numbers: &[(usize, u32)], texts: &[(usize, &str)]| {
            let mut found = links(&record::<LINK>(numbers, texts)).unwrap();
            found.pop().unwrap().attachment
        };
        let eth0 = [(88, "eth0")];
        assert_eq!(
            at(&[(12, 6), (20, !0), (24, 2), (28, 7)], &eth0),
            "eth0 netns=7"
        );
        assert_eq!(
            at(&[(12, 11), (20, 47), (24, 2), (28, 7)], &eth0),
            "eth0 egress netns=7"
        );
        assert_eq!(at(&[(12, 11), (20, 47)], &[]), "", "the interface is gone");
        assert_eq!(
            at(&[(12, 2), (20, 0), (32, 515), (36, 22)], &[]),
            "program 515"
        );
        assert_eq!(
            at(&[(12, 2), (20, 24), (32, 1), (36, 22)], &[]),
            "type 22 of BTF 1"
        );
        assert_eq!(
            at(&[(12, 7), (40, 300)], &[(56, "syscalls")]),
            "syscalls/#300"
        );
        assert_eq!(
            at(&[(12, 7)], &[(56, "kprobes"), (88, "do_unlinkat")]),
            "kprobes/do_unlinkat"
        );
        let netfilter = [(12, 10), (44, 2), (48, 1), (52, -5_i32 as u32)];
        assert_eq!(at(&netfilter, &[]), "family 2 hook 1 priority -5");
        assert_eq!(at(&[(12, 99)], &[(88, "x")]), "");
        for (link_type, attach_type, told) in [(2, 24, Some(24)), (2, !0, None), (7, 41, None)] {
            let numbers = [(12, link_type), (20, attach_type)];
            let found = links(&record::<LINK>(&numbers, &[])).unwrap();
            assert_eq!(found[0].link.attach_type, told);
        }
    }
}
