//! A view of the object's sections, symbols and relocations in which every offset and index is known to lie inside.

use super::bytes::{range, text_at, u16_at, u32_at, u64_at};
use super::error::CompileError;
use super::kconfig;
use crate::limits;
use ipc::limits::{NAME_BYTES, OBJECT_BYTES};
use std::collections::{HashMap, HashSet};

pub(super) const SECTION_HEADER_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;
const RELOCATION_BYTES: usize = 16;

const TYPE_SYMBOLS: u32 = 2;
const TYPE_RELA: u32 = 4;
pub(super) const TYPE_NO_BITS: u32 = 8;
const TYPE_REL: u32 = 9;
const FLAG_EXECUTABLE: u64 = 4;
const INDEX_RESERVED: u16 = 0xff00;
const INDEX_EXTENDED: u16 = 0xffff;

/// What a section is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Subprograms (`.text`).
    Text,
    /// Programs: any other executable section.
    Program,
    /// `.data` and `.data.*`.
    Data,
    /// `.rodata` and `.rodata.*`; `.kconfig`, which [`kconfig`] makes.
    ReadOnlyData,
    /// `.bss` and `.bss.*`.
    ZeroData,
    /// `.maps`: maps described by BTF.
    Maps,
    /// `maps`: maps described by the structure of old.
    LegacyMaps,
    /// `.BTF`.
    Btf,
    /// `.BTF.ext`.
    BtfExt,
    /// `license`.
    License,
    /// Nothing that a plan is made of.
    Other,
}

impl Role {
    fn of(name: &str, executable: bool, size: u64) -> Self {
        let family = |prefix: &str| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if executable {
            return match (size, family(".text")) {
                (0, _) => Role::Other,
                (_, true) => Role::Text,
                (_, false) => Role::Program,
            };
        }
        match name {
            ".maps" => Role::Maps,
            ".BTF" => Role::Btf,
            ".BTF.ext" => Role::BtfExt,
            "license" => Role::License,
            _ if name == "maps" || name.starts_with("maps/") => Role::LegacyMaps,
            _ if size == 0 => Role::Other,
            _ if family(".data") => Role::Data,
            _ if family(".rodata") || name == kconfig::SECTION => Role::ReadOnlyData,
            _ if family(".bss") => Role::ZeroData,
            _ => Role::Other,
        }
    }

    /// Whether the section holds instructions.
    pub(super) fn is_code(self) -> bool {
        matches!(self, Role::Text | Role::Program)
    }

    /// Whether the section becomes a map of one element.
    pub(super) fn is_data(self) -> bool {
        matches!(self, Role::Data | Role::ReadOnlyData | Role::ZeroData)
    }
}

/// One section.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) role: Role,
    pub(super) kind: u32,
    pub(super) size: u64,
    /// Empty for sections without bits.
    pub(super) data: &'a [u8],
    pub(super) link: u32,
    pub(super) info: u32,
}

/// Kinds of symbol that matter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SymbolKind {
    None,
    Object,
    Function,
    Section,
    Other,
}

/// One symbol.
#[derive(Debug)]
pub(super) struct Symbol<'a> {
    pub(super) name: &'a str,
    pub(super) kind: SymbolKind,
    /// Of a kind that the linker must not export: BTF calls such functions static.
    pub(super) hidden: bool,
    /// Where it is defined.
    pub(super) section: Option<usize>,
    pub(super) value: u64,
    pub(super) size: u64,
}

/// One relocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relocation {
    pub(super) kind: u32,
    pub(super) symbol: usize,
}

/// The object.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) sections: Vec<Section<'a>>,
    pub(super) symbols: Vec<Symbol<'a>>,
    /// Offset of the section headers in the file.
    pub(super) headers: usize,
    /// Index of the section that holds the names of sections.
    pub(super) names: usize,
    /// Index of the symbol table.
    pub(super) symbol_table: usize,
    /// By section: relocations by offset.
    relocations: HashMap<usize, HashMap<u64, Relocation>>,
}

fn truncated(what: impl Into<String>) -> CompileError {
    CompileError::Truncated(what.into())
}

fn malformed(what: impl Into<String>) -> CompileError {
    CompileError::Malformed(what.into())
}

