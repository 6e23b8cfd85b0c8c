//! Finds where in the file of a program or library a function begins: a user probe is put at an offset in a file.

use crate::binary::{Binary, Headers};
use crate::compile::similar;
use ipc::messages::attach::ProbePlace;
use ipc::messages::failure::{Failure, FailureCode};
use object::elf::{
    FileHeader32, FileHeader64, PF_X, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STB_LOCAL, STT_FUNC,
    STT_GNU_IFUNC,
};
use object::read::elf::{FileHeader, SectionHeader as _, Sym as _};
use object::{Endianness, FileKind};
use std::os::fd::BorrowedFd;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// What the user calls the binary.
    pub target: &'q str,
    /// The function.
    pub function: &'q str,
    /// Added to its address.
    pub offset: u64,
}

/// The offset in `file` at which a probe on the function sits.
pub fn resolve(file: BorrowedFd<'_>, query: &Query<'_>) -> Result<u64, Failure> {
    let binary = Binary::open(file, query.target)?;
    let tables = Tables::read(&binary)?;
    tables.find(&binary, query)
}

/// The places in `file` of several functions, in their order.
pub fn resolve_all(
    file: BorrowedFd<'_>,
    target: &str,
    functions: &[String],
) -> Result<Vec<ProbePlace>, Failure> {
    let binary = Binary::open(file, target)?;
    let tables = Tables::read(&binary)?;
    let place = |function: &String| {
        let query = Query {
            target,
            function,
            offset: 0,
        };
        tables.find(&binary, &query).map(ProbePlace::at)
    };
    functions.iter().map(place).collect()
}

/// A function symbol with the name looked for.
struct Found {
    address: u64,
    local: bool,
    indirect: bool,
}

/// The symbol tables of a binary, each with the names of its symbols: the whole one, if there is one, before that of what
/// the dynamic linker needs, which is a part of it.
struct Tables(Vec<(Vec<u8>, Vec<u8>)>);

impl Tables {
    fn read(binary: &Binary<'_>) -> Result<Self, Failure> {
        match binary.kind {
            FileKind::Elf32 => Self::read_as::<FileHeader32<Endianness>>(binary),
            _ => Self::read_as::<FileHeader64<Endianness>>(binary),
        }
    }

    fn read_as<H: FileHeader<Endian = Endianness>>(binary: &Binary<'_>) -> Result<Self, Failure> {
        let Headers { header, endian, .. } = binary.headers::<H>()?;
        let sections = header
            .section_headers(endian, &binary.data)
            .map_err(|_| binary.malformed_headers())?;
        let mut tables = Vec::new();
        for wanted in [SHT_SYMTAB, SHT_DYNSYM] {
            // There is at most one of each.
            if let Some(section) = sections
                .iter()
                .find(|section| section.sh_type(endian) == wanted)
            {
                let strings = sections
                    .get(section.sh_link(endian) as usize)
                    .ok_or_else(|| binary.malformed("its symbols have no names"))?;
                let [symbols, strings] = [section, strings].map(|section| {
                    binary.table(
                        section.sh_offset(endian).into(),
                        section.sh_size(endian).into(),
                    )
                });
                tables.push((symbols?, strings?));
            }
        }
        Ok(Self(tables))
    }

    fn find(&self, binary: &Binary<'_>, query: &Query<'_>) -> Result<u64, Failure> {
        match binary.kind {
            FileKind::Elf32 => self.find_as::<FileHeader32<Endianness>>(binary, query),
            _ => self.find_as::<FileHeader64<Endianness>>(binary, query),
        }
    }

