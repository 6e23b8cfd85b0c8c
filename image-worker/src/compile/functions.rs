//! The functions of an object, what each of them calls and refers to, and what a program therefore consists of.

use super::bytes::u32_at;
use super::elf::{Elf, Relocation, Role, SymbolKind};
use super::error::CompileError;
use crate::limits;
use std::collections::BTreeSet;

/// Bytes of one instruction.
pub(super) const INSTRUCTION: u64 = 8;

const LOAD_IMMEDIATE_64: u8 = 0x18;
const CALL: u8 = 0x85;
const PSEUDO_NONE: u8 = 0;
const PSEUDO_CALL: u8 = 1;
/// `R_BPF_64_64`: an address in a pair of instructions.
const RELOCATE_ADDRESS: u32 = 1;
/// `R_BPF_64_32`: the target of a call.
const RELOCATE_CALL: u32 = 10;

/// A function of the object.
#[derive(Debug)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) section: usize,
    /// Offset in its section.
    pub(super) start: u64,
    pub(super) size: u64,
    /// In a section of its own kind, not in `.text`.
    pub(super) is_program: bool,
    /// Not to be seen outside: BTF must call it static.
    pub(super) hidden: bool,
}

impl Function<'_> {
    fn end(&self) -> u64 {
        self.start + self.size
    }
}

/// What a program consists of.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Indices of functions: the program and everything that it calls or points to.
    pub(super) functions: BTreeSet<usize>,
    /// Symbols that stand for maps with a definition.
    pub(super) map_symbols: BTreeSet<usize>,
}

/// All functions of an object, ascending by section and offset.
#[derive(Debug)]
pub(super) struct Functions<'a> {
    list: Vec<Function<'a>>,
}

fn malformed(what: String) -> CompileError {
    CompileError::Malformed(what)
}

impl<'a> Functions<'a> {
    /// Finds the functions; they lie within their sections, on whole instructions, and do not overlap.
    pub(super) fn collect(elf: &Elf<'a>) -> Result<Self, CompileError> {
        let mut list = Vec::new();
        for symbol in &elf.symbols {
            let (SymbolKind::Function, Some(section)) = (symbol.kind, symbol.section) else {
                continue;
            };
            let holder = &elf.sections[section];
            let name = symbol.name;
            let inside = symbol
                .value
                .checked_add(symbol.size)
                .is_some_and(|end| end <= holder.size);
            let whole = symbol.value % INSTRUCTION == 0 && symbol.size % INSTRUCTION == 0;
            if !holder.role.is_code() || !inside || !whole || symbol.size == 0 || name.is_empty() {
                return Err(malformed(format!(
                    "function \"{name}\" does not lie in section \"{}\"",
                    holder.name
                )));
            }
            list.push(Function {
                name,
                section,
                start: symbol.value,
                size: symbol.size,
                is_program: holder.role == Role::Program,
                hidden: symbol.hidden,
            });
        }
        list.sort_by_key(|function| (function.section, function.start));
        for pair in list.windows(2) {
            if pair[0].section == pair[1].section && pair[0].end() > pair[1].start {
                return Err(malformed(format!(
                    "functions \"{}\" and \"{}\" overlap",
                    pair[0].name, pair[1].name
                )));
            }
        }
        Ok(Self { list })
    }

