//! Elements of maps that the source sets: `.values = { [3] = &inner, … }`.
//!
//! The compiler leaves their places empty and says by relocations of `.maps` what belongs there. A place lies behind the
//! map's definition, whose last member is `values`, an array of pointers: the first is element 0.

use super::btf::{ARRAY, Btf, DATASEC, FUNC_PROTO, PTR, STRUCT, Type, VAR};
use super::elf::{Elf, Relocation, Role, SymbolKind};
use super::error::CompileError;
use super::functions::{Functions, Reach};
use super::maps::Maps;
use super::sections;
use crate::limits;
use aya_obj::Object;
use aya_obj::generated::bpf_map_type::*;
use ipc::messages::program::ProgramRequest;
use ipc::plan::{Element, Elements, MapPlan};
use std::collections::{BTreeMap, HashMap};

/// `R_BPF_64_ABS64`: an address in data.
const RELOCATE_DATA: u32 = 2;
/// Bytes of a pointer on BPF.
const POINTER: u64 = 8;

/// By the symbol of the map: what its elements refer to, by key.
pub(super) type Initializers = BTreeMap<usize, BTreeMap<u32, usize>>;

/// Finds out which elements of which maps are set.
pub(super) fn read(elf: &Elf<'_>, btf: Option<&Btf<'_>>) -> Result<Initializers, CompileError> {
    let mut found = Initializers::new();
    let Some((section, relocations)) = elf
        .with_role(Role::Maps)
        .and_then(|(section, _)| Some((section, elf.relocations(section)?)))
    else {
        return Ok(found);
    };
    if relocations.len() > limits::MAP_ELEMENTS {
        return Err(CompileError::Limit {
            what: "elements of maps set in the source",
            limit: limits::MAP_ELEMENTS as u64,
        });
    }
    let starts = btf.map(starts_of_values).unwrap_or_default();
    let mut maps: Vec<usize> = (0..elf.symbols.len())
        .filter(|index| {
            let symbol = &elf.symbols[*index];
            symbol.section == Some(section) && symbol.kind == SymbolKind::Object
        })
        .collect();
    maps.sort_by_key(|index| elf.symbols[*index].value);
    for (offset, Relocation { kind, symbol }) in relocations {
        let place = || {
            let behind = maps.partition_point(|map| elf.symbols[*map].value <= *offset);
            let map = *maps.get(behind.checked_sub(1)?)?;
            let definition = &elf.symbols[map];
            let within = offset - definition.value;
            let values = within.checked_sub(u64::from(*starts.get(definition.name)?))?;
            let inside = within.checked_add(POINTER)? <= definition.size;
            let key = u32::try_from(values / POINTER).ok()?;
            (inside && values % POINTER == 0).then_some((map, key))
        };
        let (map, key) = place().filter(|_| *kind == RELOCATE_DATA).ok_or_else(|| {
            CompileError::Malformed(format!(
                "the relocation of \".maps\" at {offset:#x} is no element of a map"
            ))
        })?;
        found.entry(map).or_default().insert(key, *symbol);
    }
    Ok(found)
}

/// Bytes from the start of each map's definition to its elements, by name, of maps that have a member for them.
fn starts_of_values<'b>(btf: &'b Btf<'_>) -> HashMap<&'b str, u32> {
    definitions(btf)
        .filter_map(|(variable, _, definition)| {
            let last = definition.members().last()?;
            let is_values = btf.text(last.name) == Some("values");
            is_values.then_some((btf.text(variable.name)?, last.bit_offset / 8))
        })
        .collect()
}

/// Structures that define maps, by id.
fn definitions<'b, 'a>(
    btf: &'b Btf<'a>,
) -> impl Iterator<Item = (&'b Type<'a>, u32, &'b Type<'a>)> {
    let sections = btf.types.iter().filter(|ty| ty.kind == DATASEC);
    sections
        .filter(|ty| btf.text(ty.name) == Some(".maps"))
        .flat_map(|ty| (0..ty.count as usize).map(|at| ty.word(at * 3)))
        .filter_map(|id| btf.get(id).filter(|variable| variable.kind == VAR))
        .filter_map(|variable| {
            let (id, ty) = btf.resolve(variable.size_or_type)?;
            (ty.kind == STRUCT).then_some((variable, id, ty))
        })
}

