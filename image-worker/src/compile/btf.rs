//! The object's own type information, checked as strictly as the kernel checks it: the parser behind this module indexes
//! by what it reads.

use super::bytes::{text_at, u16_at, u32_at};
use super::error::CompileError;
use crate::limits;

pub(super) const INT: u32 = 1;
pub(super) const PTR: u32 = 2;
pub(super) const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
pub(super) const UNION: u32 = 5;
pub(super) const ENUM: u32 = 6;
pub(super) const FWD: u32 = 7;
pub(super) const TYPEDEF: u32 = 8;
pub(super) const VOLATILE: u32 = 9;
pub(super) const CONST: u32 = 10;
pub(super) const RESTRICT: u32 = 11;
pub(super) const FUNC: u32 = 12;
pub(super) const FUNC_PROTO: u32 = 13;
pub(super) const VAR: u32 = 14;
pub(super) const DATASEC: u32 = 15;
pub(super) const FLOAT: u32 = 16;
pub(super) const DECL_TAG: u32 = 17;
pub(super) const TYPE_TAG: u32 = 18;
pub(super) const ENUM64: u32 = 19;

pub(super) const MAGIC: u16 = 0xeb9f;
pub(super) const HEADER_BYTES: usize = 24;

fn malformed(what: impl Into<String>) -> CompileError {
    CompileError::Btf(what.into())
}

/// One type.
#[derive(Debug)]
pub(super) struct Type<'a> {
    pub(super) name: u32,
    pub(super) kind: u32,
    /// Number of members, parameters, variables.
    pub(super) count: u32,
    /// The `kind_flag`: bit fields in a structure, signedness of an enumeration.
    pub(super) flag: bool,
    /// A size or a type, by kind.
    pub(super) size_or_type: u32,
    /// What follows the three words.
    pub(super) rest: &'a [u8],
}

/// A member of a structure or union.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) name: u32,
    pub(super) type_id: u32,
    pub(super) bit_offset: u32,
    /// 0 when it is no bit field.
    pub(super) bits: u32,
}

impl Type<'_> {
    /// One of the words behind the first three.
    pub(super) fn word(&self, index: usize) -> u32 {
        // `Btf::parse` has found `rest` to be as long as the kind demands.
        u32_at(self.rest, index * 4).unwrap_or_default()
    }

    /// The members of a structure or union.
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + '_ {
        (0..self.count as usize).map(|index| {
            let offset = self.word(index * 3 + 2);
            let (bit_offset, bits) = if self.flag {
                (offset & 0xff_ffff, offset >> 24)
            } else {
                (offset, 0)
            };
            Member {
                name: self.word(index * 3),
                type_id: self.word(index * 3 + 1),
                bit_offset,
                bits,
            }
        })
    }

    /// Element type and length of an array.
    pub(super) fn array(&self) -> (u32, u32) {
        (self.word(0), self.word(2))
    }
}

/// A checked `.BTF` section.
#[derive(Debug)]
pub(super) struct Btf<'a> {
    /// Index 0 is `void`.
    pub(super) types: Vec<Type<'a>>,
    pub(super) strings: &'a [u8],
}

