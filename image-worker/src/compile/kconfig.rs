//! Variables that have their values from the kernel: `extern … __kconfig`.
//!
//! An object names them and defines none. Those that are known are defined here, with their values, in a section that is
//! appended to the object: from then on they are read-only data like any other. What stays undefined is an error of the
//! programs that use it alone.

use super::btf::{Btf, DATASEC, ENUM, INT, VAR};
use super::bytes::{u16_at, u64_at};
use super::elf::{Elf, SECTION_HEADER_BYTES};
use super::error::CompileError;
use super::kernel_btf::KernelBtf;
use crate::limits;
use ipc::messages::program::GlobalValue;
use std::collections::HashMap;

/// Name of the section in objects' type information, and of the map.
pub(super) const SECTION: &str = ".kconfig";
const SYMBOL_BYTES: usize = 24;
/// `STB_WEAK`: the program can do without.
const WEAK: u8 = 2;
/// `STT_OBJECT`.
const OBJECT: u8 = 1;
const PROGBITS: u32 = 1;
/// `SHF_ALLOC`.
const ALLOCATED: u64 = 2;
/// Every value is aligned as the largest number is.
const ALIGNMENT: usize = 8;

/// The function of bpf(2) on this processor, by its name where the kernel has wrappers for system calls.
#[cfg(target_arch = "x86_64")]
const WRAPPED: &str = "__x64_sys_bpf";
#[cfg(target_arch = "aarch64")]
const WRAPPED: &str = "__arm64_sys_bpf";
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const WRAPPED: &str = "";

/// A variable that gets a value.
struct Variable {
    /// Index of its symbol.
    symbol: usize,
    bytes: Vec<u8>,
}

/// Sizes of the variables by name, and whether they are numbers.
type Declared<'b> = HashMap<&'b str, (u32, bool)>;

/// The object with the variables that are known; `None` when it names none.
pub(super) fn define(
    elf: &Elf<'_>,
    btf: Option<&Btf<'_>>,
    globals: &[GlobalValue],
    kernel: &mut dyn KernelBtf,
) -> Result<Option<Vec<u8>>, CompileError> {
    let declared = btf.map(declared).unwrap_or_default();
    if declared.is_empty() {
        return Ok(None);
    }
    let variables = variables(elf, &declared, globals, kernel)?;
    Ok((!variables.is_empty()).then(|| with_section(elf, &variables)))
}

/// Those that get a value.
fn variables(
    elf: &Elf<'_>,
    declared: &Declared<'_>,
    globals: &[GlobalValue],
    kernel: &mut dyn KernelBtf,
) -> Result<Vec<Variable>, CompileError> {
    let table = elf.sections[elf.symbol_table].data;
    let mut kernel = Kernel {
        types: kernel,
        section: None,
    };
    let mut variables = Vec::new();
    let mut total = 0;
    for (index, symbol) in elf.symbols.iter().enumerate().skip(1) {
        let entry = &table[index * SYMBOL_BYTES..];
        if u16_at(entry, 6) != Some(0) {
            continue;
        }
        let Some((size, is_number)) = declared.get(symbol.name) else {
            continue;
        };
        // A value of the request is written later, as that of any variable.
        let is_given = globals.iter().any(|global| global.name == symbol.name);
        let number = match kernel.value(symbol.name)? {
            Some(value) if *is_number => value,
            None if entry[4] >> 4 == WEAK || is_given => 0,
            _ => continue,
        };
        let size = *size as usize;
        total += size.next_multiple_of(ALIGNMENT);
        if total > limits::KCONFIG_BYTES {
            return Err(CompileError::Limit {
                what: "bytes of variables of the kernel's configuration",
                limit: limits::KCONFIG_BYTES as u64,
            });
        }
        let mut bytes = number.to_le_bytes().to_vec();
        if bytes.iter().skip(size).any(|byte| *byte != 0) {
            return Err(CompileError::Malformed(format!(
                "variable \"{}\" has {size} bytes, its value does not fit",
                symbol.name
            )));
        }
        bytes.resize(size, 0);
        variables.push(Variable {
            symbol: index,
            bytes,
        });
    }
    Ok(variables)
}