/// The structures that define arrays of programs: of the members called `values` the parser takes those for definitions of
/// inner maps, and gives up.
pub(super) fn arrays_of_programs(btf: &Btf<'_>) -> Vec<u32> {
    let points_to_function = |id: u32| {
        let (_, array) = btf.resolve(id).filter(|(_, ty)| ty.kind == ARRAY)?;
        let (_, pointer) = btf
            .resolve(array.array().0)
            .filter(|(_, ty)| ty.kind == PTR)?;
        btf.resolve(pointer.size_or_type)
            .filter(|(_, ty)| ty.kind == FUNC_PROTO)
    };
    let found = definitions(btf).filter_map(|(_, id, definition)| {
        let last = definition.members().last()?;
        let is_values = btf.text(last.name) == Some("values");
        (is_values && points_to_function(last.type_id).is_some()).then_some(id)
    });
    found.collect()
}

/// What the elements are compared with.
pub(super) struct Context<'c, 'a> {
    pub(super) elf: &'c Elf<'a>,
    pub(super) functions: &'c Functions<'a>,
    pub(super) object: &'c Object,
    /// The programs asked for, the functions that they are, and what they use.
    pub(super) programs: &'c [ProgramRequest],
    pub(super) selected: &'c [usize],
    pub(super) reaches: &'c [Reach],
}

/// Puts the elements into the plans of their maps.
pub(super) fn plan(
    initializers: &Initializers,
    context: &Context<'_, '_>,
    maps: &mut Maps,
) -> Result<(), CompileError> {
    let by_symbol: HashMap<usize, usize> = context
        .object
        .maps
        .iter()
        .filter_map(|(name, map)| Some((map.symbol_index()?, *maps.slots.get(name)?)))
        .collect();
    for (symbol, values) in initializers {
        let name = context.elf.symbols[*symbol].name;
        let Some(slot) = by_symbol.get(symbol) else {
            return Err(CompileError::Malformed(format!(
                "map \"{name}\" has elements and no definition"
            )));
        };
        let plan = &maps.plans[*slot];
        let bad = |key: u32, reason: &str| CompileError::MapElement {
            map: name.to_owned(),
            key,
            reason: reason.to_owned(),
        };
        let elements = match plan.map_type {
            of_maps if is_of_maps(of_maps) => {
                let template = plan.inner.and_then(|inner| maps.plans.get(inner as usize));
                let of = |(key, value): (&u32, &usize)| {
                    let found = by_symbol.get(value).ok_or_else(|| {
                        bad(
                            *key,
                            "not a map of the object that is declared without \"static\"",
                        )
                    })?;
                    if template.is_none_or(|template| !is_like(&maps.plans[*found], template)) {
                        return Err(bad(
                            *key,
                            "a map of another type, key size, value size or flags than `values` has",
                        ));
                    }
                    Ok(Element {
                        key: *key,
                        value: *found as u32,
                    })
                };
                Elements::Maps(values.iter().map(of).collect::<Result<_, _>>()?)
            }
            of_programs if of_programs == BPF_MAP_TYPE_PROG_ARRAY as u32 => {
                let of = |(key, value): (&u32, &usize)| {
                    let callee = context
                        .program(*value)
                        .ok_or_else(|| bad(*key, "not a program of the object"))?;
                    context.element(*symbol, *key, callee)
                };
                let known = values.iter().map(of).filter_map(Result::transpose);
                Elements::Programs(known.collect::<Result<_, _>>()?)
            }
            _ => {
                return Err(CompileError::Unsupported(format!(
                    "map \"{name}\" has elements set in the source, which holds neither maps nor programs"
                )));
            }
        };
        let of_hash = plan.map_type == BPF_MAP_TYPE_HASH_OF_MAPS as u32;
        let room = plan.max_entries as usize;
        let beyond = values.keys().enumerate().find(|(place, key)| {
            let place = if of_hash { *place } else { **key as usize };
            place >= room
        });
        if let Some((_, key)) = beyond {
            return Err(bad(*key, &format!("one too many: max_entries is {room}")));
        }
        if (plan.key_size, plan.value_size) != (4, 4) {
            return Err(bad(0, "of a map whose keys or values are not of 4 bytes"));
        }
        maps.plans[*slot].elements = (!elements.list().is_empty()).then_some(elements);
    }
    Ok(())
}

