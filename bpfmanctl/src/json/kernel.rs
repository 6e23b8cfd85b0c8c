//! The kernel's own view, under the names that the established command gives it.

use crate::kernel_names;
use crate::time::rfc3339;
use ipc::messages::attach::LinkNumbers;
use ipc::messages::kernel;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
pub(super) struct KernelProgram {
    id: u32,
    name: String,
    program_type: String,
    tag: String,
    loaded_at: String,
    uid: u32,
    has_uid: bool,
    btf_id: u32,
    has_btf_id: bool,
    map_ids: Vec<u32>,
    has_map_ids: bool,
    jited_size: u32,
    xlated_size: u32,
    verified_insns: u32,
    memlock: u64,
    has_memlock: bool,
    restricted: bool,
}

impl From<kernel::KernelProgram> for KernelProgram {
    fn from(program: kernel::KernelProgram) -> Self {
        Self {
            id: program.id,
            name: program.name,
            program_type: kernel_names::program_type(program.prog_type),
            tag: tag(program.tag),
            loaded_at: rfc3339(program.loaded_at),
            uid: program.uid,
            has_uid: true,
            btf_id: program.btf_id,
            has_btf_id: program.btf_id != 0,
            map_ids: program.map_ids,
            has_map_ids: true,
            jited_size: program.jited_size,
            xlated_size: program.xlated_size,
            verified_insns: program.verified_insns,
            memlock: program.memlock.unwrap_or(0),
            has_memlock: program.memlock.is_some(),
            restricted: is_restricted(program.xlated_size),
        }
    }
}

/// No program is empty: the kernel withholds the size with the instructions.
pub(crate) fn is_restricted(xlated_size: u32) -> bool {
    xlated_size == 0
}

/// The tag as 16 hexadecimal digits.
pub(crate) fn tag(tag: [u8; 8]) -> String {
    tag.iter()
        .fold(String::with_capacity(16), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[derive(Serialize)]
pub(super) struct Stats {
    runtime: u64,
    run_count: u64,
    recursion_misses: u64,
}

impl From<kernel::ProgramStats> for Stats {
    fn from(stats: kernel::ProgramStats) -> Self {
        Self {
            runtime: stats.runtime_ns,
            run_count: stats.run_count,
            recursion_misses: stats.recursion_misses,
        }
    }
}

#[derive(Serialize)]
pub(super) struct MapStatus {
    id: u32,
    name: String,
    map_type: String,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    btf_id: u32,
    has_btf_id: bool,
    map_extra: u64,
    has_map_extra: bool,
    memlock: u64,
    has_memlock: bool,
    frozen: bool,
    pin_path: String,
    present: bool,
}

impl From<kernel::KernelMap> for MapStatus {
    fn from(map: kernel::KernelMap) -> Self {
        Self {
            id: map.id,
            name: map.name,
            map_type: kernel_names::map_type(map.map_type),
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: map.max_entries,
            flags: map.flags,
            btf_id: map.btf_id,
            has_btf_id: map.btf_id != 0,
            map_extra: map.map_extra,
            // Every kernel that bpfman supports tells it (Linux 5.16).
            has_map_extra: true,
            memlock: map.memlock.unwrap_or(0),
            has_memlock: map.memlock.is_some(),
            frozen: map.frozen,
            pin_path: map.pin_path,
            present: map.present,
        }
    }
}

/// Fields that do not apply to the link's type are 0, and what this kernel does not tell.
#[derive(Default, Serialize)]
pub(super) struct KernelLink {
    id: u32,
    program_id: u32,
    link_type: String,
    /// The number in decimal, empty when the link type has none.
    attach_type: String,
    ifindex: u32,
    target_obj_id: u32,
    target_btf_id: u32,
    cgroup_id: u64,
    netns_ino: u32,
    netfilter_pf: u32,
    netfilter_hooknum: u32,
    netfilter_priority: i32,
    netfilter_flags: u32,
    kprobe_multi_count: u32,
    kprobe_multi_flags: u32,
    kprobe_multi_missed: u64,
    kprobe_address: u64,
    kprobe_missed: u64,
}

impl KernelLink {
    pub(super) fn with_numbers(self, numbers: LinkNumbers) -> Self {
        match numbers {
            LinkNumbers::None => self,
            LinkNumbers::Netfilter {
                family,
                hook,
                priority,
                flags,
            } => Self {
                netfilter_pf: family,
                netfilter_hooknum: hook,
                netfilter_priority: priority,
                netfilter_flags: flags,
                ..self
            },
            LinkNumbers::KprobeMulti {
                count,
                flags,
                missed,
            } => Self {
                kprobe_multi_count: count,
                kprobe_multi_flags: flags,
                kprobe_multi_missed: missed,
                ..self
            },
            LinkNumbers::Kprobe { address, missed } => Self {
                kprobe_address: address,
                kprobe_missed: missed,
                ..self
            },
        }
    }
}

impl From<kernel::KernelLink> for KernelLink {
    fn from(link: kernel::KernelLink) -> Self {
        Self {
            id: link.id,
            program_id: link.program_id,
            link_type: kernel_names::link_type(link.link_type),
            attach_type: link
                .attach_type
                .map_or_else(String::new, |number| number.to_string()),
            ifindex: link.ifindex,
            target_obj_id: link.target_obj_id,
            target_btf_id: link.target_btf_id,
            cgroup_id: link.cgroup_id,
            netns_ino: link.netns_ino,
            ..Self::default()
        }
    }
}