fn declared<'b>(btf: &'b Btf<'_>) -> Declared<'b> {
    let sections = btf.types.iter().filter(|ty| ty.kind == DATASEC);
    sections
        .filter(|ty| btf.text(ty.name) == Some(SECTION))
        .flat_map(|ty| (0..ty.count as usize).map(|at| ty.word(at * 3)))
        .filter_map(|id| btf.get(id).filter(|variable| variable.kind == VAR))
        .filter_map(|variable| {
            let size = btf.size(variable.size_or_type).filter(|size| *size > 0)?;
            let (_, ty) = btf.resolve(variable.size_or_type)?;
            let is_number = matches!(ty.kind, INT | ENUM) && size <= 8;
            Some((btf.text(variable.name)?, (size, is_number)))
        })
        .collect()
}

/// What the values are made of.
struct Kernel<'k> {
    types: &'k mut dyn KernelBtf,
    section: Option<Vec<u8>>,
}

impl Kernel<'_> {
    /// The value of a variable; `None` for those that only the kernel's configuration file would tell.
    fn value(&mut self, name: &str) -> Result<Option<u64>, CompileError> {
        Ok(match name {
            "LINUX_KERNEL_VERSION" => Some(version()),
            "LINUX_HAS_BPF_COOKIE" => Some(self.has("BPF_FUNC_get_attach_cookie")?.into()),
            "LINUX_HAS_SYSCALL_WRAPPER" => Some(self.has(WRAPPED)?.into()),
            _ => None,
        })
    }

    /// Whether something in the kernel has this name: its types list functions, and helpers by their enumeration.
    fn has(&mut self, name: &str) -> Result<bool, CompileError> {
        let section = match self.section.take() {
            Some(section) => section,
            None => self.types.section()?,
        };
        let section = self.section.insert(section);
        let btf = Btf::strings_of(section)
            .ok_or_else(|| CompileError::KernelBtf("it has no strings".to_owned()))?;
        Ok(!name.is_empty()
            && btf
                .split(|byte| *byte == 0)
                .any(|text| text == name.as_bytes()))
    }
}

/// The running kernel's version as `KERNEL_VERSION(a, b, c)` has it.
fn version() -> u64 {
    let kernel = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    parse_version(&text(kernel.release()), &text(kernel.version()))
}

/// Debian's releases are named after the first of a series; which one it is stands behind its name.
fn parse_version(release: &str, version: &str) -> u64 {
    let of_debian = version.split_once("Debian ").map(|(_, rest)| rest);
    let numbers = of_debian.unwrap_or(release);
    let mut parts = numbers
        .split(|letter: char| !letter.is_ascii_digit())
        .map(|part| part.parse::<u64>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0).min(255);
    (next() << 16) + (next() << 8) + next()
}

