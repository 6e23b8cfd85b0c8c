//! Rewrites an object so that the parser behind us takes it whatever its sections are called.
//!
//! The parser knows fewer section names than authors use and gives up on the whole object at the first other one. Its
//! own idea of what a section means is not used ([`super::sections`] decides that), so every section that is kept gets
//! a neutral name of the right family, unique by its index, and every other section is taken out of the table. The
//! file keeps its layout: names, BTF and .BTF.ext are appended, headers are pointed at them.

use super::btf::Btf;
use super::btf_ext::BtfExt;
use super::btf_rewrite::Layout;
use super::core::WholeField;
use super::elements;
use super::elf::{Elf, Role, SECTION_HEADER_BYTES, SymbolKind};
use super::error::CompileError;
use super::functions::Functions;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const SYMBOL_BYTES: usize = 24;
const TYPE_REL: u32 = 9;
/// `SHN_ABS`: the symbol stands for a number.
const ABSOLUTE: u16 = 0xfff1;

/// The rewritten object.
#[derive(Debug)]
pub(super) struct Normalised<'a> {
    /// An ELF file.
    pub(super) bytes: Vec<u8>,
    /// Whether the kernel's types are needed.
    pub(super) needs_kernel_btf: bool,
    /// Fields of the kernel that instructions load or store as a whole.
    pub(super) whole_fields: BTreeSet<WholeField>,
    /// Types of data sections by name.
    pub(super) data_sections: HashMap<&'a str, u32>,
}

/// Rewrites `elf`, keeping the sections that hold a function of `kept`, and all maps and data.
pub(super) fn normalise<'a>(
    elf: &Elf<'_>,
    functions: &Functions<'_>,
    btf: Option<&'a Btf<'_>>,
    kept: &BTreeSet<usize>,
) -> Result<Normalised<'a>, CompileError> {
    let code: BTreeSet<usize> = kept
        .iter()
        .map(|index| functions.get(*index).section)
        .collect();
    let new_names: BTreeMap<usize, String> = elf
        .sections
        .iter()
        .enumerate()
        .filter_map(|(index, section)| Some((index, new_name(index, section.role, &code)?)))
        .collect();

    let ext = match (btf, elf.with_role(Role::BtfExt)) {
        (Some(btf), Some((_, section))) => {
            let context = super::btf_ext::Context {
                elf,
                btf,
                functions,
                kept,
            };
            Some(BtfExt::choose(section.data, &context)?)
        }
        _ => None,
    };
    let code_names: Vec<String> = code
        .iter()
        .filter_map(|index| new_names.get(index).cloned())
        .collect();
    let rewritten = btf.map(|btf| btf.rewrite(&layout(elf, functions, btf), &code_names));

    let mut image = Image::new(elf);
    for (index, section) in elf.sections.iter().enumerate() {
        let target = section.info as usize;
        match new_names.get(&index) {
            Some(name) => image.keep(index, name, section.role),
            None if index == elf.symbol_table || index == elf.names => {}
            None if elf.sections[elf.symbol_table].link as usize == index => {}
            None if section.kind == TYPE_REL && code.contains(&target) => {}
            None => image.remove(index),
        }
    }
    image.hide_symbols_without_map(elf);
    let needs_kernel_btf = ext.as_ref().is_some_and(BtfExt::has_core_relocations);
    let whole_fields = ext
        .as_ref()
        .map(|ext| ext.whole_fields.clone())
        .unwrap_or_default();
    if let (Some(rewritten), Some((index, _))) = (&rewritten, elf.with_role(Role::Btf)) {
        image.replace(index, &rewritten.bytes);
        let offsets = code
            .iter()
            .copied()
            .zip(rewritten.name_offsets.iter().copied())
            .collect();
        if let (Some(ext), Some((index, _))) = (ext, elf.with_role(Role::BtfExt)) {
            image.replace(index, &ext.to_bytes(&offsets));
        }
    }
    Ok(Normalised {
        bytes: image.finish(elf.names),
        needs_kernel_btf,
        whole_fields,
        data_sections: rewritten
            .map(|rewritten| rewritten.data_sections)
            .unwrap_or_default(),
    })
}

