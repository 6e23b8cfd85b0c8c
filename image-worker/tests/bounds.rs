//! One more than each bound of an object, in objects made for it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails"
)]

use image_worker::compile::{Request, RunningKernel, compile};
use image_worker::limits;
use ipc::limits::OBJECT_BYTES;
use ipc::messages::failure::{Failure, FailureCode};
use ipc::messages::program::{ProgramKind, ProgramRequest};

const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];
/// A call of the next function: the second instruction behind this one.
const CALL_NEXT: [u8; 8] = [0x85, 0x10, 0, 0, 1, 0, 0, 0];
const PROGBITS: u32 = 1;
const NOBITS: u32 = 8;

struct Section {
    name: String,
    kind: u32,
    flags: u64,
    data: Vec<u8>,
    size: u64,
}

struct Symbol {
    name: String,
    info: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// An object under construction: one program section with the program `program`, and what a test adds.
struct Object {
    sections: Vec<Section>,
    symbols: Vec<Symbol>,
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

impl Object {
    fn new(code: Vec<u8>, function: u64) -> Self {
        let mut object = Self {
            sections: Vec::new(),
            symbols: Vec::new(),
        };
        object.section("xdp", PROGBITS, 6, code);
        object.symbol("program", 0x12, 1, 0, function);
        object
    }

    /// Adds a section; the first one has index 1.
    fn section(&mut self, name: &str, kind: u32, flags: u64, data: Vec<u8>) {
        let size = data.len() as u64;
        self.sections.push(Section {
            name: name.to_owned(),
            kind,
            flags,
            data,
            size,
        });
    }

    fn symbol(&mut self, name: &str, info: u8, section: u16, value: u64, size: u64) {
        self.symbols.push(Symbol {
            name: name.to_owned(),
            info,
            section,
            value,
            size,
        });
    }

    fn build(mut self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = strings.len() as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let mut table = vec![0; 24];
        for symbol in &self.symbols {
            table.extend_from_slice(&name(&symbol.name).to_le_bytes());
            table.extend_from_slice(&[symbol.info, 0]);
            table.extend_from_slice(&symbol.section.to_le_bytes());
            table.extend_from_slice(&symbol.value.to_le_bytes());
            table.extend_from_slice(&symbol.size.to_le_bytes());
        }
        self.section(".symtab", 2, 0, table);
        self.section(".strtab", 3, 0, Vec::new());
        let names: Vec<u32> = self
            .sections
            .iter()
            .map(|section| name(&section.name))
            .collect();
        let last = self.sections.len();
        self.sections[last - 1].size = strings.len() as u64;
        self.sections[last - 1].data = strings;

        let mut bytes = vec![0; 64];
        let mut headers = vec![0; 64];
        for (section, name) in self.sections.iter().zip(names) {
            align(&mut bytes);
            // Only the symbol table has a link, to the last section.
            let (link, entry) = if section.kind == 2 {
                (last as u32, 24_u64)
            } else {
                (0, 0)
            };
            headers.extend_from_slice(&name.to_le_bytes());
            headers.extend_from_slice(&section.kind.to_le_bytes());
            for long in [section.flags, 0, bytes.len() as u64, section.size] {
                headers.extend_from_slice(&long.to_le_bytes());
            }
            headers.extend_from_slice(&link.to_le_bytes());
            headers.extend_from_slice(&0_u32.to_le_bytes());
            headers.extend_from_slice(&8_u64.to_le_bytes());
            headers.extend_from_slice(&entry.to_le_bytes());
            bytes.extend_from_slice(&section.data);
        }
        align(&mut bytes);
        let start = bytes.len() as u64;
        bytes.extend_from_slice(&headers);
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        bytes[16..20].copy_from_slice(&[1, 0, 247, 0]);
        bytes[40..48].copy_from_slice(&start.to_le_bytes());
        bytes[58..60].copy_from_slice(&64_u16.to_le_bytes());
        bytes[60..62].copy_from_slice(&(last as u16 + 1).to_le_bytes());
        bytes[62..64].copy_from_slice(&(last as u16).to_le_bytes());
        bytes
    }

