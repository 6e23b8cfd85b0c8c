//! Writes down, as Rust, the instructions of every program of an object and which of them CO-RE relocates: what the
//! loader compares a compiled plan with.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Writes the templates of `object` to `file`.
pub(crate) fn write(object: &Path, file: &Path) -> Result<(), String> {
    let bytes = std::fs::read(object).map_err(|error| format!("{}: {error}", object.display()))?;
    let text = render(&bytes).ok_or_else(|| format!("{}: not as expected", object.display()))?;
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn render(bytes: &[u8]) -> Option<String> {
    let object = object::File::parse(bytes).ok()?;
    let section = |name| object.section_by_name(name)?.data().ok();
    let relocated = relocated(section(".BTF")?, section(".BTF.ext")?)?;
    let mut text = String::from("[\n");
    for symbol in object.symbols().filter(|symbol| symbol.is_global()) {
        if symbol.kind() != SymbolKind::Text {
            continue;
        }
        let section = object.section_by_index(symbol.section_index()?).ok()?;
        let name = section.name().ok()?;
        let none = Vec::new();
        // Programs without subprograms and maps: a section is its instructions.
        let (instructions, relocated) =
            (section.data().ok()?, relocated.get(name).unwrap_or(&none));
        writeln!(
            text,
            "    Template {{ name: {:?}, section: {name:?}, instructions: &{instructions:?}, relocated: &{relocated:?} }},",
            symbol.name().ok()?,
        )
        .ok()?;
    }
    text.push(']');
    Some(text)
}

/// Indices of relocated instructions, by section. The format is that of Documentation/bpf/btf.rst.
fn relocated(btf: &[u8], ext: &[u8]) -> Option<BTreeMap<String, Vec<u32>>> {
    // Both headers: magic, version, flags; their length; then offsets from their end and lengths.
    let strings = word(btf, 4)? + word(btf, 16)?;
    let header = word(ext, 4)?;
    let (mut at, length) = (header + word(ext, 24)?, word(ext, 28)?);
    let end = at + length;
    let record = word(ext, at)?;
    at += 4;
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    while at < end {
        let (name, count) = (word(ext, at)?, word(ext, at + 4)?);
        let section = found.entry(text(btf, strings + name)?).or_default();
        at += 8;
        for _ in 0..count {
            section.push(u32::try_from(word(ext, at)? / 8).ok()?);
            at += record;
        }
    }
    for section in found.values_mut() {
        section.sort_unstable();
        section.dedup();
    }
    Some(found)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

fn text(bytes: &[u8], at: usize) -> Option<String> {
    let bytes = bytes.get(at..)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}
