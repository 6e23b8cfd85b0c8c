//! Maps: what is checked before the parser reads their definitions, and what the plan says of them.

use super::bytes::u32_at;
use super::elf::{Elf, Role, SymbolKind};
use super::error::CompileError;
use crate::limits;
use aya_obj::generated::bpf_map_type::*;
use aya_obj::maps::PinningType;
use aya_obj::{Map, Object};
use ipc::plan::MapPlan;
use std::collections::HashMap;

/// `BPF_F_RDONLY_PROG`.
const READ_ONLY_FOR_PROGRAMS: u32 = 1 << 7;
/// Bytes of an old-style definition, and where it says how the map is pinned.
const LEGACY_BYTES: std::ops::RangeInclusive<u64> = 20..=4096;
const LEGACY_PINNING: u64 = 24;

/// The kernel takes no types of keys and values for these.
const WITHOUT_TYPES: [u32; 14] = [
    BPF_MAP_TYPE_PERF_EVENT_ARRAY as u32,
    BPF_MAP_TYPE_CGROUP_ARRAY as u32,
    BPF_MAP_TYPE_STACK_TRACE as u32,
    BPF_MAP_TYPE_ARRAY_OF_MAPS as u32,
    BPF_MAP_TYPE_HASH_OF_MAPS as u32,
    BPF_MAP_TYPE_DEVMAP as u32,
    BPF_MAP_TYPE_DEVMAP_HASH as u32,
    BPF_MAP_TYPE_CPUMAP as u32,
    BPF_MAP_TYPE_XSKMAP as u32,
    BPF_MAP_TYPE_SOCKMAP as u32,
    BPF_MAP_TYPE_SOCKHASH as u32,
    BPF_MAP_TYPE_QUEUE as u32,
    BPF_MAP_TYPE_STACK as u32,
    BPF_MAP_TYPE_ARENA as u32,
];

/// Checks what the parser takes on trust.
pub(super) fn check(elf: &Elf<'_>) -> Result<(), CompileError> {
    for symbol in &elf.symbols {
        let Some(section) = symbol.section.map(|section| &elf.sections[section]) else {
            continue;
        };
        if section.role != Role::LegacyMaps || symbol.kind != SymbolKind::Object {
            continue;
        }
        let definition = super::bytes::range(section.data, symbol.value, symbol.size);
        let proper = LEGACY_BYTES.contains(&symbol.size) && !symbol.name.is_empty();
        let Some(definition) = definition.filter(|_| proper) else {
            return Err(CompileError::Malformed(format!(
                "map \"{}\" has no definition",
                symbol.name
            )));
        };
        // Shorter definitions stand for zeroes behind their end.
        let mut pinning = [0; 4];
        for (byte, value) in pinning
            .iter_mut()
            .zip(definition.iter().skip(LEGACY_PINNING as usize))
        {
            *byte = *value;
        }
        if u32_at(&pinning, 0).is_none_or(|pinning| pinning > 1) {
            return Err(CompileError::Malformed(format!(
                "map \"{}\" is pinned in an unknown way",
                symbol.name
            )));
        }
    }
    Ok(())
}

/// The maps of a plan and where the parser's maps are among them.
pub(super) struct Maps {
    pub(super) plans: Vec<MapPlan>,
    /// Index into `plans` by the parser's name of the map.
    pub(super) slots: HashMap<String, usize>,
}