fn is_of_maps(map_type: u32) -> bool {
    [BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS]
        .iter()
        .any(|known| *known as u32 == map_type)
}

/// The kernel compares more, by the type of the map.
fn is_like(map: &MapPlan, template: &MapPlan) -> bool {
    let form = |map: &MapPlan| (map.map_type, map.key_size, map.value_size, map.flags);
    form(map) == form(template) && map.inner.is_none()
}

impl Context<'_, '_> {
    /// The program that a symbol stands for.
    fn program(&self, symbol: usize) -> Option<usize> {
        let symbol = &self.elf.symbols[symbol];
        let is_function = symbol.kind == SymbolKind::Function;
        let mut programs = self.functions.programs();
        programs
            .find(|(_, function)| {
                is_function
                    && Some(function.section) == symbol.section
                    && function.start == symbol.value
            })
            .map(|(index, _)| index)
    }

    /// The element that is this program. A program that is not asked for leaves its place empty where nobody jumps to it: where
    /// somebody does, the jump would fail without a word.
    fn element(
        &self,
        array: usize,
        key: u32,
        callee: usize,
    ) -> Result<Option<Element>, CompileError> {
        let asked_for = self.selected.iter().position(|index| *index == callee);
        if let Some(value) = asked_for {
            return Ok(Some(Element {
                key,
                value: value as u32,
            }));
        }
        let uses = |reach: &Reach| reach.map_symbols.contains(&array);
        let Some(caller) = self.reaches.iter().position(uses) else {
            return Ok(None);
        };
        let callee = self.functions.get(callee);
        let section = self.elf.sections[callee.section].name;
        Err(CompileError::TailCallee {
            program: self.programs[caller].name.clone(),
            map: self.elf.symbols[array].name.to_owned(),
            key,
            callee: callee.name.to_owned(),
            kind: sections::implied(section),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_without_initializers_has_no_elements() {
        let elf = Elf::parse(bpf::MAPS).expect("an object");
        assert!(read(&elf, None).expect("nothing to read").is_empty());
        assert!(elf.with_role(Role::Maps).is_some());
        let with = Elf::parse(bpf::ELEMENTS).expect("an object");
        assert!(read(&with, None).is_err(), "elements of unknown types");
        let section = with.with_role(Role::Btf).expect("types").1;
        let btf = Btf::parse(section.data).expect("types");
        let found = read(&with, Some(&btf)).expect("elements");
        let of = |name: &str| {
            let map = found
                .iter()
                .find(|(map, _)| with.symbols[**map].name == name)
                .expect(name);
            map.1
                .iter()
                .map(|(key, value)| (*key, with.symbols[*value].name))
                .collect::<Vec<_>>()
        };
        assert_eq!(of("tables"), [(1, "low"), (3, "high")]);
        assert_eq!(of("hashed"), [(2, "high")]);
        assert_eq!(of("shared_tables"), [(0, "low")]);
        assert_eq!(of("trace_calls"), [(2, "trace_callee")]);
        assert_eq!(of("xdp_calls"), [(0, "xdp_callee")]);
        assert_eq!(found.len(), 5);
        assert_eq!(arrays_of_programs(&btf).len(), 2);
    }
}
