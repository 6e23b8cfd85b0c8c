//! Parsing and relocation, done by aya-obj on the normalised object.

use super::bit_fields;
use super::elf::Elf;
use super::error::CompileError;
use super::functions::{Functions, Reach};
use super::kernel_btf::KernelBtf;
use super::maps::Maps;
use super::normalise::Normalised;
use aya_obj::btf::BtfFeatures;
use aya_obj::generated::bpf_insn;
use aya_obj::{Function, Map, Object};
use ipc::plan::MapSlot;
use std::collections::{BTreeSet, HashSet};
use std::error::Error;

const LOAD_IMMEDIATE_64: u8 = 0x18;
const PSEUDO_MAP_FD: u8 = 1;
const PSEUDO_MAP_VALUE: u8 = 2;

/// All that kernels from 6.1 on know.
const FEATURES: BtfFeatures = BtfFeatures::new(true, true, true, true, true, true, true, true);

/// The whole chain of causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Parses the normalised object and throws out the functions that are not kept.
pub(super) fn parse(
    normalised: &Normalised<'_>,
    functions: &Functions<'_>,
    kept: &BTreeSet<usize>,
) -> Result<Object, CompileError> {
    let mut object =
        Object::parse(&normalised.bytes).map_err(|error| CompileError::Parser(chain(&error)))?;
    let keys: HashSet<(usize, u64)> = kept.iter().map(|index| key(functions, *index)).collect();
    object.functions.retain(|key, _| keys.contains(key));
    object.programs.clear();
    // The parser makes maps of empty data sections too.
    object
        .maps
        .retain(|_, map| map.symbol_index().is_some() || map.value_size() > 0);
    Ok(object)
}

fn key(functions: &Functions<'_>, index: usize) -> (usize, u64) {
    let function = functions.get(index);
    (function.section, function.start)
}

/// Fits types and field offsets: the object's to what kernels accept, the program's to the running kernel.
pub(super) fn relocate_types(
    object: &mut Object,
    normalised: &Normalised<'_>,
    kernel: &mut dyn KernelBtf,
) -> Result<(), CompileError> {
    object
        .fixup_and_sanitize_btf(&FEATURES)
        .map_err(|error| CompileError::Btf(chain(&error)))?;
    if normalised.needs_kernel_btf {
        if !normalised.whole_fields.is_empty() {
            bit_fields::check(&kernel.section()?, &normalised.whole_fields)?;
        }
        let types = kernel.types()?;
        object
            .relocate_btf(types)
            .map_err(|error| CompileError::Relocation(chain(&error)))?;
    }
    Ok(())
}

/// Points every reference to a map at its index in the plan.
pub(super) fn relocate_maps(
    elf: &Elf<'_>,
    object: &mut Object,
    maps: &Maps,
    reaches: &[Reach],
) -> Result<(), CompileError> {
    let known: BTreeSet<usize> = object.maps.values().filter_map(Map::symbol_index).collect();
    let mut used = reaches.iter().flat_map(|reach| &reach.map_symbols);
    if let Some(unknown) = used.find(|symbol| !known.contains(symbol)) {
        return Err(CompileError::Malformed(format!(
            "\"{}\" is used as a map and has no definition",
            elf.symbols[*unknown].name
        )));
    }
    let sections = sections(object);
    let parsed = std::mem::take(&mut object.maps);
    let slots = parsed.iter().filter_map(|(name, map)| {
        let slot = i32::try_from(*maps.slots.get(name)?).ok()?;
        Some((name.as_str(), slot, map))
    });
    let relocated = object.relocate_maps(slots, &sections);
    object.maps = parsed;
    relocated.map_err(|error| CompileError::Relocation(chain(&error)))
}

fn sections(object: &Object) -> HashSet<usize> {
    object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect()
}

/// Puts one program and all that it calls into one function.
pub(super) fn link(
    object: &mut Object,
    functions: &Functions<'_>,
    program: usize,
) -> Result<Function, CompileError> {
    let key = key(functions, program);
    let name = functions.get(program).name;
    let missing = || CompileError::Malformed(format!("program \"{name}\" was not found again"));
    let sections = sections(object);
    // The linker replaces a program by its linked form, in which others must not find it.
    let apart = object.functions.get(&key).ok_or_else(missing)?.clone();
    object.programs = std::iter::once((
        name.to_owned(),
        aya_obj::Program {
            license: object.license.clone(),
            kernel_version: None,
            section: aya_obj::ProgramSection::SchedClassifier,
            section_index: key.0,
            address: key.1,
        },
    ))
    .collect();
    let linked = object.relocate_calls(&sections);
    let function = object.functions.insert(key, apart).ok_or_else(missing)?;
    linked.map_err(|error| CompileError::Relocation(chain(&error)))?;
    Ok(function)
}

/// The instructions as the kernel reads them, without descriptors, and where the descriptors of maps go.
pub(super) fn encode(
    instructions: &[bpf_insn],
    maps: usize,
) -> Result<(Vec<u8>, Vec<MapSlot>), CompileError> {
    let mut bytes = Vec::with_capacity(instructions.len() * 8);
    let mut slots = Vec::new();
    let mut second_half = false;
    for (index, instruction) in instructions.iter().enumerate() {
        let source = instruction.src_reg();
        let mut immediate = instruction.imm;
        let is_load = !second_half && instruction.code == LOAD_IMMEDIATE_64;
        second_half = is_load;
        if is_load && matches!(source, PSEUDO_MAP_FD | PSEUDO_MAP_VALUE) {
            let map = u32::try_from(immediate)
                .ok()
                .filter(|map| (*map as usize) < maps);
            let map = map.ok_or_else(|| {
                CompileError::Relocation(format!("instruction {index} refers to no map"))
            })?;
            slots.push(MapSlot {
                instruction: index as u32,
                map,
            });
            immediate = 0;
        }
        bytes.push(instruction.code);
        bytes.push(instruction.dst_reg() | source << 4);
        bytes.extend_from_slice(&instruction.off.to_le_bytes());
        bytes.extend_from_slice(&immediate.to_le_bytes());
    }
    Ok((bytes, slots))
}