/// The name under which a section is kept, if it is.
fn new_name(index: usize, role: Role, code: &BTreeSet<usize>) -> Option<String> {
    match role {
        Role::Text | Role::Program if !code.contains(&index) => None,
        Role::Text => Some(format!(".text.{index}")),
        Role::Program => Some(format!("classifier/{index}")),
        Role::Data => Some(format!(".data.{index}")),
        Role::ReadOnlyData => Some(format!(".rodata.{index}")),
        Role::ZeroData => Some(format!(".bss.{index}")),
        // The type information speaks of it by this name.
        Role::Maps => Some(".maps".to_owned()),
        Role::LegacyMaps => Some(format!("maps.{index}")),
        Role::Btf => Some(".BTF".to_owned()),
        Role::BtfExt => Some(".BTF.ext".to_owned()),
        Role::License | Role::Other => None,
    }
}

fn layout<'a>(elf: &Elf<'a>, functions: &Functions<'a>, btf: &Btf<'_>) -> Layout<'a> {
    let mut layout = Layout {
        unnamed: elements::arrays_of_programs(btf).into_iter().collect(),
        ..Layout::default()
    };
    for section in elf
        .sections
        .iter()
        .filter(|section| !section.role.is_code())
    {
        let size = u32::try_from(section.size).unwrap_or_default();
        layout.sections.entry(section.name).or_insert(size);
    }
    for symbol in &elf.symbols {
        let section = symbol.section.and_then(|section| elf.sections.get(section));
        if let (SymbolKind::Object, Some(section), Ok(value)) =
            (symbol.kind, section, u32::try_from(symbol.value))
        {
            layout.symbols.insert((section.name, symbol.name), value);
        }
    }
    layout.hidden = functions
        .all()
        .filter(|(_, function)| function.hidden)
        .map(|(_, function)| function.name)
        .collect();
    layout
}

/// The file that is being rewritten.
struct Image {
    bytes: Vec<u8>,
    names: Vec<u8>,
    headers: usize,
}

impl Image {
    fn new(elf: &Elf<'_>) -> Self {
        let mut image = Self {
            bytes: elf.bytes.to_vec(),
            names: elf.sections[elf.names].data.to_vec(),
            headers: elf.headers,
        };
        // An object has no program headers: readers shall not look for them.
        image.put(32, &0_u64.to_le_bytes());
        image.put(54, &0_u32.to_le_bytes());
        image
    }

    /// Writes over what is there; [`Elf::parse`] has found all tables to lie inside the file.
    fn put(&mut self, offset: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(offset..offset + value.len()) {
            place.copy_from_slice(value);
        }
    }

    fn header(&self, index: usize) -> usize {
        self.headers + index * SECTION_HEADER_BYTES
    }

    fn keep(&mut self, index: usize, name: &str, role: Role) {
        let header = self.header(index);
        let offset = self.names.len() as u32;
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        // Allocated, and executable or writable.
        let flags: u64 = match role {
            role if role.is_code() => 2 | 4,
            role if role.is_data() => 2 | 1,
            _ => 0,
        };
        self.put(header, &offset.to_le_bytes());
        self.put(header + 8, &flags.to_le_bytes());
        self.put(header + 16, &0_u64.to_le_bytes());
    }

    fn remove(&mut self, index: usize) {
        self.put(self.header(index), &[0; SECTION_HEADER_BYTES]);
    }

    /// Points a section at new contents, which are appended.
    fn replace(&mut self, index: usize, contents: &[u8]) {
        let aligned = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(aligned, 0);
        let header = self.header(index);
        self.put(header + 24, &(aligned as u64).to_le_bytes());
        self.put(header + 32, &(contents.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(contents);
    }

    /// The parser takes every symbol of a section of old-style maps for a map, that of the section itself included.
    fn hide_symbols_without_map(&mut self, elf: &Elf<'_>) {
        let table = super::bytes::u64_at(&self.bytes, self.header(elf.symbol_table) + 24);
        let Some(table) = table.and_then(|offset| usize::try_from(offset).ok()) else {
            return;
        };
        for (index, symbol) in elf.symbols.iter().enumerate() {
            let in_maps = symbol
                .section
                .is_some_and(|section| elf.sections[section].role == Role::LegacyMaps);
            if in_maps && symbol.kind != SymbolKind::Object {
                self.put(table + index * SYMBOL_BYTES + 6, &ABSOLUTE.to_le_bytes());
            }
        }
    }

    fn finish(mut self, names: usize) -> Vec<u8> {
        let table = std::mem::take(&mut self.names);
        self.replace(names, &table);
        self.bytes
    }
}