/// Plans all maps of the object: those with a definition in the order of definition, then data sections.
pub(super) fn plan(
    elf: &Elf<'_>,
    data_sections: &HashMap<&str, u32>,
    object: &Object,
) -> Result<Maps, CompileError> {
    let place = |map: &Map| {
        let symbol = map.symbol_index().and_then(|index| elf.symbols.get(index));
        (
            map.symbol_index().is_none(),
            map.section_index(),
            symbol.map(|symbol| symbol.value),
        )
    };
    let mut ordered: Vec<(&String, &Map)> = object.maps.iter().collect();
    ordered.sort_by_key(|(name, map)| (place(map), *name));
    let mut maps = Maps {
        plans: Vec::new(),
        slots: HashMap::new(),
    };
    for (name, map) in ordered {
        let mut plan = if map.symbol_index().is_some() {
            defined(name, map)?
        } else {
            data(elf, data_sections, map)
        };
        if let Some(inner) = map.inner() {
            // The template first: whoever creates the maps in order has it when the outer one needs it.
            let mut template = defined(&format!("{name}.inner"), &inner)?;
            template.pin_by_name = false;
            plan.inner = Some(maps.plans.len() as u32);
            maps.plans.push(template);
        }
        maps.slots.insert(name.clone(), maps.plans.len());
        maps.plans.push(plan);
    }
    if maps.plans.len() > limits::MAPS {
        return Err(CompileError::Limit {
            what: "maps",
            limit: limits::MAPS as u64,
        });
    }
    Ok(maps)
}

fn defined(name: &str, map: &Map) -> Result<MapPlan, CompileError> {
    let map_type = map.map_type();
    let hash_functions = match map.map_extra() {
        0 => 0,
        extra @ 1..=15 if map_type == BPF_MAP_TYPE_BLOOM_FILTER as u32 => extra as u8,
        extra => {
            return Err(CompileError::Unsupported(format!(
                "map \"{name}\" sets map_extra to {extra}: of bloom filters alone it is known, where it is the number of hash \
                 functions, 15 at most"
            )));
        }
    };
    // Without a word in the source the values of an array of programs are what they must be.
    let value_size = match map.value_size() {
        0 if map_type == BPF_MAP_TYPE_PROG_ARRAY as u32 => 4,
        size => size,
    };
    let (key, value) = match map {
        Map::Btf(map) if !WITHOUT_TYPES.contains(&map_type) => {
            (map.def.btf_key_type_id, map.def.btf_value_type_id)
        }
        _ => (0, 0),
    };
    let max_entries = if map_type == BPF_MAP_TYPE_RINGBUF as u32 {
        ring_buffer_bytes(map.max_entries())
    } else {
        map.max_entries()
    };
    Ok(MapPlan {
        name: name.to_owned(),
        map_type,
        key_size: map.key_size(),
        value_size,
        max_entries,
        flags: map.map_flags(),
        btf_key_type_id: key,
        btf_value_type_id: value,
        pin_by_name: map.pinning() == PinningType::ByName,
        internal: false,
        initial: None,
        freeze: false,
        inner: None,
        elements: None,
        hash_functions,
        key_type: None,
        value_type: None,
    })
}

fn data(elf: &Elf<'_>, data_sections: &HashMap<&str, u32>, map: &Map) -> MapPlan {
    // Maps without symbol are made of data sections, which the parser found in this table.
    let section = &elf.sections[map.section_index()];
    let read_only = section.role == Role::ReadOnlyData;
    let contents = map.data();
    let zeroes = contents.iter().all(|byte| *byte == 0);
    MapPlan {
        name: section.name.to_owned(),
        map_type: BPF_MAP_TYPE_ARRAY as u32,
        key_size: 4,
        value_size: map.value_size(),
        max_entries: 1,
        flags: if read_only { READ_ONLY_FOR_PROGRAMS } else { 0 },
        btf_key_type_id: 0,
        btf_value_type_id: data_sections.get(section.name).copied().unwrap_or(0),
        pin_by_name: false,
        internal: true,
        // The kernel's maps begin as zeroes.
        initial: (!zeroes).then(|| contents.to_vec()),
        freeze: read_only,
        inner: None,
        elements: None,
        hash_functions: 0,
        key_type: None,
        value_type: None,
    }
}

/// Ring buffers are as many pages as the next power of two.
fn ring_buffer_bytes(bytes: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    if bytes == 0 {
        return 0;
    }
    bytes.max(page).checked_next_power_of_two().unwrap_or(bytes)
}