    /// The function with this index.
    pub(super) fn get(&self, index: usize) -> &Function<'a> {
        &self.list[index]
    }

    /// All functions with their indices.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Function<'a>)> {
        self.list.iter().enumerate()
    }

    /// Those that can be loaded as programs.
    pub(super) fn programs(&self) -> impl Iterator<Item = (usize, &Function<'a>)> {
        self.all().filter(|(_, function)| function.is_program)
    }

    fn starting_at(&self, section: usize, start: i64) -> Option<usize> {
        let start = u64::try_from(start).ok()?;
        self.list
            .binary_search_by_key(&(section, start), |function| {
                (function.section, function.start)
            })
            .ok()
    }

    /// Follows the calls of a program.
    pub(super) fn reach(&self, elf: &Elf<'_>, program: usize) -> Result<Reach, CompileError> {
        let mut map_symbols = BTreeSet::new();
        let mut reached = BTreeSet::from([program]);
        let mut open = vec![program];
        let mut instructions = 0;
        while let Some(index) = open.pop() {
            instructions += self.get(index).size / INSTRUCTION;
            for reference in self.references(elf, index)? {
                match reference {
                    Reference::Map(symbol) => {
                        map_symbols.insert(symbol);
                    }
                    Reference::Function(callee) => {
                        if reached.insert(callee) {
                            open.push(callee);
                        }
                    }
                }
            }
            if reached.len() > limits::PROGRAM_FUNCTIONS {
                return Err(CompileError::Limit {
                    what: "functions in one program",
                    limit: limits::PROGRAM_FUNCTIONS as u64,
                });
            }
            if instructions > limits::PROGRAM_INSTRUCTIONS {
                return Err(CompileError::Limit {
                    what: "instructions in one program",
                    limit: limits::PROGRAM_INSTRUCTIONS,
                });
            }
        }
        self.check_distinct(program, &reached)?;
        Ok(Reach {
            functions: reached,
            map_symbols,
        })
    }

    /// The linker tells callees apart by their offset alone, whatever their section.
    fn check_distinct(
        &self,
        program: usize,
        reached: &BTreeSet<usize>,
    ) -> Result<(), CompileError> {
        let mut offsets = BTreeSet::new();
        for index in reached.iter().filter(|index| **index != program) {
            let callee = self.get(*index);
            if !offsets.insert(callee.start) {
                return Err(CompileError::Unsupported(format!(
                    "program \"{}\" calls functions of two sections, \"{}\" among them: \
                     keep what one program calls in one section",
                    self.get(program).name,
                    callee.name
                )));
            }
        }
        Ok(())
    }

    /// Checks every instruction of a function that refers to something, and returns what it refers to.
    fn references(&self, elf: &Elf<'_>, index: usize) -> Result<Vec<Reference>, CompileError> {
        let function = self.get(index);
        let scan = Scan {
            functions: self,
            elf,
            function,
        };
        let relocations = elf.relocations(function.section);
        let expected = relocations.map_or(0, |relocations| {
            let range = function.start..function.end();
            relocations
                .keys()
                .filter(|offset| range.contains(offset))
                .count()
        });
        // `collect` has found the function to lie inside the section, which fits in memory.
        let code =
            &elf.sections[function.section].data[function.start as usize..function.end() as usize];
        let mut found = Vec::new();
        let mut used = 0;
        let mut offset = 0;
        while let Some(instruction) = code.get(offset..offset + INSTRUCTION as usize) {
            let at = function.start + offset as u64;
            let relocation = relocations
                .and_then(|relocations| relocations.get(&at))
                .copied();
            let ins = Instruction {
                source: instruction[1] >> 4,
                offset: i16::from_le_bytes([instruction[2], instruction[3]]),
                // Eight bytes were taken.
                immediate: u32_at(instruction, 4).unwrap_or_default() as i32,
            };
            let mut length = INSTRUCTION as usize;
            match instruction[0] {
                LOAD_IMMEDIATE_64 => {
                    length *= 2;
                    if offset + length > code.len() {
                        return Err(scan.malformed("ends within an instruction"));
                    }
                    found.extend(scan.address(ins, relocation)?);
                    used += usize::from(relocation.is_some());
                }
                CALL => {
                    found.extend(scan.call(at, ins, relocation)?);
                    used += usize::from(relocation.is_some());
                }
                _ => {}
            }
            offset += length;
        }
        if used != expected {
            return Err(scan.malformed("has relocations of instructions that take none"));
        }
        Ok(found)
    }
}

/// What an instruction refers to.
enum Reference {
    Function(usize),
    /// A map with a definition, by its symbol.
    Map(usize),
}

/// Fields of an instruction.
#[derive(Clone, Copy)]
struct Instruction {
    source: u8,
    offset: i16,
    immediate: i32,
}

/// One function under inspection.
struct Scan<'s, 'a> {
    functions: &'s Functions<'a>,
    elf: &'s Elf<'s>,
    function: &'s Function<'a>,
}

impl Scan<'_, '_> {
    fn malformed(&self, what: &str) -> CompileError {
        malformed(format!("function \"{}\" {what}", self.function.name))
    }

