//! Finds where in the file of a program or library a statically defined probe (USDT, `DTRACE_PROBE` of `<sys/sdt.h>`) is:
//! each place at which the compiler put it has a note in the section `.note.stapsdt`.
//!
//! The notes also say in which registers the arguments of the probe are. That is not read: programs get it from a map which
//! libbpf fills, and find that map empty here.

use crate::binary::{Binary, Headers};
use crate::compile::similar;
use ipc::limits::{NAME_BYTES, PROBE_PLACES};
use ipc::messages::attach::ProbePlace;
use ipc::messages::failure::{Failure, FailureCode};
use object::elf::{FileHeader32, FileHeader64, PF_W, PF_X};
use object::read::elf::{FileHeader, NoteIterator, SectionHeader as _};
use object::{Endian as _, Endianness, FileKind};
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// What the user calls the binary.
    pub target: &'q str,
    /// Provider of the probe.
    pub provider: &'q str,
    /// Its name.
    pub name: &'q str,
}

/// A note, as it stands in the file.
struct Note<'n> {
    provider: &'n [u8],
    name: &'n [u8],
    /// Address of the probe, as the linker laid the file out first.
    address: u64,
    /// Address of the section `.stapsdt.base` at that time: what has moved it since has moved the probe.
    base: u64,
    /// Address of the counter, 0 for none.
    semaphore: u64,
}

/// The places of the probe in `file`, ascending.
pub fn resolve(file: BorrowedFd<'_>, query: &Query<'_>) -> Result<Vec<ProbePlace>, Failure> {
    let binary = Binary::open(file, query.target)?;
    match binary.kind {
        FileKind::Elf32 => search::<FileHeader32<Endianness>>(&binary, query),
        _ => search::<FileHeader64<Endianness>>(&binary, query),
    }
}

fn search<H: FileHeader<Endian = Endianness>>(
    binary: &Binary<'_>,
    query: &Query<'_>,
) -> Result<Vec<ProbePlace>, Failure> {
    /// `NT_STAPSDT`.
    const PROBE: u32 = 3;
    let headers = binary.headers::<H>()?;
    let endian = headers.endian;
    let bad = |_| binary.malformed_headers();
    let sections = headers.header.sections(endian, &binary.data).map_err(bad)?;
    let base = sections
        .section_by_name(endian, b".stapsdt.base")
        .map(|(_, section)| section.sh_addr(endian).into());
    let Some((_, section)) = sections.section_by_name(endian, b".note.stapsdt") else {
        return Err(binary
            .failure(FailureCode::NotFound, "it has no statically defined probes")
            .remedy("see `readelf -n` for the probes of a binary; debug files have none"));
    };
    let table = binary.table(
        section.sh_offset(endian).into(),
        section.sh_size(endian).into(),
    )?;
    let mut notes =
        NoteIterator::<H>::new(endian, section.sh_addralign(endian), &table).map_err(bad)?;
    let mut places = BTreeSet::new();
    let mut known = BTreeSet::new();
    while let Some(note) = notes.next().map_err(bad)? {
        if note.name() != b"stapsdt" || note.n_type(endian) != PROBE {
            continue;
        }
        let note = parse(note.desc(), endian, headers.header.is_type_64())
            .ok_or_else(|| binary.malformed("a note of a probe is malformed"))?;
        if note.provider == query.provider.as_bytes() && note.name == query.name.as_bytes() {
            let place = place(&note, base, &headers)
                .ok_or_else(|| binary.malformed("a probe is not in its code"))?;
            places.insert((place.offset, place.semaphore));
        } else if let Some(name) = full_name(&note) {
            known.insert(name);
        }
    }
    if places.is_empty() {
        return Err(not_found(binary, query, &known));
    }
    if places.len() > PROBE_PLACES {
        let cause = format!(
            "probe \"{}:{}\" is at {} places, {PROBE_PLACES} is the limit",
            query.provider,
            query.name,
            places.len()
        );
        return Err(binary.failure(FailureCode::ResourceExhausted, &cause));
    }
    let place = |(offset, semaphore)| ProbePlace { offset, semaphore };
    Ok(places.into_iter().map(place).collect())
}

/// Three addresses and three texts, the last of which says where the arguments are.
fn parse(mut rest: &[u8], endian: Endianness, is_64: bool) -> Option<Note<'_>> {
    let mut number = || {
        if is_64 {
            let (bytes, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(endian.read_u64(*bytes))
        } else {
            let (bytes, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(u64::from(endian.read_u32(*bytes)))
        }
    };
    let (address, base, semaphore) = (number()?, number()?, number()?);
    let mut texts = rest.split(|byte| *byte == 0);
    Some(Note {
        provider: texts.next()?,
        name: texts.next()?,
        address,
        base,
        semaphore,
    })
}

fn place<H: FileHeader<Endian = Endianness>>(
    note: &Note<'_>,
    base: Option<u64>,
    headers: &Headers<'_, H>,
) -> Option<ProbePlace> {
    let moved = base.map_or(0, |base| base.wrapping_sub(note.base));
    Some(ProbePlace {
        offset: headers.file_offset(note.address.wrapping_add(moved), PF_X)?,
        semaphore: match note.semaphore {
            0 => 0,
            semaphore => headers.file_offset(semaphore.wrapping_add(moved), PF_W)?,
        },
    })
}

fn full_name(note: &Note<'_>) -> Option<String> {
    let [provider, name] = [note.provider, note.name].map(|text| std::str::from_utf8(text).ok());
    let name = format!("{}:{}", provider?, name?);
    (name.len() <= NAME_BYTES).then_some(name)
}

fn not_found(binary: &Binary<'_>, query: &Query<'_>, known: &BTreeSet<String>) -> Failure {
    let wanted = format!("{}:{}", query.provider, query.name);
    let suggestions = similar(&wanted, known.iter().map(String::as_str));
    let remedy = if suggestions.is_empty() {
        format!("see `readelf -n {}` for its probes", query.target)
    } else {
        format!("did you mean: {}?", suggestions.join(", "))
    };
    let cause = format!("probe \"{wanted}\" not found");
    binary.failure(FailureCode::NotFound, &cause).remedy(remedy)
}
