//! A field that an instruction loads as a whole must not be a bit field in the running kernel: such a load cannot be
//! relocated, and the relocator behind us takes it for granted that nobody tries.

use super::btf::{ARRAY, Btf, Member, STRUCT, Type, UNION};
use super::core::WholeField;
use super::error::CompileError;
use crate::limits;
use std::collections::BTreeSet;

/// Structures without name inside one another.
const NESTING: usize = 16;

/// Looks each field up in the kernel's types.
pub(super) fn check(kernel: &[u8], fields: &BTreeSet<WholeField>) -> Result<(), CompileError> {
    let types = Btf::read(kernel)?;
    for (id, ty) in types.types.iter().enumerate() {
        let Some(name) = types.text(ty.name).filter(|name| !name.is_empty()) else {
            continue;
        };
        let meant = fields.iter().filter(|field| {
            field.kind == ty.kind && without_flavour(&field.root) == without_flavour(name)
        });
        for field in meant {
            // Of `limits::BTF_TYPES` types at most.
            if is_bit_field(&types, id as u32, &field.path) {
                return Err(CompileError::Unsupported(format!(
                    "\"{}.{}\" is a bit field in the running kernel: read it with \
                     BPF_CORE_READ_BITFIELD",
                    field.root,
                    field.path.join(".")
                )));
            }
        }
    }
    Ok(())
}

/// `name___flavour` stands for the kernel's `name`.
fn without_flavour(name: &str) -> &str {
    name.split_once("___").map_or(name, |(name, _)| name)
}

fn is_bit_field(types: &Btf<'_>, root: u32, path: &[String]) -> bool {
    let mut id = root;
    let mut bits = 0;
    for name in path {
        let Some(member) = structure(types, id).and_then(|ty| find(types, ty, name, NESTING))
        else {
            return false;
        };
        (id, bits) = (member.type_id, member.bits);
    }
    bits > 0
}

/// The structure or union behind type definitions and arrays.
fn structure<'t, 'a>(types: &'t Btf<'a>, id: u32) -> Option<&'t Type<'a>> {
    let mut id = id;
    for _ in 0..limits::TYPE_DEPTH {
        let (_, ty) = types.resolve(id)?;
        match ty.kind {
            ARRAY => id = ty.array().0,
            STRUCT | UNION => return Some(ty),
            _ => return None,
        }
    }
    None
}

/// The member with this name, also inside nameless structures.
fn find(types: &Btf<'_>, ty: &Type<'_>, name: &str, nesting: usize) -> Option<Member> {
    ty.members()
        .find_map(|member| match types.text(member.name)? {
            "" => find(
                types,
                structure(types, member.type_id)?,
                name,
                nesting.checked_sub(1)?,
            ),
            other => (other == name).then_some(member),
        })
}
