//! `.BTF.ext`: records about instructions. Those of the functions that are kept are written into a new section, under
//! the new names of their sections, in the order and completeness that the kernel demands.

use super::btf::{Btf, FUNC};
use super::bytes::{range, text_at, u16_at, u32_at};
use super::core::{self, WholeField};
use super::elf::Elf;
use super::error::CompileError;
use super::functions::{Functions, INSTRUCTION};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const MAGIC: u16 = 0xeb9f;
/// Header with the fields of CO-RE relocations.
const HEADER_BYTES: u32 = 32;
/// Where offset and length of each table stand in the header, and the words of a record that are known.
const TABLES: [(Table, usize, usize); 3] = [
    (Table::Functions, 8, 2),
    (Table::Lines, 16, 4),
    (Table::Core, 24, 4),
];

fn malformed(what: impl Into<String>) -> CompileError {
    CompileError::Btf(format!("in .BTF.ext {}", what.into()))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Table {
    Functions,
    Lines,
    Core,
}

/// Records of one table by section; a record is as long as [`TABLES`] says.
type Records = BTreeMap<usize, Vec<Vec<u32>>>;

/// What is known when the records are chosen.
pub(super) struct Context<'c, 'a> {
    pub(super) elf: &'c Elf<'a>,
    pub(super) btf: &'c Btf<'a>,
    pub(super) functions: &'c Functions<'a>,
    /// Functions that are kept.
    pub(super) kept: &'c BTreeSet<usize>,
}

/// The chosen records.
#[derive(Debug)]
pub(super) struct BtfExt {
    tables: [Records; 3],
    /// Fields that instructions load or store as a whole.
    pub(super) whole_fields: BTreeSet<WholeField>,
}

impl BtfExt {
    /// Chooses and checks the records of the kept functions.
    pub(super) fn choose(bytes: &[u8], context: &Context<'_, '_>) -> Result<Self, CompileError> {
        let header = u32_at(bytes, 4).ok_or_else(|| malformed("there is no header"))?;
        if u16_at(bytes, 0) != Some(MAGIC) || header < 24 {
            return Err(malformed("there is no header"));
        }
        let sections: HashMap<&str, usize> = context
            .elf
            .sections
            .iter()
            .enumerate()
            .filter(|(_, section)| section.role.is_code())
            .map(|(index, section)| (section.name, index))
            .collect();
        let mut whole_fields = BTreeSet::new();
        let mut tables = [Records::new(), Records::new(), Records::new()];
        for ((table, at, words), records) in TABLES.into_iter().zip(&mut tables) {
            // Headers of old have no CO-RE fields.
            if header < at as u32 + 8 {
                continue;
            }
            let field = |at| u32_at(bytes, at).ok_or_else(|| malformed("the header is cut off"));
            let (offset, length) = (field(at)?, field(at + 4)?);
            let data = range(
                bytes,
                u64::from(header) + u64::from(offset),
                u64::from(length),
            )
            .ok_or_else(|| malformed("a table lies outside"))?;
            *records = read(data, words, context, &sections)?;
            for (section, rows) in records.iter_mut() {
                keep(table, *section, rows, context)?;
                if table == Table::Core {
                    whole_fields.append(&mut check_core(*section, rows, context)?);
                }
            }
        }
        Ok(Self {
            tables,
            whole_fields,
        })
    }

    /// Whether the kernel's types are needed.
    pub(super) fn has_core_relocations(&self) -> bool {
        self.tables[2].values().any(|rows| !rows.is_empty())
    }

    /// The section again; `names` gives the offset of each section's new name in the strings of the BTF.
    pub(super) fn to_bytes(&self, names: &BTreeMap<usize, u32>) -> Vec<u8> {
        let mut header = vec![];
        header.extend_from_slice(&MAGIC.to_le_bytes());
        header.extend_from_slice(&[1, 0]);
        header.extend_from_slice(&HEADER_BYTES.to_le_bytes());
        let mut body: Vec<u8> = vec![];
        for ((_, _, words), records) in TABLES.into_iter().zip(&self.tables) {
            let start = body.len();
            let mut push = |word: u32| body.extend_from_slice(&word.to_le_bytes());
            let filled = records.iter().filter(|(_, rows)| !rows.is_empty());
            for (position, (section, rows)) in filled.enumerate() {
                if position == 0 {
                    push(words as u32 * 4);
                }
                push(names.get(section).copied().unwrap_or_default());
                push(rows.len() as u32);
                rows.iter().flatten().for_each(|word| push(*word));
            }
            // All of it comes from an object of bounded size.
            header.extend_from_slice(&(start as u32).to_le_bytes());
            header.extend_from_slice(&((body.len() - start) as u32).to_le_bytes());
        }
        header.extend_from_slice(&body);
        header
    }
}

/// Reads the records of one table that belong to code of this object.
fn read(
    data: &[u8],
    words: usize,
    context: &Context<'_, '_>,
    sections: &HashMap<&str, usize>,
) -> Result<Records, CompileError> {
    let mut records = Records::new();
    if data.is_empty() {
        return Ok(records);
    }
    let cut = || malformed("a table is cut off");
    let size = u32_at(data, 0).ok_or_else(cut)? as usize;
    if size < words * 4 || !size.is_multiple_of(4) {
        return Err(malformed(format!("records have {size} bytes")));
    }
    let mut open = &data[4..];
    while !open.is_empty() {
        let name = u32_at(open, 0).ok_or_else(cut)?;
        let count = u32_at(open, 4).ok_or_else(cut)?;
        let length = u64::from(count) * size as u64;
        let rows = range(open, 8, length).ok_or_else(cut)?;
        open = &open[8 + rows.len()..];
        let name = text_at(context.btf.strings, name as usize)
            .ok_or_else(|| malformed("a section has no proper name"))?;
        let Some(section) = sections.get(name) else {
            continue;
        };
        let of_section = records.entry(*section).or_default();
        of_section.extend(rows.chunks_exact(size).map(|row| {
            (0..words)
                .map(|word| u32_at(row, word * 4).unwrap_or_default())
                .collect::<Vec<u32>>()
        }));
    }
    Ok(records)
}

/// Drops the records of functions that are not kept, and brings the others into order.
fn keep(
    table: Table,
    section: usize,
    rows: &mut Vec<Vec<u32>>,
    context: &Context<'_, '_>,
) -> Result<(), CompileError> {
    let kept: Vec<_> = context
        .kept
        .iter()
        .map(|index| context.functions.get(*index))
        .filter(|function| function.section == section)
        .collect();
    let holder = |row: &[u32]| {
        let offset = u64::from(row[0]);
        kept.iter()
            .find(|function| offset >= function.start && offset - function.start < function.size)
    };
    rows.retain(|row| u64::from(row[0]) % INSTRUCTION == 0 && holder(row).is_some());
    rows.sort_by_key(|row| row[0]);
    match table {
        Table::Functions => {
            rows.dedup_by_key(|row| row[0]);
            for row in rows.iter() {
                if context.btf.get(row[1]).is_none_or(|ty| ty.kind != FUNC) {
                    return Err(malformed("a function has no type"));
                }
            }
        }
        Table::Lines => {
            rows.dedup_by_key(|row| row[0]);
            let named = |row: &Vec<u32>| {
                context.btf.text(row[1]).is_some() && context.btf.text(row[2]).is_some()
            };
            if !rows.iter().all(named) {
                return Err(malformed("a line has no text"));
            }
            // The kernel wants a line for the first instruction of each function; compilers may leave it out.
            let mut starts = vec![];
            for function in &kept {
                let first = rows.iter().find(|row| {
                    let offset = u64::from(row[0]);
                    offset >= function.start && offset - function.start < function.size
                });
                if let Some(first) = first.filter(|row| u64::from(row[0]) != function.start) {
                    let mut start = first.clone();
                    // The offset of a record that lies behind it fits in 32 bits, so this does.
                    start[0] = function.start as u32;
                    starts.push(start);
                }
            }
            rows.extend(starts);
            rows.sort_by_key(|row| row[0]);
        }
        Table::Core => {}
    }
    Ok(())
}

/// Checks CO-RE relocations; returns the fields that are loaded or stored as a whole.
fn check_core(
    section: usize,
    rows: &[Vec<u32>],
    context: &Context<'_, '_>,
) -> Result<BTreeSet<WholeField>, CompileError> {
    let code = context.elf.sections[section].data;
    let mut fields = BTreeSet::new();
    for row in rows {
        // `keep` has found the offset inside a function, hence inside the section.
        let opcode = code.get(row[0] as usize).copied().unwrap_or_default();
        fields.extend(core::check(context.btf, [row[1], row[2], row[3]], opcode)?);
    }
    Ok(fields)
}
