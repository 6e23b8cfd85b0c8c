//! A load plan whose every index, size and name was checked, so that the rest of the loader can rely on them. The
//! only way from a plan as it came to one that is used is [`ValidPlan::try_from`].

mod elements;

use crate::limits;
use crate::plan_intake::EncodedPlan;
use ipc::cgroup_hooks;
use ipc::limits::{LOAD_PROGRAMS, MAP_TYPE_BYTES, NAME_BYTES};
use ipc::messages::failure::{Failure, FailureCode, Stage};
use ipc::plan::{Elements, InfoTable, LoadPlan, MapPlan, MapSlot, PLAN_VERSION, ProgramPlan};

/// Bytes of one `struct bpf_insn`.
const INSTRUCTION: usize = 8;
/// `BPF_LD | BPF_DW | BPF_IMM`: the first of the two instructions that a map descriptor goes into.
const LD_IMM64: u8 = 0x18;
/// Source registers by which a double instruction takes its immediate for a descriptor or an index of one:
/// `BPF_PSEUDO_MAP_FD`, `_MAP_VALUE`, `_MAP_IDX`, `_MAP_IDX_VALUE`.
const MAP_SOURCES: [u8; 4] = [1, 2, 5, 6];

/// `BPF_MAP_TYPE_BLOOM_FILTER`.
const BLOOM_FILTER: u32 = 30;

/// A plan that passed every check.
#[derive(Clone, Debug)]
pub struct ValidPlan {
    digest: [u8; 32],
    bytes: Vec<u8>,
    plan: LoadPlan,
}

/// What a map is for the layout of pins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MapRole {
    /// Pinned, shared by name with programs that ask for it.
    Public,
    /// A data section: each program has its own, without a pin.
    Internal,
    /// Only says what the inner maps of another map look like: created, never pinned.
    Template,
}

impl ValidPlan {
    /// What the plan says.
    pub fn plan(&self) -> &LoadPlan {
        &self.plan
    }

    /// SHA-256 of the encoding.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The encoding.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the map with this index is.
    pub fn role(&self, map: usize) -> MapRole {
        let is_template = self
            .plan
            .maps
            .iter()
            .any(|outer| outer.inner == u32::try_from(map).ok());
        let is_used = self
            .plan
            .programs
            .iter()
            .flat_map(|program| &program.map_slots)
            .any(|slot| slot.map as usize == map);
        match self.plan.maps.get(map) {
            Some(found) if found.internal => MapRole::Internal,
            Some(_) if is_template && !is_used => MapRole::Template,
            _ => MapRole::Public,
        }
    }

    /// Whether the map with this index is to be shared by name.
    pub fn is_by_name(&self, map: usize) -> bool {
        let asks = self.plan.maps.get(map).is_some_and(|map| map.pin_by_name);
        asks && self.role(map) == MapRole::Public
    }

    /// Whether the program with this index jumps to others, or others to it, by an array that the source fills.
    pub fn jumps(&self, program: usize) -> bool {
        let uses = |map: usize| {
            let found = self.plan.programs.get(program);
            let mut slots = found.iter().flat_map(|program| &program.map_slots);
            slots.any(|slot| slot.map as usize == map)
        };
        let mut maps = self.plan.maps.iter().enumerate();
        maps.any(|(index, map)| match &map.elements {
            Some(Elements::Programs(list)) => {
                uses(index) || list.iter().any(|one| one.value as usize == program)
            }
            Some(Elements::Maps(_)) | None => false,
        })
    }

    /// Indices of the maps, templates before the maps that need them.
    pub fn creation_order(&self) -> Vec<usize> {
        let (outer, plain): (Vec<_>, Vec<_>) =
            (0..self.plan.maps.len()).partition(|index| self.plan.maps[*index].inner.is_some());
        plain.into_iter().chain(outer).collect()
    }
}

impl TryFrom<EncodedPlan> for ValidPlan {
    type Error = Failure;

