//! Rewrites the object's type information into what every kernel from 6.1 on accepts.

use super::btf::{Btf, DATASEC, FUNC, HEADER_BYTES, INT, MAGIC, Type, VAR};
use std::collections::{HashMap, HashSet};

/// Linkage of variables that are not exported.
const STATIC: u32 = 0;
/// Linkage of what another object defines; BTF of an object that is loaded may have none.
const EXTERNAL: u32 = 2;

/// What the object says of sections and symbols, by name.
#[derive(Debug, Default)]
pub(super) struct Layout<'a> {
    /// Sizes of data sections.
    pub(super) sections: HashMap<&'a str, u32>,
    /// Offsets of variables by section and name.
    pub(super) symbols: HashMap<(&'a str, &'a str), u32>,
    /// Functions that are not exported.
    pub(super) hidden: HashSet<&'a str>,
    /// Structures whose last member loses its name: the parser would take it for the definition of an inner map.
    pub(super) unnamed: HashSet<u32>,
}

/// A data section as the kernel wants it described.
struct DataSection {
    size: u32,
    /// Ascending and apart.
    variables: Vec<Variable>,
}

/// A variable in a data section.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Variable {
    offset: u32,
    id: u32,
    bytes: u32,
}

/// Rewritten type information.
#[derive(Debug, Default)]
pub(super) struct Rewritten<'a> {
    /// The section.
    pub(super) bytes: Vec<u8>,
    /// Where the added names stand in its strings.
    pub(super) name_offsets: Vec<u32>,
    /// Types of the data sections that it describes, by name.
    pub(super) data_sections: HashMap<&'a str, u32>,
}

impl Btf<'_> {
    /// The section again, fit for the kernel: sizes and offsets of data sections filled in from the object, functions
    /// that are not exported called static, what is external replaced; `names` are added to the strings.
    pub(super) fn rewrite<'n>(&'n self, layout: &Layout<'_>, names: &[String]) -> Rewritten<'n> {
        let mut types = Vec::new();
        for (id, ty) in self.types.iter().enumerate().skip(1) {
            let start = types.len();
            self.rewrite_type(ty, layout, &mut types);
            if layout.unnamed.contains(&(id as u32)) {
                // Three words, then three for each member, of which the first is the name.
                let name = start + 12 * ty.count as usize;
                if let Some(name) = types.get_mut(name..name + 4) {
                    name.fill(0);
                }
            }
        }
        let mut strings = self.strings.to_vec();
        let name_offsets = names
            .iter()
            .map(|name| {
                // The section is part of an object of bounded size.
                let offset = strings.len() as u32;
                strings.extend_from_slice(name.as_bytes());
                strings.push(0);
                offset
            })
            .collect();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + types.len() + strings.len());
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&[1, 0]);
        let lengths = [types.len() as u32, types.len() as u32, strings.len() as u32];
        for word in [HEADER_BYTES as u32, 0, lengths[0], lengths[1], lengths[2]] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&types);
        bytes.extend_from_slice(&strings);
        let described = self.types.iter().enumerate().filter_map(|(id, ty)| {
            let kept = ty.kind == DATASEC && self.variables(ty, layout).is_some();
            // As many types as `limits::BTF_TYPES` at most.
            kept.then_some((self.text(ty.name)?, id as u32))
        });
        Rewritten {
            bytes,
            name_offsets,
            data_sections: described.collect(),
        }
    }

    fn rewrite_type(&self, ty: &Type<'_>, layout: &Layout<'_>, out: &mut Vec<u8>) {
        let mut push = |words: &[u32]| {
            for word in words {
                out.extend_from_slice(&word.to_le_bytes());
            }
        };
        let name = self.text(ty.name).unwrap_or_default();
        // Stands for what the kernel does not take, in as many bytes as needed: a number of four bytes.
        let placeholder = [0, INT << 24, 4, 32];
        match ty.kind {
            FUNC => {
                let linkage = match ty.count {
                    EXTERNAL => 1,
                    1 if layout.hidden.contains(&name) => 0,
                    other => other.min(1),
                };
                push(&[ty.name, FUNC << 24 | linkage, ty.size_or_type]);
            }
            VAR if ty.word(0) >= EXTERNAL || self.size(ty.size_or_type).is_none() => {
                push(&placeholder)
            }
            VAR => push(&[ty.name, VAR << 24, ty.size_or_type, ty.word(0)]),
            DATASEC => {
                let Some(section) = self.variables(ty, layout) else {
                    return push(&placeholder);
                };
                push(&[
                    ty.name,
                    DATASEC << 24 | section.variables.len() as u32,
                    section.size,
                ]);
                for Variable { offset, id, bytes } in section.variables {
                    push(&[id, offset, bytes]);
                }
            }
            _ => {
                let flag = u32::from(ty.flag) << 31;
                push(&[ty.name, flag | ty.kind << 24 | ty.count, ty.size_or_type]);
                out.extend_from_slice(ty.rest);
            }
        }
    }

    /// A data section with its variables; `None` when the kernel would not take them.
    fn variables(&self, ty: &Type<'_>, layout: &Layout<'_>) -> Option<DataSection> {
        let name = self.text(ty.name)?;
        let size = layout
            .sections
            .get(name)
            .copied()
            .filter(|size| *size > 0)?;
        let mut variables = Vec::new();
        for at in 0..ty.count as usize {
            let id = ty.word(at * 3);
            let variable = self.get(id).filter(|variable| variable.kind == VAR)?;
            let offset = match variable.word(0) {
                // The compiler knows where static variables are, only the linker where the others are.
                STATIC => ty.word(at * 3 + 1),
                EXTERNAL.. => return None,
                _ => *layout.symbols.get(&(name, self.text(variable.name)?))?,
            };
            variables.push(Variable {
                offset,
                id,
                bytes: self.size(variable.size_or_type)?,
            });
        }
        variables.sort_unstable();
        let mut end = 0_u32;
        for variable in &variables {
            if variable.offset < end {
                return None;
            }
            end = variable.offset.checked_add(variable.bytes)?;
        }
        (end <= size).then_some(DataSection { size, variables })
    }
}