    fn function_at(&self, section: usize, start: i64) -> Result<Option<Reference>, CompileError> {
        self.functions
            .starting_at(section, start)
            .map(|function| Some(Reference::Function(function)))
            .ok_or_else(|| self.malformed("calls into the middle of another function"))
    }

    /// A pair of instructions that loads 64 bits: a number, or the address of a map, a variable, a function.
    fn address(
        &self,
        ins: Instruction,
        relocation: Option<Relocation>,
    ) -> Result<Option<Reference>, CompileError> {
        // Nothing but a relocation may make a descriptor of a number: it would be one of the loader's.
        if ins.source != PSEUDO_NONE {
            return Err(self.malformed("refers to a descriptor or an address by number"));
        }
        let Some(relocation) = relocation else {
            return Ok(None);
        };
        let symbol = &self.elf.symbols[relocation.symbol];
        if relocation.kind != RELOCATE_ADDRESS {
            return Err(self.malformed("has a relocation of unknown kind"));
        }
        let section = symbol.section.ok_or_else(|| self.unresolved(symbol.name))?;
        let holder = &self.elf.sections[section];
        let value = i64::try_from(symbol.value).map_err(|_| self.unresolved(symbol.name))?;
        let target = value
            .checked_add(i64::from(ins.immediate))
            .unwrap_or(i64::MAX);
        match (holder.role, symbol.kind) {
            (role, SymbolKind::Section) if role.is_code() => self.function_at(section, target),
            (role, SymbolKind::Function) if role.is_code() => self.function_at(section, value),
            (Role::Maps | Role::LegacyMaps, SymbolKind::Object | SymbolKind::None)
                if ins.immediate == 0 =>
            {
                Ok(Some(Reference::Map(relocation.symbol)))
            }
            (Role::Maps | Role::LegacyMaps, _) => Err(CompileError::Unsupported(format!(
                "function \"{}\" uses a static map: declare maps without \"static\"",
                self.function.name
            ))),
            (role, kind) if role.is_data() && kind != SymbolKind::Function => {
                let inside = u64::try_from(target).is_ok_and(|target| target < holder.size);
                let fits = i32::try_from(target).is_ok() && i32::try_from(value).is_ok();
                if inside && fits {
                    return Ok(None);
                }
                Err(self.malformed("refers to data outside its section"))
            }
            _ => Err(self.unresolved(symbol.name)),
        }
    }

    /// A call of a helper of the kernel, or of a function of the object.
    fn call(
        &self,
        at: u64,
        ins: Instruction,
        relocation: Option<Relocation>,
    ) -> Result<Option<Reference>, CompileError> {
        let symbol = relocation.map(|relocation| &self.elf.symbols[relocation.symbol]);
        if let Some(symbol) = symbol
            && symbol.section.is_none()
        {
            return Err(self.unresolved(symbol.name));
        }
        match ins.source {
            PSEUDO_NONE if relocation.is_none() => return Ok(None),
            PSEUDO_CALL if ins.offset == 0 => {}
            _ => return Err(self.malformed("has a call of unknown kind")),
        }
        let bytes = (i64::from(ins.immediate) + 1) * INSTRUCTION as i64;
        let (Some(relocation), Some(symbol)) = (relocation, symbol) else {
            // Offsets lie within the object, whose size is bounded: no overflow.
            return self.function_at(self.function.section, at as i64 + bytes);
        };
        if relocation.kind != RELOCATE_CALL {
            return Err(self.malformed("has a relocation of unknown kind"));
        }
        let section = symbol
            .section
            .filter(|section| self.elf.sections[*section].role.is_code());
        let section = section.ok_or_else(|| self.unresolved(symbol.name))?;
        let value = i64::try_from(symbol.value).map_err(|_| self.unresolved(symbol.name))?;
        match symbol.kind {
            SymbolKind::Function => self.function_at(section, value),
            SymbolKind::Section => {
                let target = value.checked_add(bytes).unwrap_or(i64::MAX);
                self.function_at(section, target)
            }
            _ => Err(self.unresolved(symbol.name)),
        }
    }

    fn unresolved(&self, symbol: &str) -> CompileError {
        CompileError::UnresolvedSymbol {
            function: self.function.name.to_owned(),
            symbol: symbol.to_owned(),
        }
    }
}
