//! What an object offers: programs and maps by name, as the labels of its image list them.

use super::btf::Btf;
use super::elf::{Elf, Role};
use super::functions::Functions;
use super::{CompileError, check, maps, normalise, relocate, sections};
use ipc::messages::program::ProgramKind;
use std::collections::{BTreeMap, BTreeSet};

/// What is in an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Description {
    /// Programs whose section says what they are.
    pub programs: BTreeMap<String, ProgramKind>,
    /// How many programs there are in sections that say nothing known.
    pub unknown: usize,
    /// `enum bpf_map_type` of maps that the author defined; those made of data sections are left out.
    pub maps: BTreeMap<String, u32>,
}

/// Describes an object. Nothing is relocated, and the kernel is not asked.
///
/// # Errors
///
/// When it is no object that could be loaded.
pub fn describe(bytes: &[u8]) -> Result<Description, CompileError> {
    check::check(bytes)?;
    let elf = Elf::parse(bytes)?;
    let functions = Functions::collect(&elf)?;
    let mut description = Description::default();
    for (_, function) in functions.programs() {
        match sections::implied(elf.sections[function.section].name) {
            Some(kind) => {
                description.programs.insert(function.name.to_owned(), kind);
            }
            None => description.unknown += 1,
        }
    }
    maps::check(&elf)?;
    let btf = elf
        .with_role(Role::Btf)
        .map(|(_, section)| Btf::parse(section.data))
        .transpose()?;
    let none = BTreeSet::new();
    let normalised = normalise::normalise(&elf, &functions, btf.as_ref(), &none)?;
    let object = relocate::parse(&normalised, &functions, &none)?;
    let defined = object
        .maps
        .iter()
        .filter(|(name, map)| map.symbol_index().is_some() && !name.starts_with('.'));
    description.maps = defined
        .map(|(name, map)| (name.clone(), map.map_type()))
        .collect();
    Ok(description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya_obj::generated::bpf_map_type::*;

    #[test]
    fn programs_and_maps_are_found() {
        let counter = describe(bpf::COUNTER).unwrap();
        assert!(
            counter
                .programs
                .values()
                .any(|kind| *kind == ProgramKind::Xdp),
            "{counter:?}"
        );
        assert!(
            counter.maps.keys().all(|name| !name.starts_with('.')),
            "{counter:?}"
        );
        let maps = describe(bpf::MAPS).unwrap();
        assert!(
            maps.maps
                .values()
                .any(|kind| *kind == BPF_MAP_TYPE_RINGBUF as u32),
            "{maps:?}"
        );
        let bare = describe(bpf::BARE).unwrap();
        assert!(!bare.maps.is_empty(), "{bare:?}");
    }

    #[test]
    fn every_object_of_ours_can_be_described() {
        for (name, object) in bpf::ALL {
            let description = describe(object).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(
                !description.programs.is_empty() || description.unknown > 0,
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(describe(b"").is_err());
        assert!(describe(&bpf::COUNTER[..bpf::COUNTER.len() / 2]).is_err());
    }
}