/// The object with a section more, in which the variables lie.
fn with_section(elf: &Elf<'_>, variables: &[Variable]) -> Vec<u8> {
    let index = elf.sections.len() as u16;
    let mut bytes = elf.bytes.to_vec();
    // `Elf::parse` has found all tables to lie inside the file.
    let mut table = elf.bytes[elf.headers..][..elf.sections.len() * SECTION_HEADER_BYTES].to_vec();
    let symbols = u64_at(&table, elf.symbol_table * SECTION_HEADER_BYTES + 24).unwrap_or_default();
    let mut values = Vec::new();
    for Variable {
        symbol,
        bytes: value,
    } in variables
    {
        let at = symbols as usize + symbol * SYMBOL_BYTES;
        let Some(entry) = bytes.get_mut(at..at + SYMBOL_BYTES) else {
            continue;
        };
        entry[4] = entry[4] & 0xf0 | OBJECT;
        entry[6..8].copy_from_slice(&index.to_le_bytes());
        entry[8..16].copy_from_slice(&(values.len() as u64).to_le_bytes());
        entry[16..24].copy_from_slice(&(value.len() as u64).to_le_bytes());
        values.extend_from_slice(value);
        values.resize(values.len().next_multiple_of(ALIGNMENT), 0);
    }
    let old_names = elf.sections[elf.names].data;
    let names = [old_names, SECTION.as_bytes(), &[0]].concat();
    let mut append = |contents: &[u8]| {
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        let place = [bytes.len() as u64, contents.len() as u64];
        bytes.extend_from_slice(contents);
        place
    };
    let place = |header: &mut [u8], [offset, size]: [u64; 2]| {
        header[24..32].copy_from_slice(&offset.to_le_bytes());
        header[32..40].copy_from_slice(&size.to_le_bytes());
    };
    place(
        &mut table[elf.names * SECTION_HEADER_BYTES..],
        append(&names),
    );
    let mut header = [0; SECTION_HEADER_BYTES];
    header[..4].copy_from_slice(&(old_names.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&PROGBITS.to_le_bytes());
    header[8..16].copy_from_slice(&ALLOCATED.to_le_bytes());
    header[48] = ALIGNMENT as u8;
    place(&mut header, append(&values));
    table.extend_from_slice(&header);
    let [headers, _] = append(&table);
    bytes[40..48].copy_from_slice(&headers.to_le_bytes());
    bytes[60..62].copy_from_slice(&(index + 1).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::RunningKernel;
    use crate::compile::elf::Role;

    #[test]
    fn versions_are_those_of_the_kernel_not_of_its_package() {
        let version = |a: u64, b: u64, c: u64| a << 16 | b << 8 | c;
        for (release, text, expected) in [
            ("6.18.5", "#1 SMP", version(6, 18, 5)),
            ("6.8.0-45-generic", "#45-Ubuntu SMP", version(6, 8, 0)),
            (
                "6.1.0-28-cloud-amd64",
                "#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1 (2024-11-22)",
                version(6, 1, 119),
            ),
            ("4.19.325", "", version(4, 19, 255)),
            ("6.12-rc3", "", version(6, 12, 0)),
            ("", "", 0),
            ("99999999999999999999.1", "", version(0, 1, 0)),
        ] {
            assert_eq!(parse_version(release, text), expected, "{release}");
        }
    }

    /// The object `kconfig` with its variables, those of these names given.
    fn defined(given: &[&str]) -> Result<Option<Vec<u8>>, CompileError> {
        let elf = Elf::parse(bpf::KCONFIG)?;
        let section = elf.with_role(Role::Btf).expect("types").1;
        let btf = Btf::parse(section.data)?;
        let given: Vec<_> = given
            .iter()
            .map(|name| GlobalValue {
                name: (*name).to_owned(),
                bytes: vec![0; 4],
            })
            .collect();
        define(&elf, Some(&btf), &given, &mut RunningKernel::default())
    }

    #[test]
    fn what_is_known_is_defined() {
        for (given, more) in [(&[][..], 0), (&["CONFIG_BPFMAN_NUMBER"], 1)] {
            let bytes = defined(given).expect("no error").expect("variables");
            let elf = Elf::parse(&bytes).expect("an object");
            let (index, section) = elf
                .sections
                .iter()
                .enumerate()
                .find(|(_, section)| section.name == SECTION)
                .expect("the section");
            assert_eq!(section.role, Role::ReadOnlyData);
            let inside = elf
                .symbols
                .iter()
                .filter(|symbol| symbol.section == Some(index));
            assert_eq!(inside.count(), 4 + more, "{given:?}");
            let value = |name: &str| {
                let symbol = elf.symbols.iter().find(|symbol| symbol.name == name);
                let symbol = symbol.expect(name);
                &section.data[symbol.value as usize..(symbol.value + symbol.size) as usize]
            };
            assert_eq!(value("LINUX_KERNEL_VERSION"), &version().to_le_bytes()[..4]);
            assert_eq!(value("LINUX_HAS_BPF_COOKIE"), [1]);
            assert_eq!(value("CONFIG_BPFMAN_MISSING"), [0; 8]);
        }
        let none = Elf::parse(bpf::COUNTER).expect("an object");
        let nothing = define(&none, None, &[], &mut RunningKernel::default());
        assert_eq!(nothing, Ok(None));
    }

    #[test]
    fn variables_are_bounded_and_hold_their_values() {
        let elf = Elf::parse(bpf::KCONFIG).expect("an object");
        let section = elf.with_role(Role::Btf).expect("types").1;
        let btf = Btf::parse(section.data).expect("types");
        let with = |name: &'static str, size: usize| {
            let mut declared = declared(&btf);
            declared.insert(name, (size as u32, size <= 8));
            variables(&elf, &declared, &[], &mut RunningKernel::default())
        };
        // Beside it there are three of at most eight bytes.
        let room = limits::KCONFIG_BYTES - 3 * ALIGNMENT;
        let values = with("CONFIG_BPFMAN_MISSING", room).expect("at the limit");
        assert!(values.iter().any(|value| value.bytes.len() == room));
        let refused = with("CONFIG_BPFMAN_MISSING", room + 1).err();
        assert!(
            matches!(refused, Some(CompileError::Limit { .. })),
            "{refused:?}"
        );
        let refused = with("LINUX_KERNEL_VERSION", 2).err();
        assert!(
            matches!(refused, Some(CompileError::Malformed(_))),
            "{refused:?}"
        );
        // Not a number: it stays undefined.
        assert_eq!(
            with("LINUX_KERNEL_VERSION", 16).expect("the others").len(),
            3
        );
    }
}
