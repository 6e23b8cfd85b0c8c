//! What the labels of an image say: names and types of programs and maps, found in its bytecode.

use super::inputs::Inputs;
use crate::exit::Error;
use image_worker::compile::describe::describe;
use std::collections::BTreeMap;

/// By `enum bpf_map_type`, as labels spell them.
const MAP_TYPES: [&str; 34] = [
    "unspec",
    "hash",
    "array",
    "prog_array",
    "perf_event_array",
    "per_cpu_hash",
    "per_cpu_array",
    "stack_trace",
    "cgroup_array",
    "lru_hash",
    "lru_per_cpu_hash",
    "lpm_trie",
    "array_of_maps",
    "hash_of_maps",
    "devmap",
    "sockmap",
    "cpumap",
    "xskmap",
    "sockhash",
    "cgroup_storage",
    "reuseport_sockarray",
    "per_cpu_cgroup_storage",
    "queue",
    "stack",
    "sk_storage",
    "devmap_hash",
    "struct_ops",
    "ringbuf",
    "inode_storage",
    "task_storage",
    "bloom_filter",
    "user_ringbuf",
    "cgrp_storage",
    "arena",
];

/// Types by name.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Labels {
    pub(crate) programs: BTreeMap<String, String>,
    pub(crate) maps: BTreeMap<String, String>,
}

/// The labels of all images made of these files: they come from one source, so the first one whose bytes are in the order
/// that is understood here speaks for all.
pub(crate) fn of(inputs: &Inputs) -> Result<Labels, Error> {
    let readable = inputs.files.iter().find(|file| !file.machine.big_endian);
    let Some(file) = readable else {
        return Err(Error::unsupported(
            "labels are made from bytecode with the least significant byte first: give an object for such a machine, too",
        ));
    };
    let path = &file.path;
    let found = describe(&file.object)
        .map_err(|error| Error::Failed(format!("bytecode {path}: {error}")))?;
    if found.programs.is_empty() {
        let what = match found.unknown {
            0 => "no programs",
            _ => "no supported programs",
        };
        return Err(Error::Failed(format!("{what} found in bytecode {path}")));
    }
    let map_type = |number: u32| {
        let name = MAP_TYPES.get(number as usize);
        name.map_or_else(|| format!("map_type_{number}"), |name| (*name).to_owned())
    };
    Ok(Labels {
        programs: found
            .programs
            .into_iter()
            .map(|(name, kind)| (name, kind.name().to_owned()))
            .collect(),
        maps: found
            .maps
            .into_iter()
            .map(|(name, number)| (name, map_type(number)))
            .collect(),
    })
}
