//! Finds where in the file of a program or library a function begins: a user probe is put at an offset in a file.

use crate::binary::{Binary, Headers};
use crate::compile::similar;
use crate::go_functions::GoFunctions;
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

/// A function with the name looked for.
struct Found {
    address: u64,
    /// Bytes of its code; 0 where that is not known: what is written in assembly may come without.
    size: u64,
    local: bool,
    indirect: bool,
}

/// Where a binary names its functions.
struct Tables {
    /// Its symbol tables, each with the names of its symbols: the whole one, if there is one, before that of what the
    /// dynamic linker needs, which is a part of it.
    symbols: Vec<(Vec<u8>, Vec<u8>)>,
    /// What Go's runtime keeps, where the whole symbol table was stripped.
    go: Option<GoFunctions>,
}

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
        let whole = |section: &H::SectionHeader| section.sh_type(endian) == SHT_SYMTAB;
        let go = if sections.iter().any(whole) {
            None
        } else {
            GoFunctions::read::<H>(binary)?
        };
        Ok(Self {
            symbols: tables,
            go,
        })
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
            .symbols
            .iter()
            .map(|(symbols, strings)| functions::<H>(endian, symbols, strings, query.function))
            .chain(self.go.iter().map(|go| go_functions(go, query.function)))
            .find(|found| !found.is_empty())
            .unwrap_or_default();
        let Some(function) = choose(&found, binary, query)? else {
            let names = self
                .symbols
                .iter()
                .flat_map(|(symbols, strings)| function_names::<H>(endian, symbols, strings))
                .chain(self.go.iter().flat_map(go_function_names));
            return Err(not_found(binary, query, names));
        };
        require_inside(function, binary, query)?;
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
            let name = name_at(strings, symbol.st_name(endian) as usize).filter(|_| is_here)?;
            (name == wanted.as_bytes()).then(|| Found {
                address: symbol.st_value(endian).into(),
                size: symbol.st_size(endian).into(),
                local: symbol.st_bind() == STB_LOCAL,
                indirect: symbol.st_type() == STT_GNU_IFUNC,
            })
        })
        .collect()
}

/// The functions of this name that Go's runtime knows.
fn go_functions(go: &GoFunctions, wanted: &str) -> Vec<Found> {
    go.iter()
        .filter(|function| function.name == wanted.as_bytes())
        .map(|function| Found {
            address: function.address,
            size: function.size,
            local: false,
            indirect: false,
        })
        .collect()
}

/// The one that is meant: an exported function before a local one, and of several names at one place the longest.
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
    let longest = candidates.iter().max_by_key(|found| found.size);
    let Some(first) = longest.copied() else {
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

/// A probe behind the end would be in another function, or in what fills the gap between them.
fn require_inside(function: &Found, binary: &Binary<'_>, query: &Query<'_>) -> Result<(), Failure> {
    let Query {
        function: name,
        offset,
        ..
    } = query;
    let size = function.size;
    if size == 0 || *offset < size {
        return Ok(());
    }
    let cause = format!(
        "function \"{name}\" is {size:#x} bytes long: offset {offset:#x} is behind its end"
    );
    Err(binary
        .failure(FailureCode::InvalidArgument, &cause)
        .remedy(format!("give an offset below {size:#x}")))
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
        "it has no symbols, nor a table of functions of Go 1.18 or later: give the offset in the file instead of the name"
            .to_owned()
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
            let name = name_at(strings, symbol.st_name(endian) as usize).filter(|_| is_here)?;
            std::str::from_utf8(name).ok()
        })
}

fn go_function_names(go: &GoFunctions) -> impl Iterator<Item = &str> {
    go.iter()
        .filter_map(|function| std::str::from_utf8(function.name).ok())
}

/// The name at a place. Nobody can ask for a longer one, and no file can have the same bytes read for each of its symbols.
pub(crate) fn name_at(strings: &[u8], offset: usize) -> Option<&[u8]> {
    let rest = strings.get(offset..)?;
    let end = rest
        .iter()
        .take(ipc::limits::NAME_BYTES + 1)
        .position(|byte| *byte == 0)?;
    rest.get(..end)
}

#[cfg(test)]
mod tests;