    fn compile(self) -> Result<(), Failure> {
        let program = ProgramRequest {
            name: "program".into(),
            kind: ProgramKind::Xdp,
            attach_function: None,
        };
        let request = Request {
            programs: &[program],
            globals: &[],
            types: &[],
        };
        compile(&self.build(), &request, &mut RunningKernel::default()).map(drop)
    }
}

fn smallest() -> Object {
    Object::new(EXIT.to_vec(), 8)
}

fn assert_bound(at_limit: Object, beyond: Object, what: &str) {
    assert_eq!(at_limit.compile(), Ok(()), "{what} at the limit");
    let failure = beyond.compile().expect_err(what);
    assert_eq!(failure.code, FailureCode::ResourceExhausted, "{failure}");
    assert!(failure.cause.contains(what), "{failure}");
    assert!(!failure.remedy.is_empty());
}

#[test]
fn sections() {
    // Beside the program there are the null section, the symbols and the names.
    let with = |count: usize| {
        let mut object = smallest();
        for _ in 0..count - 4 {
            object.section("other", PROGBITS, 0, vec![0]);
        }
        object
    };
    assert_bound(
        with(limits::SECTIONS),
        with(limits::SECTIONS + 1),
        "sections",
    );
}

#[test]
fn symbols() {
    let with = |count: usize| {
        let mut object = smallest();
        for _ in 0..count - 2 {
            object.symbol("l", 0, 1, 0, 0);
        }
        object
    };
    assert_bound(with(limits::SYMBOLS), with(limits::SYMBOLS + 1), "symbols");
}

#[test]
fn functions_of_one_program() {
    let with = |count: usize| {
        let mut code = [CALL_NEXT, EXIT].concat().repeat(count - 1);
        code.extend_from_slice(&[EXIT, EXIT].concat());
        let mut object = Object::new(code, 16);
        for function in 1..count as u64 {
            object.symbol(&format!("f{function}"), 2, 1, function * 16, 16);
        }
        object
    };
    let limit = limits::PROGRAM_FUNCTIONS;
    assert_bound(with(limit), with(limit + 1), "functions in one program");
}

#[test]
fn instructions_of_one_program() {
    let with = |count: u64| Object::new(EXIT.repeat(count as usize), count * 8);
    let limit = limits::PROGRAM_INSTRUCTIONS;
    assert_bound(with(limit), with(limit + 1), "instructions in one program");
}

#[test]
fn maps() {
    // Type array, key 4, value 4, one entry, no flags.
    let definition: Vec<u8> = [2_u32, 4, 4, 1, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let with = |count: usize| {
        let mut object = smallest();
        object.section("maps", PROGBITS, 3, definition.repeat(count));
        for map in 0..count as u64 {
            object.symbol(&format!("m{map}"), 0x11, 2, map * 20, 20);
        }
        object
    };
    assert_bound(with(limits::MAPS), with(limits::MAPS + 1), "maps");
}

#[test]
fn zeroed_data() {
    let with = |bytes: u64| {
        let mut object = smallest();
        object.section(".bss", NOBITS, 3, Vec::new());
        object.sections.last_mut().expect("one").size = bytes;
        object
    };
    assert_bound(with(OBJECT_BYTES), with(OBJECT_BYTES + 1), "bytes in .bss");
}

#[test]
fn names() {
    let with = |bytes: usize| {
        let mut object = smallest();
        object.section(&"n".repeat(bytes), PROGBITS, 0, vec![0]);
        object
    };
    let limit = ipc::limits::NAME_BYTES;
    assert_bound(with(limit), with(limit + 1), "bytes in a section name");
}

#[test]
fn types() {
    // `int` of four bytes, over and over.
    let int = [0_u32, 1 << 24, 4, 32];
    let with = |count: usize| {
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        let length = count as u32 * 16;
        for word in [24, 0, length, length, 1] {
            btf.extend_from_slice(&word.to_le_bytes());
        }
        for _ in 0..count {
            btf.extend(int.iter().flat_map(|word| word.to_le_bytes()));
        }
        btf.push(0);
        let mut object = smallest();
        object.section(".BTF", PROGBITS, 0, btf);
        object
    };
    assert_bound(
        with(limits::BTF_TYPES),
        with(limits::BTF_TYPES + 1),
        "types",
    );
}

#[test]
fn long_lists_of_names_are_cut() {
    let name = "n".repeat(500);
    let mut object = Object::new(EXIT.repeat(400), 8);
    for function in 1..400 {
        object.symbol(&format!("{name}{function}"), 2, 1, function * 8, 8);
    }
    object.symbols[0].name = "another".to_owned();
    let failure = object.compile().expect_err("no such program");
    assert!(
        failure.cause.len() <= limits::CAUSE_BYTES + 4,
        "{}",
        failure.cause.len()
    );
    assert!(failure.cause.ends_with('…'));
}