impl<'a> Btf<'a> {
    /// Reads and checks the section.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CompileError> {
        let btf = Self::read(bytes)?;
        for (id, ty) in btf.types.iter().enumerate().skip(1) {
            btf.check(id, ty)?;
        }
        Ok(btf)
    }

    /// Reads the section without a look at what its types refer to.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, CompileError> {
        let word = |offset| u32_at(bytes, offset).ok_or_else(|| malformed("it has no header"));
        if u16_at(bytes, 0) != Some(MAGIC) {
            return Err(malformed("it has no magic number"));
        }
        let (header, types, types_length) = (word(4)?, word(8)?, word(12)?);
        let (strings, strings_length) = (word(16)?, word(20)?);
        if (header as usize) < HEADER_BYTES {
            return Err(malformed("its header is too short"));
        }
        let part = |offset: u32, length: u32| {
            super::bytes::range(
                bytes,
                u64::from(header) + u64::from(offset),
                u64::from(length),
            )
        };
        let strings =
            part(strings, strings_length).ok_or_else(|| malformed("its strings lie outside"))?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(malformed("its strings do not begin and end with NUL"));
        }
        let types = part(types, types_length).ok_or_else(|| malformed("its types lie outside"))?;
        Ok(Self {
            types: read_types(types)?,
            strings,
        })
    }

    /// The strings of a section, all that is looked at of it.
    pub(super) fn strings_of(bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (header, start) = (u32_at(bytes, 4)?, u32_at(bytes, 16)?);
        let length = u32_at(bytes, 20)?;
        super::bytes::range(bytes, u64::from(header) + u64::from(start), length.into())
    }

    /// The type with this id.
    pub(super) fn get(&self, id: u32) -> Option<&Type<'a>> {
        self.types.get(id as usize)
    }

    /// The string at this offset.
    pub(super) fn text(&self, offset: u32) -> Option<&'a str> {
        text_at(self.strings, offset as usize)
    }

    /// The type behind modifiers and type definitions.
    pub(super) fn resolve(&self, id: u32) -> Option<(u32, &Type<'a>)> {
        let mut id = id;
        for _ in 0..limits::TYPE_DEPTH {
            let ty = self.get(id)?;
            match ty.kind {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = ty.size_or_type,
                _ => return Some((id, ty)),
            }
        }
        None
    }

    /// Bytes of a type; `None` for what has no size.
    pub(super) fn size(&self, id: u32) -> Option<u32> {
        let mut id = id;
        let mut count = 1_u32;
        for _ in 0..limits::TYPE_DEPTH {
            let ty = self.get(id)?;
            match ty.kind {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = ty.size_or_type,
                ARRAY => {
                    let (element, length) = ty.array();
                    count = count.checked_mul(length)?;
                    id = element;
                }
                PTR => return count.checked_mul(8),
                INT | STRUCT | UNION | ENUM | ENUM64 | FLOAT => {
                    return count.checked_mul(ty.size_or_type);
                }
                _ => return None,
            }
        }
        None
    }

    /// Whether the type may stand where C has a type: not a function, variable, section or tag.
    pub(super) fn is_plain(&self, id: u32) -> bool {
        self.get(id)
            .is_some_and(|ty| !matches!(ty.kind, FUNC | VAR | DATASEC | DECL_TAG))
    }

    fn check(&self, id: usize, ty: &Type<'_>) -> Result<(), CompileError> {
        let bad = |what: &str| malformed(format!("type {id} {what}"));
        if self.text(ty.name).is_none() {
            return Err(bad("has no proper name"));
        }
        let plain = |target: u32| {
            if self.is_plain(target) {
                Ok(())
            } else {
                Err(bad("refers to something that is no type"))
            }
        };
        // Follows arrays to their end, hence also finds cycles and products that overflow.
        let sized = |target: u32| {
            plain(target)?;
            self.size(target)
                .map(drop)
                .ok_or_else(|| bad("refers to a type without size"))
        };
        let size = ty.size_or_type;
        match ty.kind {
            INT if matches!(size, 1..=16) => Ok(()),
            FLOAT if matches!(size, 2..=16) => Ok(()),
            ENUM | ENUM64 if matches!(size, 1 | 2 | 4 | 8) => {
                let step = if ty.kind == ENUM { 2 } else { 3 };
                let named =
                    (0..ty.count as usize).all(|at| self.text(ty.word(at * step)).is_some());
                if named {
                    Ok(())
                } else {
                    Err(bad("has a value without proper name"))
                }
            }
            PTR => plain(size),
            TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => {
                plain(size)?;
                self.resolve(size)
                    .map(drop)
                    .ok_or_else(|| bad("refers to itself"))
            }
            FWD => Ok(()),
            ARRAY => {
                let (element, _) = ty.array();
                plain(ty.word(1))?;
                sized(element)?;
                self.size(id as u32)
                    .map(drop)
                    .ok_or_else(|| bad("is too large"))
            }
            STRUCT | UNION if size <= limits::BTF_STRUCT_BYTES => {
                for member in ty.members() {
                    self.check_member(id, size, member)?;
                }
                Ok(())
            }
            FUNC => match self.get(size) {
                Some(prototype) if prototype.kind == FUNC_PROTO => Ok(()),
                _ => Err(bad("is a function without prototype")),
            },
            FUNC_PROTO => {
                plain(size)?;
                for parameter in 0..ty.count as usize {
                    self.text(ty.word(parameter * 2))
                        .ok_or_else(|| bad("has a bad parameter"))?;
                    plain(ty.word(parameter * 2 + 1))?;
                }
                Ok(())
            }
            VAR => plain(size),
            DATASEC => {
                let holds = |at: usize| self.get(ty.word(at * 3)).map(|entry| entry.kind);
                if (0..ty.count as usize).all(|at| matches!(holds(at), Some(VAR | FUNC))) {
                    Ok(())
                } else {
                    Err(bad("holds something that is no variable"))
                }
            }
            DECL_TAG if size != 0 && self.get(size).is_some() => Ok(()),
            _ => Err(bad("has an impossible size")),
        }
    }

    fn check_member(&self, id: usize, size: u32, member: Member) -> Result<(), CompileError> {
        let bad = |what: &str| malformed(format!("a member of type {id} {what}"));
        if self.text(member.name).is_none() {
            return Err(bad("has no proper name"));
        }
        if !self.is_plain(member.type_id) || member.bit_offset / 8 > size {
            return Err(bad("lies outside"));
        }
        // The last member may be an array of unknown length: size 0.
        let bytes = self
            .size(member.type_id)
            .ok_or_else(|| bad("has no size"))?;
        let (_, ty) = self
            .resolve(member.type_id)
            .ok_or_else(|| bad("has no type"))?;
        if member.bits > 0
            && (!matches!(ty.kind, INT | ENUM | ENUM64) || bytes > 8 || member.bits > bytes * 8)
        {
            return Err(bad("is an impossible bit field"));
        }
        Ok(())
    }
}

fn read_types(bytes: &[u8]) -> Result<Vec<Type<'_>>, CompileError> {
    let void = Type {
        name: 0,
        kind: 0,
        count: 0,
        flag: false,
        size_or_type: 0,
        rest: &[],
    };
    let mut types = vec![void];
    let mut open = bytes;
    while !open.is_empty() {
        let id = types.len();
        if id > limits::BTF_TYPES {
            return Err(CompileError::Limit {
                what: "types",
                limit: limits::BTF_TYPES as u64,
            });
        }
        let short = || malformed(format!("type {id} ends beyond the section"));
        let word = |offset| u32_at(open, offset).ok_or_else(short);
        let (name, info, size_or_type) = (word(0)?, word(4)?, word(8)?);
        let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
        let rest = match kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * count as usize,
            ENUM | FUNC_PROTO => 8 * count as usize,
            PTR | FWD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNC | FLOAT | TYPE_TAG => 0,
            other => return Err(malformed(format!("type {id} is of unknown kind {other}"))),
        };
        let end = 12 + rest;
        let rest = open.get(12..end).ok_or_else(short)?;
        types.push(Type {
            name,
            kind,
            count,
            flag: info >> 31 == 1,
            size_or_type,
            rest,
        });
        open = &open[end..];
    }
    Ok(types)
}