    fn try_from(encoded: EncodedPlan) -> Result<Self, Failure> {
        let EncodedPlan {
            digest,
            bytes,
            plan,
        } = encoded;
        if plan.version != PLAN_VERSION {
            return Err(refused(format!(
                "version {} is not {PLAN_VERSION}",
                plan.version
            )));
        }
        bound("maps", plan.maps.len(), limits::PLAN_MAPS)?;
        bound("programs", plan.programs.len(), LOAD_PROGRAMS)?;
        bound(
            "maps of all programs",
            plan.maps.len() * plan.programs.len(),
            limits::LOAD_MAPS,
        )?;
        elements::check_number(&plan)?;
        bound(
            "bytes of BTF",
            plan.btf.as_ref().map_or(0, Vec::len),
            limits::BTF_BYTES,
        )?;
        check_name("license", &plan.license)?;
        if plan.programs.is_empty() {
            return Err(refused("it has no program".into()));
        }
        let mut names = std::collections::BTreeSet::new();
        for map in &plan.maps {
            check_map(map, &plan)?;
            if !names.insert(&map.name) {
                return Err(refused(format!("two maps are called \"{}\"", map.name)));
            }
        }
        for program in &plan.programs {
            check_program(program, &plan)?;
        }
        let valid = Self {
            digest,
            bytes,
            plan,
        };
        for (index, map) in valid.plan.maps.iter().enumerate() {
            if valid.role(index) == MapRole::Public {
                check_pin_name(&map.name)?;
            }
        }
        Ok(valid)
    }
}

fn check_map(map: &MapPlan, plan: &LoadPlan) -> Result<(), Failure> {
    let refuse = |reason: String| Err(refused(format!("map \"{}\": {reason}", map.name)));
    check_name("map", &map.name)?;
    if map.name.is_empty() {
        return refuse("it has no name".into());
    }
    if let Some(initial) = &map.initial {
        if map.key_size != 4 || map.max_entries != 1 {
            return refuse("only a data section has contents".into());
        }
        if initial.len() != map.value_size as usize {
            return refuse(format!(
                "{} bytes for a value of {}",
                initial.len(),
                map.value_size
            ));
        }
    }
    for described in [&map.key_type, &map.value_type].into_iter().flatten() {
        bound(
            "bytes in the text of a type",
            described.text.len(),
            MAP_TYPE_BYTES,
        )?;
        if !described
            .text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~'))
        {
            return refuse("the text of a type is not printable".into());
        }
    }
    if plan.btf.is_none() && (map.btf_key_type_id != 0 || map.btf_value_type_id != 0) {
        return refuse("it names types of a BTF that is not there".into());
    }
    if let Err(reason) = elements::check(map, plan) {
        return refuse(reason);
    }
    if map.hash_functions > 0 && (map.map_type != BLOOM_FILTER || map.hash_functions > 15) {
        return refuse(format!("{} hash functions", map.hash_functions));
    }
    match map.inner.map(|index| plan.maps.get(index as usize)) {
        None => Ok(()),
        Some(None) => refuse("its inner map is not in the plan".into()),
        // The kernel nests maps one level deep; this also excludes a map that is its own template.
        Some(Some(inner)) if inner.inner.is_some() => {
            refuse("its inner map has an inner map".into())
        }
        Some(Some(_)) => Ok(()),
    }
}