impl<'a> Elf<'a> {
    /// Reads the tables of an object that passed [`super::check::check`].
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CompileError> {
        let header = || truncated("the ELF header");
        let headers = u64_at(bytes, 40).ok_or_else(header)?;
        let header_size = u16_at(bytes, 58).ok_or_else(header)?;
        let count = u16_at(bytes, 60).ok_or_else(header)?;
        let names = u16_at(bytes, 62).ok_or_else(header)?;
        if bytes.len() < 64 {
            return Err(header());
        }
        if usize::from(header_size) != SECTION_HEADER_BYTES {
            return Err(malformed(format!("section headers of {header_size} bytes")));
        }
        if count == 0 || names >= INDEX_RESERVED || names >= count {
            return Err(malformed("it has no section names"));
        }
        if usize::from(count) > limits::SECTIONS {
            return Err(CompileError::Limit {
                what: "sections",
                limit: limits::SECTIONS as u64,
            });
        }
        let table = range(
            bytes,
            headers,
            u64::from(count) * SECTION_HEADER_BYTES as u64,
        )
        .ok_or_else(|| truncated("the section table"))?;
        if headers % 8 != 0 {
            return Err(malformed("the section table is not aligned"));
        }
        let names = usize::from(names);
        let name_table = table
            .chunks_exact(SECTION_HEADER_BYTES)
            .nth(names)
            .and_then(|header| range(bytes, u64_at(header, 24)?, u64_at(header, 32)?))
            .ok_or_else(|| truncated("the table of section names"))?;
        let sections = table
            .chunks_exact(SECTION_HEADER_BYTES)
            .enumerate()
            .map(|(index, header)| section(bytes, name_table, index, header))
            .collect::<Result<Vec<_>, _>>()?;
        check_roles(&sections)?;

        let mut tables = sections
            .iter()
            .enumerate()
            .filter(|(_, section)| section.kind == TYPE_SYMBOLS);
        let (symbol_table, table) = tables
            .next()
            .ok_or_else(|| malformed("it has no symbols"))?;
        if tables.next().is_some() {
            return Err(malformed("it has more than one symbol table"));
        }
        let symbols = symbols(&sections, table)?;
        let relocations = relocations(&sections, symbol_table, symbols.len())?;
        // `headers` was found to lie inside, hence fits.
        let headers = headers as usize;
        Ok(Self {
            bytes,
            sections,
            symbols,
            headers,
            names,
            symbol_table,
            relocations,
        })
    }

    /// The only section with this role, if there is one.
    pub(super) fn with_role(&self, role: Role) -> Option<(usize, &Section<'a>)> {
        self.sections
            .iter()
            .enumerate()
            .find(|(_, section)| section.role == role)
    }

    /// The relocations of a section by offset.
    pub(super) fn relocations(&self, section: usize) -> Option<&HashMap<u64, Relocation>> {
        self.relocations.get(&section)
    }

    /// The license as the author wrote it; empty when there is none.
    pub(super) fn license(&self) -> String {
        let data = self
            .with_role(Role::License)
            .map_or(&[][..], |(_, section)| section.data);
        let end = data
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(data.len())
            .min(NAME_BYTES);
        String::from_utf8_lossy(&data[..end]).into_owned()
    }
}

fn section<'a>(
    bytes: &'a [u8],
    names: &'a [u8],
    index: usize,
    header: &[u8],
) -> Result<Section<'a>, CompileError> {
    // A header is exactly 64 bytes long: every field below lies inside it.
    let word = |offset| u32_at(header, offset).unwrap_or_default();
    let long = |offset| u64_at(header, offset).unwrap_or_default();
    let (kind, size) = (word(4), long(32));
    if kind == 0 {
        let empty: &[u8] = &[];
        return Ok(Section {
            name: "",
            role: Role::Other,
            kind,
            size: 0,
            data: empty,
            link: 0,
            info: 0,
        });
    }
    let name = text_at(names, word(0) as usize)
        .ok_or_else(|| malformed(format!("section {index} has no name")))?;
    if name.len() > NAME_BYTES {
        return Err(CompileError::Limit {
            what: "bytes in a section name",
            limit: NAME_BYTES as u64,
        });
    }
    let data = if kind == TYPE_NO_BITS {
        &[]
    } else {
        range(bytes, long(24), size).ok_or_else(|| truncated(format!("section \"{name}\"")))?
    };
    let role = Role::of(name, long(8) & FLAG_EXECUTABLE != 0, size);
    Ok(Section {
        name,
        role,
        kind,
        size,
        data,
        link: word(40),
        info: word(44),
    })
}