    fn find_as<H: FileHeader<Endian = Endianness>>(
        &self,
        binary: &Binary<'_>,
        query: &Query<'_>,
    ) -> Result<u64, Failure> {
        let headers = binary.headers::<H>()?;
        let endian = headers.endian;
        let found = self
            .0
            .iter()
            .map(|(symbols, strings)| functions::<H>(endian, symbols, strings, query.function))
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        let Some(function) = choose(&found, binary, query)? else {
            let names = self
                .0
                .iter()
                .flat_map(|(symbols, strings)| function_names::<H>(endian, symbols, strings));
            return Err(not_found(binary, query, names));
        };
        function
            .address
            .checked_add(query.offset)
            .and_then(|address| headers.file_offset(address, PF_X))
            .ok_or_else(|| {
                let place = format!(
                    "function \"{}\"+{:#x} is not in its code",
                    query.function, query.offset
                );
                binary
                    .failure(FailureCode::InvalidArgument, &place)
                    .remedy("use a smaller offset")
            })
    }
}

/// The functions of this name in a symbol table.
fn functions<H: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    symbols: &[u8],
    strings: &[u8],
    wanted: &str,
) -> Vec<Found> {
    symbols
        .chunks_exact(size_of::<H::Sym>())
        .filter_map(|symbol| {
            let (symbol, _) = object::pod::from_bytes::<H::Sym>(symbol).ok()?;
            let is_function = matches!(symbol.st_type(), STT_FUNC | STT_GNU_IFUNC);
            let is_here = is_function && symbol.st_shndx(endian) != SHN_UNDEF;
            let name = name_at(strings, symbol.st_name(endian)).filter(|_| is_here)?;
            (name == wanted.as_bytes()).then(|| Found {
                address: symbol.st_value(endian).into(),
                local: symbol.st_bind() == STB_LOCAL,
                indirect: symbol.st_type() == STT_GNU_IFUNC,
            })
        })
        .collect()
}

/// The one that is meant: an exported function before a local one.
fn choose<'f>(
    found: &'f [Found],
    binary: &Binary<'_>,
    query: &Query<'_>,
) -> Result<Option<&'f Found>, Failure> {
    let exported: Vec<&Found> = found.iter().filter(|found| !found.local).collect();
    let candidates = if exported.is_empty() {
        found.iter().collect()
    } else {
        exported
    };
    let Some(first) = candidates.first().copied() else {
        return Ok(None);
    };
    if candidates
        .iter()
        .any(|other| other.address != first.address)
    {
        let cause = format!("it has several functions \"{}\"", query.function);
        return Err(binary
            .failure(FailureCode::FailedPrecondition, &cause)
            .remedy("give the offset in the file instead of the name"));
    }
    if first.indirect {
        let cause = format!(
            "\"{}\" is chosen among several implementations at run time",
            query.function
        );
        return Err(binary
            .failure(FailureCode::FailedPrecondition, &cause)
            .remedy("name the implementation, or give its offset in the file"));
    }
    Ok(Some(first))
}

fn not_found<'n>(
    binary: &Binary<'_>,
    query: &Query<'_>,
    names: impl Iterator<Item = &'n str>,
) -> Failure {
    let mut names = names.peekable();
    let stripped = names.peek().is_none();
    let suggestions = similar(query.function, names);
    let remedy = if stripped {
        "it has no symbols: give the offset in the file instead of the name".to_owned()
    } else if suggestions.is_empty() {
        format!(
            "see `nm -D --defined-only {}` for its functions",
            query.target
        )
    } else {
        format!("did you mean: {}?", suggestions.join(", "))
    };
    let cause = format!("function \"{}\" not found", query.function);
    binary.failure(FailureCode::NotFound, &cause).remedy(remedy)
}

fn function_names<'t, H: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    symbols: &'t [u8],
    strings: &'t [u8],
) -> impl Iterator<Item = &'t str> {
    symbols
        .chunks_exact(size_of::<H::Sym>())
        .filter_map(move |symbol| {
            let (symbol, _) = object::pod::from_bytes::<H::Sym>(symbol).ok()?;
            let is_here = symbol.st_type() == STT_FUNC && symbol.st_shndx(endian) != SHN_UNDEF;
            let name = name_at(strings, symbol.st_name(endian)).filter(|_| is_here)?;
            std::str::from_utf8(name)
                .ok()
                .filter(|name| name.len() <= ipc::limits::NAME_BYTES)
        })
}

fn name_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(offset as usize..)?;
    rest.get(..rest.iter().position(|byte| *byte == 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
