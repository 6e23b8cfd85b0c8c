//! Functions of the C library, of this program, and of files that are damaged.

use super::*;
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use proptest::prelude::*;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

/// A shared library of this process, and where its text is mapped: start address and offset in the file.
fn c_library() -> (PathBuf, u64, u64, u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let line = maps
        .lines()
        .find(|line| line.contains("r-xp") && line.contains("/libc.so.6"))
        .expect("a mapped C library");
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (start, end) = fields[0].split_once('-').expect("a range");
    let number = |text| u64::from_str_radix(text, 16).expect("a number");
    (
        PathBuf::from(fields[5]),
        number(start),
        number(end),
        number(fields[2]),
    )
}

fn look_up(file: &File, function: &str, offset: u64) -> Result<u64, Failure> {
    resolve(
        file.as_fd(),
        &Query {
            target: "it",
            function,
            offset,
        },
    )
}

#[test]
fn offsets_are_those_at_which_the_running_library_is_mapped() {
    let (path, start, end, offset) = c_library();
    let file = File::open(path).expect("the C library");
    for (name, address) in [
        ("getpid", libc::getpid as *const () as u64),
        ("malloc", libc::malloc as *const () as u64),
        ("getenv", libc::getenv as *const () as u64),
    ] {
        assert!(
            (start..end).contains(&address),
            "{name} is not the library's own"
        );
        assert_eq!(
            look_up(&file, name, 0),
            Ok(address - start + offset),
            "{name}"
        );
        assert_eq!(
            look_up(&file, name, 4),
            Ok(address - start + offset + 4),
            "{name}+4"
        );
    }
}

#[test]
fn symbols_of_programs_are_found() {
    let file = File::open("/proc/self/exe").expect("this program");
    let size = file.metadata().expect("a size").len();
    let offset = look_up(&file, "main", 0).expect("every program has main");
    assert!(offset > 0 && offset < size);
}

/// Where in the C library's file the entry of a function in the dynamic symbol table has its size, and that size.
fn size_in(library: &[u8], function: &str) -> (usize, u64) {
    let file = ElfFile64::<Endianness>::parse(library).expect("an ELF file");
    let table = file
        .section_by_name(".dynsym")
        .and_then(|section| section.file_range())
        .expect("a table");
    let symbol = file
        .dynamic_symbols()
        .find(|symbol| symbol.is_definition() && symbol.name() == Ok(function))
        .expect("the function");
    // 24 bytes each; the size is the last eight of them.
    let at = table.0 as usize + symbol.index().0 * 24 + 16;
    (at, symbol.size())
}

#[test]
fn offsets_end_where_the_function_does() {
    let (path, ..) = c_library();
    let mut bytes = std::fs::read(&path).expect("the C library");
    let file = File::open(path).expect("the C library");
    let (at, size) = size_in(&bytes, "getenv");
    assert!(size > 8, "{size} bytes");
    let start = look_up(&file, "getenv", 0).expect("the function");
    assert_eq!(look_up(&file, "getenv", size - 1), Ok(start + size - 1));
    for behind in [size, size + 1] {
        let failure = look_up(&file, "getenv", behind).expect_err("behind the end");
        assert_eq!(failure.code, FailureCode::InvalidArgument);
        assert_eq!(
            failure.cause,
            format!(
                "it: function \"getenv\" is {size:#x} bytes long: offset {behind:#x} is behind its end"
            )
        );
        assert_eq!(failure.remedy, format!("give an offset below {size:#x}"));
    }
    // Of a function without size it is not known.
    bytes[at..at + 8].fill(0);
    let mut sizeless = tempfile::tempfile().expect("a file");
    sizeless.write_all(&bytes).expect("written");
    assert_eq!(look_up(&sizeless, "getenv", size), Ok(start + size));
}

#[test]
fn names_have_a_bound() {
    let limit = ipc::limits::NAME_BYTES;
    for (length, found) in [(limit, true), (limit + 1, false)] {
        let mut strings = vec![b'n'; length];
        strings.push(0);
        assert_eq!(name_at(&strings, 0).is_some(), found, "{length} bytes");
    }
}

#[test]
fn what_cannot_be_probed_is_refused() {
    let (path, ..) = c_library();
    let file = File::open(path).expect("the C library");
    let failure = look_up(&file, "getpidd", 0).expect_err("no such function");
    assert_eq!(failure.code, FailureCode::NotFound);
    assert_eq!(failure.cause, "it: function \"getpidd\" not found");
    assert!(failure.remedy.contains("getpid"), "{}", failure.remedy);
    let failure = look_up(&file, "no_such_function_at_all", 0).expect_err("nothing alike");
    assert_eq!(
        failure.remedy,
        "see `nm -D --defined-only it` for its functions"
    );
    assert!(look_up(&file, "environ", 0).is_err(), "a variable");
    let failure = look_up(&file, "getpid", 1 << 40).expect_err("far away");
    assert_eq!(failure.code, FailureCode::InvalidArgument);
    assert!(look_up(&file, "getpid", u64::MAX).is_err(), "overflow");
    let failure = look_up(&file, "memcpy", 0).expect_err("chosen at run time");
    assert_eq!(failure.code, FailureCode::FailedPrecondition);

    let text = File::open(file!().trim_start_matches("image-worker/")).expect("this source");
    assert_eq!(
        look_up(&text, "main", 0).expect_err("text").cause,
        "it: it is not an ELF file"
    );
    assert!(look_up(&File::open("/dev/null").expect("a device"), "main", 0).is_err());
}

#[test]
fn truncated_binaries_are_refused() {
    let (path, ..) = c_library();
    let whole = std::fs::read(path).expect("the C library");
    for length in [0, 3, 16, 63, 64, 1000, whole.len() / 2, whole.len() - 1] {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&whole[..length]).expect("written");
        assert!(look_up(&file, "getpid", 0).is_err(), "{length} bytes");
    }
}

#[test]
fn a_symbol_table_beyond_the_limit_is_not_read() {
    let (path, ..) = c_library();
    let mut bytes = std::fs::read(path).expect("the C library");
    // Section headers lie at the offset in bytes 40 to 47; size is the field at 32 of the dynamic symbols (type 11).
    let table = u64::from_le_bytes(bytes[40..48].try_into().expect("eight bytes")) as usize;
    let header = (table..bytes.len())
        .step_by(64)
        .find(|header| bytes[header + 4] == 11)
        .expect("dynamic symbols");
    let size = crate::limits::SYMBOL_TABLE_BYTES + 1;
    bytes[header + 32..header + 40].copy_from_slice(&size.to_le_bytes());
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    file.set_len(2 * size).expect("a sparse file");
    let failure = look_up(&file, "getpid", 0).expect_err("too large");
    assert_eq!(failure.code, FailureCode::ResourceExhausted);
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(changes in proptest::collection::vec((0_usize..64, any::<u8>()), 1..6)) {
        let mut bytes = bpf::COUNTER.to_vec();
        for (at, value) in changes {
            bytes[at] = value;
        }
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        let _ = look_up(&file, "xdp_count", 0);
    }
}
