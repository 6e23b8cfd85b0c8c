//! CO-RE relocations: is what one says about the object's own types true? Whether the kernel has such a type is found
//! out when it is applied.

use super::btf::{ARRAY, Btf, ENUM, ENUM64, INT, STRUCT, UNION};
use super::error::CompileError;
use crate::limits;

const FIELD_BYTE_OFFSET: u32 = 0;
const FIELD_LEFT_SHIFT: u32 = 4;
const FIELD_RIGHT_SHIFT: u32 = 5;
const TYPE_ID_LOCAL: u32 = 6;
const TYPE_SIZE: u32 = 9;
const ENUM_EXISTS: u32 = 10;
const ENUM_VALUE: u32 = 11;
const CLASS_LOAD: u8 = 1;
const CLASS_STORE_REGISTER: u8 = 3;

fn malformed(what: &str) -> CompileError {
    CompileError::Btf(format!("a CO-RE relocation {what}"))
}

/// A field that an instruction loads or stores as a whole: where the kernel has a bit field it cannot.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct WholeField {
    /// Kind of the type that the path begins at.
    pub(super) kind: u32,
    /// Its name.
    pub(super) root: String,
    /// Names of members on the way; array elements and nameless structures have none.
    pub(super) path: Vec<String>,
}

/// Checks type, access string and kind (the last three words of a record) for the instruction with this opcode.
pub(super) fn check(
    btf: &Btf<'_>,
    record: [u32; 3],
    opcode: u8,
) -> Result<Option<WholeField>, CompileError> {
    let [root, access, kind] = record;
    if root == 0 || !btf.is_plain(root) {
        return Err(malformed("is of no type"));
    }
    let access = btf
        .text(access)
        .ok_or_else(|| malformed("accesses nothing"))?;
    let parts = access
        .split(':')
        .map(|part| {
            part.parse()
                .ok()
                .filter(|index| *index <= limits::CORE_INDEX)
        })
        .collect::<Option<Vec<usize>>>()
        .filter(|parts| parts.len() <= limits::CORE_ACCESSORS)
        .ok_or_else(|| malformed("has a bad access string"))?;
    let (_, ty) = btf
        .resolve(root)
        .ok_or_else(|| malformed("is of no type"))?;
    match kind {
        TYPE_ID_LOCAL..=TYPE_SIZE => Ok(None),
        ENUM_EXISTS | ENUM_VALUE => match (ty.kind, parts.as_slice()) {
            (ENUM | ENUM64, [index]) if *index < ty.count as usize => Ok(None),
            _ => Err(malformed("names no value of an enumeration")),
        },
        FIELD_BYTE_OFFSET..=FIELD_RIGHT_SHIFT => {
            let field = walk(btf, root, &parts)?;
            let shift = matches!(kind, FIELD_LEFT_SHIFT | FIELD_RIGHT_SHIFT);
            if shift && !field.is_number {
                return Err(malformed("shifts something that is no number"));
            }
            if !(CLASS_LOAD..=CLASS_STORE_REGISTER).contains(&(opcode & 7)) {
                return Ok(None);
            }
            if field.bits > 0 {
                return Err(malformed("loads or stores a bit field as a whole"));
            }
            let named = btf
                .get(root)
                .and_then(|ty| Some((ty.kind, btf.text(ty.name)?)));
            Ok(named.map(|(kind, root)| WholeField {
                kind,
                root: root.to_owned(),
                path: field.path.into_iter().map(str::to_owned).collect(),
            }))
        }
        _ => Err(malformed("is of unknown kind")),
    }
}

struct Field<'a> {
    is_number: bool,
    bits: u32,
    path: Vec<&'a str>,
}

/// Follows an access string through structures and arrays.
fn walk<'a>(btf: &Btf<'a>, root: u32, parts: &[usize]) -> Result<Field<'a>, CompileError> {
    let outside = || malformed("leaves its type");
    let mut id = root;
    let mut bits = 0;
    let mut path = Vec::new();
    // `split` yields at least one part.
    let mut offset = parts[0] as u64 * u64::from(btf.size(root).ok_or_else(outside)?);
    for index in &parts[1..] {
        let (_, ty) = btf.resolve(id).ok_or_else(outside)?;
        match ty.kind {
            STRUCT | UNION => {
                let member = ty.members().nth(*index).ok_or_else(outside)?;
                (id, bits) = (member.type_id, member.bits);
                offset += u64::from(member.bit_offset / 8);
                path.extend(btf.text(member.name).filter(|name| !name.is_empty()));
            }
            ARRAY => {
                (id, bits) = (ty.array().0, 0);
                offset += *index as u64 * u64::from(btf.size(id).ok_or_else(outside)?);
            }
            _ => return Err(outside()),
        }
    }
    if offset > u64::from(limits::BTF_STRUCT_BYTES) {
        return Err(outside());
    }
    let (_, ty) = btf.resolve(id).ok_or_else(outside)?;
    let is_number = matches!(ty.kind, INT | ENUM | ENUM64) && ty.size_or_type <= 8;
    Ok(Field {
        is_number,
        bits,
        path,
    })
}
