//! Whether a value that was given as some type fits a global variable, as far as the object tells what the variable is.

use super::btf::{ARRAY, Btf, ENUM, ENUM64, FLOAT, INT, PTR, STRUCT, Type, UNION, VAR};
use super::error::CompileError;
use ipc::messages::program::{GlobalType, GlobalValue};

/// Bits of `BTF_INT_ENCODING`.
const SIGNED: u32 = 1;
const BOOL: u32 = 4;

/// The bytes of the variable, which has `size` of them: those of the value, text with zeroes behind it.
pub(super) fn bytes(
    btf: Option<&Btf<'_>>,
    value: &GlobalValue,
    given_as: GlobalType,
    size: u64,
) -> Result<Vec<u8>, CompileError> {
    if let Some((btf, id)) = btf.and_then(|btf| Some((btf, type_of(btf, &value.name)?)))
        && !is(btf, id, given_as)
    {
        return Err(CompileError::GlobalType {
            name: value.name.clone(),
            is: describe(btf, id),
            given_as,
        });
    }
    let mut bytes = value.bytes.clone();
    if given_as == GlobalType::String {
        if bytes.len() as u64 >= size {
            return Err(CompileError::GlobalText {
                name: value.name.clone(),
                room: size.saturating_sub(1),
                given: bytes.len() as u64,
            });
        }
        // The room is that of a section, which was found in the object.
        bytes.resize(usize::try_from(size).unwrap_or(bytes.len()), 0);
    }
    Ok(bytes)
}

/// The variable's type, if the object describes the variable.
fn type_of(btf: &Btf<'_>, name: &str) -> Option<u32> {
    let is_it = |ty: &&Type<'_>| ty.kind == VAR && btf.text(ty.name) == Some(name);
    btf.types.iter().find(is_it).map(|ty| ty.size_or_type)
}

fn is(btf: &Btf<'_>, id: u32, given_as: GlobalType) -> bool {
    let Some((_, ty)) = btf.resolve(id) else {
        return false;
    };
    match given_as {
        GlobalType::U8 => is_number(ty, 1, false),
        GlobalType::U16 => is_number(ty, 2, false),
        GlobalType::U32 => is_number(ty, 4, false),
        GlobalType::U64 => is_number(ty, 8, false),
        GlobalType::I8 => is_number(ty, 1, true),
        GlobalType::I16 => is_number(ty, 2, true),
        GlobalType::I32 => is_number(ty, 4, true),
        GlobalType::I64 => is_number(ty, 8, true),
        GlobalType::Bool => ty.kind == INT && encoding(ty) & BOOL != 0,
        GlobalType::Char => is_character(ty),
        GlobalType::String => {
            ty.kind == ARRAY
                && btf
                    .resolve(ty.array().0)
                    .is_some_and(|(_, element)| is_character(element))
        }
    }
}

fn is_number(ty: &Type<'_>, size: u32, signed: bool) -> bool {
    ty.size_or_type == size
        && match ty.kind {
            INT => encoding(ty) & BOOL == 0 && (encoding(ty) & SIGNED != 0) == signed,
            // Which of the two an enumeration is, older compilers do not say.
            ENUM | ENUM64 => true,
            _ => false,
        }
}

/// `char` is signed on some machines; the other types of one byte serve as characters too.
fn is_character(ty: &Type<'_>) -> bool {
    ty.kind == INT && ty.size_or_type == 1 && encoding(ty) & BOOL == 0
}

fn encoding(ty: &Type<'_>) -> u32 {
    ty.word(0) >> 24 & 0xf
}

/// The type as messages name it.
fn describe(btf: &Btf<'_>, id: u32) -> String {
    let Some((_, ty)) = btf.resolve(id) else {
        return "unknown".to_owned();
    };
    let name = btf.text(ty.name).unwrap_or_default();
    match ty.kind {
        INT if encoding(ty) & BOOL != 0 => "bool".to_owned(),
        INT => {
            let sign = if encoding(ty) & SIGNED != 0 { 'i' } else { 'u' };
            format!("{name} ({sign}{})", u64::from(ty.size_or_type) * 8)
        }
        ENUM | ENUM64 => format!("enum {name}"),
        STRUCT => format!("struct {name}"),
        UNION => format!("union {name}"),
        ARRAY => {
            let (element, length) = ty.array();
            let element = btf.resolve(element).and_then(|(_, ty)| btf.text(ty.name));
            format!("{}[{length}]", element.unwrap_or_default())
        }
        PTR => "a pointer".to_owned(),
        FLOAT => name.to_owned(),
        _ => "no number".to_owned(),
    }
}
