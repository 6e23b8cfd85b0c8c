//! The functions that Go's runtime keeps a table of (`.gopclntab`): it stays in a binary whose symbols were stripped.
//!
//! The format of Go 1.18 and later (`pcHeader`, `functab` and `_func` in Go's `runtime/symtab.go` and `runtime2.go`): a header,
//! then at offsets that it names the names of functions and the functions in the order of their addresses. The table is
//! data from outside: every offset is checked, and what points beyond it is left out.

use crate::binary::{Binary, Headers};
use crate::symbols::name_at;
use ipc::messages::failure::Failure;
use object::read::elf::{FileHeader, SectionHeader as _};
use object::{Endian as _, Endianness};

/// The section; the second where code may be anywhere in memory.
const SECTIONS: [&[u8]; 2] = [b".gopclntab", b".data.rel.ro.gopclntab"];
/// The first word: of Go 1.18, and of 1.20 and later.
const MAGIC: [u32; 2] = [0xffff_fff0, 0xffff_fff1];
/// u32 magic, two bytes of padding, u8 instruction size, u8 pointer size.
const WORDS_AT: usize = 8;
/// Words behind it: functions, files, start of the code, names, compilation units, files, pc tables, functions.
const FUNCTIONS: usize = 0;
const CODE: usize = 2;
const NAMES_AT: usize = 3;
const FUNCTIONS_AT: usize = 7;
/// u32 address, u32 place of what is known about the function.
const ENTRY_BYTES: usize = 8;
/// Where a Go program begins: `_rt0_` with system and architecture.
const ENTRY_FUNCTION: &[u8] = b"_rt0_";

/// The table, and where its parts lie.
#[derive(Debug)]
pub(crate) struct GoFunctions {
    bytes: Vec<u8>,
    endian: Endianness,
    count: usize,
    names: usize,
    functions: usize,
    /// Address that those of functions are counted from.
    code: u64,
}

/// A function of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GoFunction<'t> {
    /// As Go's linker has it, for example `main.(*T).Method`.
    pub(crate) name: &'t [u8],
    /// Address of its first instruction.
    pub(crate) address: u64,
    /// Bytes up to the next function: the gap between them is not told from the code.
    pub(crate) size: u64,
}

impl GoFunctions {
    /// The table of a binary; `None` if it has none that can be read.
    pub(crate) fn read<H: FileHeader<Endian = Endianness>>(
        binary: &Binary<'_>,
    ) -> Result<Option<Self>, Failure> {
        let Headers { header, endian, .. } = binary.headers::<H>()?;
        let Ok(sections) = header.sections(endian, &binary.data) else {
            return Ok(None);
        };
        let named = |name| sections.section_by_name(endian, name);
        let Some((_, section)) = SECTIONS.into_iter().find_map(named) else {
            return Ok(None);
        };
        let bytes = binary.table(
            section.sh_offset(endian).into(),
            section.sh_size(endian).into(),
        )?;
        let text = named(b".text").map(|(_, text)| text.sh_addr(endian).into());
        Ok(Self::parse(
            bytes,
            endian,
            text,
            header.e_entry(endian).into(),
        ))
    }

    /// Of a program whose section `.text` begins at one address and which starts at another.
    fn parse(bytes: Vec<u8>, endian: Endianness, text: Option<u64>, entry: u64) -> Option<Self> {
        let magic = endian.read_u32(*bytes.first_chunk()?);
        let pointer = usize::from(*bytes.get(WORDS_AT - 1)?);
        if !MAGIC.contains(&magic) || !matches!(pointer, 4 | 8) {
            return None;
        }
        let word = |index: usize| {
            let rest = bytes.get(WORDS_AT + index * pointer..)?;
            Some(match pointer {
                4 => endian.read_u32(*rest.first_chunk()?).into(),
                _ => endian.read_u64(*rest.first_chunk()?),
            })
        };
        let place = |index| word(index).and_then(|place| usize::try_from(place).ok());
        let (count, names, functions) = (place(FUNCTIONS)?, place(NAMES_AT)?, place(FUNCTIONS_AT)?);
        let code = word(CODE)?;
        let mut table = Self {
            bytes,
            endian,
            count,
            names,
            functions,
            code,
        };
        if code == 0 {
            table.code = table.code_at(text?, entry)?;
        }
        Some(table)
    }

    /// Newer linkers leave the start of the code out. Alone, they put it at the start of `.text`; a C linker puts code of its
    /// own before it, and then the program does not start in Go either.
    fn code_at(&self, text: u64, entry: u64) -> Option<u64> {
        let start = self
            .iter()
            .find(|function| function.name.starts_with(ENTRY_FUNCTION))?;
        (text.checked_add(start.address) == Some(entry)).then_some(text)
    }