fn check_roles(sections: &[Section<'_>]) -> Result<(), CompileError> {
    let mut seen = HashSet::new();
    let mut zeroes = 0_u64;
    for section in sections {
        let name = section.name;
        if section.role != Role::Other && !seen.insert(name) {
            return Err(malformed(format!("it has two sections \"{name}\"")));
        }
        match section.role {
            Role::Other => {}
            Role::ZeroData if section.kind == TYPE_NO_BITS => {
                zeroes = zeroes.saturating_add(section.size)
            }
            Role::ZeroData => return Err(malformed(format!("section \"{name}\" has contents"))),
            _ if section.kind == TYPE_NO_BITS => {
                return Err(malformed(format!("section \"{name}\" has no contents")));
            }
            _ => {}
        }
    }
    if zeroes > OBJECT_BYTES {
        return Err(CompileError::Limit {
            what: "bytes in .bss",
            limit: OBJECT_BYTES,
        });
    }
    Ok(())
}

fn symbols<'a>(
    sections: &[Section<'a>],
    table: &Section<'a>,
) -> Result<Vec<Symbol<'a>>, CompileError> {
    if !table.data.len().is_multiple_of(SYMBOL_BYTES) {
        return Err(malformed("the symbol table ends within a symbol"));
    }
    if table.data.len() / SYMBOL_BYTES > limits::SYMBOLS {
        return Err(CompileError::Limit {
            what: "symbols",
            limit: limits::SYMBOLS as u64,
        });
    }
    let names = sections
        .get(table.link as usize)
        .ok_or_else(|| malformed("the symbol table has no names"))?
        .data;
    let symbol = |(index, entry): (usize, &[u8])| {
        // An entry is exactly 24 bytes long: every field below lies inside it.
        let name = text_at(names, u32_at(entry, 0).unwrap_or_default() as usize)
            .filter(|name| name.len() <= NAME_BYTES)
            .ok_or_else(|| malformed(format!("symbol {index} has no proper name")))?;
        let section = match u16_at(entry, 6).unwrap_or_default() {
            0 => None,
            INDEX_EXTENDED => return Err(malformed(format!("symbol \"{name}\" has no section"))),
            reserved if reserved >= INDEX_RESERVED => None,
            section if usize::from(section) < sections.len() => Some(usize::from(section)),
            _ => return Err(malformed(format!("symbol \"{name}\" lies in no section"))),
        };
        let kind = match entry[4] & 0xf {
            0 => SymbolKind::None,
            1 => SymbolKind::Object,
            2 => SymbolKind::Function,
            3 => SymbolKind::Section,
            // An indirect function, which parsers take for a function.
            10 => {
                return Err(malformed(format!(
                    "symbol \"{name}\" is an indirect function"
                )));
            }
            _ => SymbolKind::Other,
        };
        Ok(Symbol {
            name,
            kind,
            hidden: matches!(entry[5] & 3, 1 | 2),
            section,
            value: u64_at(entry, 8).unwrap_or_default(),
            size: u64_at(entry, 16).unwrap_or_default(),
        })
    };
    table
        .data
        .chunks_exact(SYMBOL_BYTES)
        .enumerate()
        .map(symbol)
        .collect()
}

/// Relocations of code and of map definitions; those of type and debug information are of no use here.
fn relocations(
    sections: &[Section<'_>],
    symbol_table: usize,
    symbols: usize,
) -> Result<HashMap<usize, HashMap<u64, Relocation>>, CompileError> {
    let mut found: HashMap<usize, HashMap<u64, Relocation>> = HashMap::new();
    for section in sections {
        let name = section.name;
        if !matches!(section.kind, TYPE_REL | TYPE_RELA) {
            continue;
        }
        let target = section.info as usize;
        let relevant = sections
            .get(target)
            .is_some_and(|target| target.role.is_code() || target.role == Role::Maps);
        if !relevant {
            continue;
        }
        if section.kind == TYPE_RELA {
            return Err(malformed(format!(
                "section \"{name}\" has relocations with addends"
            )));
        }
        if section.link as usize != symbol_table {
            return Err(malformed(format!(
                "section \"{name}\" refers to another symbol table"
            )));
        }
        if !section.data.len().is_multiple_of(RELOCATION_BYTES) {
            return Err(malformed(format!(
                "section \"{name}\" ends within a relocation"
            )));
        }
        let of_target = found.entry(target).or_default();
        for entry in section.data.chunks_exact(RELOCATION_BYTES) {
            // An entry is exactly 16 bytes long: every field below lies inside it.
            let offset = u64_at(entry, 0).unwrap_or_default();
            let kind = u32_at(entry, 8).unwrap_or_default();
            let symbol = u32_at(entry, 12).unwrap_or_default() as usize;
            if symbol == 0 || symbol >= symbols {
                return Err(malformed(format!(
                    "section \"{name}\" refers to symbol {symbol}"
                )));
            }
            if of_target
                .insert(offset, Relocation { kind, symbol })
                .is_some()
            {
                return Err(malformed(format!(
                    "section \"{name}\" relocates {offset:#x} twice"
                )));
            }
        }
    }
    Ok(found)
}
