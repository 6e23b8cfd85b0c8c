//! What the kernel tells about an object by its descriptor. None of it needs a capability.

use super::limits::PROGRAM_MAPS;
use super::{Error, name, sys};
use ipc::boot_time::since_epoch;
use ipc::messages::attach::LinkNumbers;
use ipc::messages::kernel::{KernelLink, KernelMap, KernelProgram, ProgramStats};
use std::os::fd::{AsRawFd, BorrowedFd};

const CALL: &str = "BPF_OBJ_GET_INFO_BY_FD";

/// `enum bpf_link_type`.
const PERF_EVENT: u32 = 7;
const KPROBE_MULTI: u32 = 8;
const NETFILTER: u32 = 10;

/// `enum bpf_perf_event_type`; kernels that do not tell it write 0.
const PERF_KPROBE: u32 = 3;
const PERF_KRETPROBE: u32 = 4;

/// A program and its run statistics. How much memory it takes is not among them ([`memlock`]).
pub fn program(program: BorrowedFd<'_>) -> Result<(KernelProgram, ProgramStats), Error> {
    let mut map_ids = [0; PROGRAM_MAPS];
    let (info, maps) = sys::object::program_info(program, &mut map_ids)
        .map_err(|errno| Error::new(CALL, errno))?;
    let kernel = KernelProgram {
        id: info.id,
        prog_type: info.prog_type,
        name: name::text(&info.name),
        tag: info.tag,
        loaded_at: since_epoch(info.load_time),
        uid: info.created_by_uid,
        btf_id: info.btf_id,
        map_ids: map_ids.into_iter().take(maps).collect(),
        jited_size: info.jited_prog_len,
        xlated_size: info.xlated_prog_len,
        verified_insns: info.verified_insns,
        memlock: None,
        gpl_compatible: info.bits & 1 == 1,
    };
    let stats = ProgramStats {
        runtime_ns: info.run_time_ns,
        run_count: info.run_cnt,
        recursion_misses: info.recursion_misses,
    };
    Ok((kernel, stats))
}

/// Bytes of memory that an object takes; `None` without /proc.
pub fn memlock(object: BorrowedFd<'_>) -> Option<u64> {
    Fdinfo::read(object).number("memlock")
}

/// A map; its pin is for the caller to fill in.
pub fn map(map: BorrowedFd<'_>) -> Result<KernelMap, Error> {
    let info = sys::object::map_info(map).map_err(|errno| Error::new(CALL, errno))?;
    let fdinfo = Fdinfo::read(map);
    Ok(KernelMap {
        id: info.id,
        name: name::text(&info.name),
        map_type: info.map_type,
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
        flags: info.map_flags,
        btf_id: info.btf_id,
        map_extra: info.map_extra,
        memlock: fdinfo.number("memlock"),
        frozen: fdinfo.number("frozen") == Some(1),
        pin_path: String::new(),
        present: false,
    })
}

/// A link.
pub fn link(link: BorrowedFd<'_>) -> Result<KernelLink, Error> {
    let info = sys::object::link_info(link).map_err(|errno| Error::new(CALL, errno))?;
    let [first, second, third, ..] = info.rest;
    let head = KernelLink {
        id: info.id,
        program_id: info.prog_id,
        link_type: info.link_type,
        ..KernelLink::default()
    };
    // enum bpf_link_type; what each puts behind the head stands in struct bpf_link_info.
    Ok(match info.link_type {
        2 => KernelLink {
            attach_type: Some(first),
            target_obj_id: second,
            target_btf_id: third,
            ..head
        },
        3 => KernelLink {
            cgroup_id: wide(first, second),
            attach_type: Some(third),
            ..head
        },
        5 => KernelLink {
            netns_ino: first,
            attach_type: Some(second),
            ..head
        },
        6 => KernelLink {
            ifindex: first,
            ..head
        },
        11 | 13 => KernelLink {
            ifindex: first,
            attach_type: Some(second),
            ..head
        },
        _ => head,
    })
}

/// What a link's type has beside that.
pub fn link_numbers(link: BorrowedFd<'_>) -> Result<LinkNumbers, Error> {
    let info = sys::object::link_info(link).map_err(|errno| Error::new(CALL, errno))?;
    let word = info.rest;
    Ok(match info.link_type {
        PERF_EVENT if matches!(word[0], PERF_KPROBE | PERF_KRETPROBE) => LinkNumbers::Kprobe {
            address: wide(word[6], word[7]),
            missed: wide(word[8], word[9]),
        },
        KPROBE_MULTI => LinkNumbers::KprobeMulti {
            count: word[2],
            flags: word[3],
            missed: wide(word[4], word[5]),
        },
        NETFILTER => LinkNumbers::Netfilter {
            family: word[0],
            hook: word[1],
            priority: word[2].cast_signed(),
            flags: word[3],
        },
        _ => LinkNumbers::None,
    })
}

/// A 64-bit number that lies in two words.
fn wide(first: u32, second: u32) -> u64 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&first.to_ne_bytes());
    bytes[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

/// `/proc/self/fdinfo/N`: numbers that bpf(2) does not tell. Without /proc they are unknown, which is no error.
struct Fdinfo(String);

impl Fdinfo {
    fn read(object: BorrowedFd<'_>) -> Self {
        Self(
            std::fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd()))
                .unwrap_or_default(),
        )
    }

    fn number(&self, field: &str) -> Option<u64> {
        self.0.lines().find_map(|line| {
            line.strip_prefix(field)?
                .strip_prefix(':')?
                .trim()
                .parse()
                .ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_fdinfo_are_whole_names() {
        let fdinfo = Fdinfo("pos:\t0\nmap_memlock:\t9\nmemlock:\t4096\nfrozen:\t1\n".into());
        assert_eq!(fdinfo.number("memlock"), Some(4096));
        assert_eq!(fdinfo.number("frozen"), Some(1));
        assert_eq!(fdinfo.number("owner"), None);
    }
}