    /// All functions, in the order of their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = GoFunction<'_>> {
        let entries = self.bytes.get(self.functions..).unwrap_or_default();
        // Behind the last entry stands the end of its function.
        let count = self.count.min(entries.len() / ENTRY_BYTES);
        (0..count).filter_map(|index| self.function(index * ENTRY_BYTES))
    }

    fn function(&self, entry: usize) -> Option<GoFunction<'_>> {
        let entry = self.functions.checked_add(entry)?;
        let start = self.number(entry)?;
        let end = self.number(entry + ENTRY_BYTES)?;
        let about = self
            .functions
            .checked_add(self.number(entry + 4)? as usize)?;
        // u32 address, i32 name.
        let name = self.number(about.checked_add(4)?)? as usize;
        Some(GoFunction {
            name: name_at(&self.bytes, self.names.checked_add(name)?)?,
            address: self.code.checked_add(start.into())?,
            size: end.checked_sub(start)?.into(),
        })
    }

    fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(self.endian.read_u32(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 3] = ["main.(*T).Method", "_rt0_amd64_linux", "net/http.Serve"];
    const ENDIAN: Endianness = Endianness::Little;

    /// A table of three functions of 0x20 bytes each.
    fn table(pointer: u8, code: u64) -> Vec<u8> {
        let names = NAMES.join("\0") + "\0";
        let names_at = WORDS_AT + 8 * usize::from(pointer);
        let functions_at = names_at + names.len();
        let mut bytes = MAGIC[1].to_le_bytes().to_vec();
        bytes.extend([0, 0, 1, pointer]);
        let words = [3, 0, code, names_at as u64, 0, 0, 0, functions_at as u64];
        for word in words {
            bytes.extend(&word.to_le_bytes()[..usize::from(pointer)]);
        }
        bytes.extend(names.bytes());
        let about_at = NAMES.len() * ENTRY_BYTES + 4;
        for index in 0..NAMES.len() {
            bytes.extend((index as u32 * 0x20).to_le_bytes());
            bytes.extend(((about_at + index * 8) as u32).to_le_bytes());
        }
        bytes.extend((NAMES.len() as u32 * 0x20).to_le_bytes());
        let mut name = 0;
        for (index, text) in NAMES.iter().enumerate() {
            bytes.extend((index as u32 * 0x20).to_le_bytes());
            bytes.extend((name as u32).to_le_bytes());
            name += text.len() + 1;
        }
        bytes
    }

    fn function(index: usize, code: u64) -> GoFunction<'static> {
        GoFunction {
            name: NAMES[index].as_bytes(),
            address: code + index as u64 * 0x20,
            size: 0x20,
        }
    }

    #[test]
    fn functions_have_names_addresses_and_sizes() {
        for pointer in [4, 8] {
            let parsed = GoFunctions::parse(table(pointer, 0x1000), ENDIAN, None, 0).unwrap();
            let functions: Vec<_> = parsed.iter().collect();
            assert_eq!(functions, [0, 1, 2].map(|index| function(index, 0x1000)));
        }
    }

    #[test]
    fn code_is_where_text_is_if_the_program_starts_in_go() {
        let start = |text, entry| GoFunctions::parse(table(8, 0), ENDIAN, text, entry);
        let parsed = start(Some(0x4000), 0x4020).unwrap();
        assert_eq!(parsed.iter().next(), Some(function(0, 0x4000)));
        // The program starts with code of C.
        assert!(start(Some(0x4000), 0x4000).is_none());
        assert!(start(Some(u64::MAX), 0x1f).is_none());
        assert!(start(None, 0x4020).is_none());
    }

    #[test]
    fn other_tables_are_not_read() {
        let mut older = table(8, 0x1000);
        older[0] = 0xfa;
        let mut odd = table(8, 0x1000);
        odd[WORDS_AT - 1] = 2;
        for bytes in [older, odd, Vec::new(), vec![0xf1, 0xff, 0xff, 0xff]] {
            assert!(GoFunctions::parse(bytes, ENDIAN, None, 0).is_none());
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_harm(at in 0..table(8, 0x1000).len(), byte: u8, length in 0..=table(8, 0x1000).len()) {
            let mut bytes = table(8, 0x1000);
            bytes[at] = byte;
            bytes.truncate(length);
            if let Some(parsed) = GoFunctions::parse(bytes, ENDIAN, Some(0), 0) {
                prop_assert!(parsed.iter().count() <= length);
            }
        }
    }
}