fn check_program(program: &ProgramPlan, plan: &LoadPlan) -> Result<(), Failure> {
    let refuse = |reason: String| Err(refused(format!("program \"{}\": {reason}", program.name)));
    check_name("program", &program.name)?;
    check_name("section", &program.section)?;
    for optional in [&program.attach_function, &program.section_target]
        .into_iter()
        .flatten()
    {
        check_name("target", optional)?;
    }
    if program.name.is_empty() {
        return refuse("it has no name".into());
    }
    let is_fixed = program.kind.is_fixed();
    if is_fixed != (program.attach_btf_id != 0) || is_fixed && program.attach_function.is_none() {
        return refuse(format!(
            "type {} is no target of a {} program",
            program.attach_btf_id, program.kind
        ));
    }
    if program.kind.is_cgroup() && !is_for_its_hook(program) {
        return refuse(format!(
            "attach type {} is not that of the hook of a {} program",
            program.expected_attach_type, program.kind
        ));
    }
    bound(
        "bytes of instructions",
        program.instructions.len(),
        limits::INSTRUCTION_BYTES,
    )?;
    let (instructions, rest) = program.instructions.as_chunks::<INSTRUCTION>();
    if instructions.is_empty() || !rest.is_empty() {
        return refuse(format!(
            "{} bytes are no instructions",
            program.instructions.len()
        ));
    }
    let mut next_free = 0;
    for slot in &program.map_slots {
        let index = slot.instruction as usize;
        if index < next_free {
            return refuse("its map slots overlap or are out of order".into());
        }
        // Both halves of the double instruction must be there.
        if index + 1 >= instructions.len() || instructions[index][0] != LD_IMM64 {
            return refuse(format!("map slot {index} is not in a double instruction"));
        }
        if slot.map as usize >= plan.maps.len() {
            return refuse(format!(
                "map slot {index} names a map that is not in the plan"
            ));
        }
        next_free = index + 2;
    }
    // A descriptor number that no slot replaces would name whatever the loader has open under it.
    let mut index = 0;
    while index < instructions.len() {
        let is_double = instructions[index][0] == LD_IMM64;
        if is_double && MAP_SOURCES.contains(&(instructions[index][1] >> 4)) {
            let slot = |known: &MapSlot| known.instruction as usize;
            if program
                .map_slots
                .binary_search_by_key(&index, slot)
                .is_err()
            {
                return refuse(format!(
                    "instruction {index} names a map that no slot fills"
                ));
            }
        }
        index += if is_double { 2 } else { 1 };
    }
    for (name, table) in [
        ("func_info", &program.func_info),
        ("line_info", &program.line_info),
    ] {
        if let Some(table) = table {
            if plan.btf.is_none() {
                return refuse(format!("{name} without BTF"));
            }
            if !is_whole(table) {
                return refuse(format!("{name} is not a table of whole records"));
            }
        }
    }
    Ok(())
}

/// What the record will say of the hook is what the kernel is told.
fn is_for_its_hook(program: &ProgramPlan) -> bool {
    program
        .attach_function
        .as_deref()
        .and_then(|name| cgroup_hooks::find(program.kind, name))
        .is_some_and(|hook| hook.attach_type == program.expected_attach_type)
}

fn is_whole(table: &InfoTable) -> bool {
    let size = table.record_size;
    (8..=limits::INFO_RECORD_BYTES).contains(&size)
        && size.is_multiple_of(4)
        && table.records.len().is_multiple_of(size as usize)
        && u32::try_from(table.records.len()).is_ok()
}

/// Public maps become files in bpffs, which refuses dots and, like any file system, slashes.
fn check_pin_name(name: &str) -> Result<(), Failure> {
    if name.len() <= limits::PIN_NAME_BYTES && !name.contains(['/', '.', '\0']) {
        return Ok(());
    }
    Err(Failure::new(
        FailureCode::InvalidArgument,
        Stage::Maps,
        format!("map \"{name}\" cannot be pinned: its name is no file name in bpffs"),
    )
    .remedy("give the map a name without dots and slashes, of at most 255 bytes"))
}

fn check_name(what: &str, name: &str) -> Result<(), Failure> {
    if name.contains('\0') {
        return Err(refused(format!("the name of a {what} contains NUL")));
    }
    bound(what, name.len(), NAME_BYTES)
}

fn bound(what: &str, found: usize, limit: usize) -> Result<(), Failure> {
    if found <= limit {
        return Ok(());
    }
    Err(Failure::new(
        FailureCode::ResourceExhausted,
        Stage::Load,
        format!("the object has {found} {what}, {limit} is the limit"),
    ))
}

fn refused(reason: String) -> Failure {
    Failure::new(
        FailureCode::Internal,
        Stage::Load,
        format!("the load plan is refused: {reason}"),
    )
    .remedy("this is a fault of bpfman's image worker, please report it")
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
