//! The ELF file of a program or library, in which a place for a probe is looked for.
//!
//! It is read at positions, table by table; it is never mapped and never read as a whole.

use crate::input::{regular_file_size, unreadable};
use crate::limits;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use object::elf::{PN_XNUM, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader as _};
use object::{Endianness, FileKind, ReadCache, ReadCacheOps};
use rustix::io::pread;
use std::os::fd::BorrowedFd;

/// An open binary.
pub(crate) struct Binary<'f> {
    /// 32 or 64 bits.
    pub(crate) kind: FileKind,
    /// For the parser.
    pub(crate) data: ReadCache<Positioned<'f>>,
    file: Positioned<'f>,
    /// What the user calls it.
    pub(crate) name: &'f str,
}

/// What of its headers is needed.
pub(crate) struct Headers<'b, H: FileHeader> {
    /// Of the file.
    pub(crate) header: &'b H,
    /// Byte order.
    pub(crate) endian: Endianness,
    segments: &'b [H::ProgramHeader],
}

impl<'f> Binary<'f> {
    /// Looks at what kind of file it is.
    pub(crate) fn open(file: BorrowedFd<'f>, name: &'f str) -> Result<Self, Failure> {
        let file = Positioned {
            file,
            position: 0,
            length: regular_file_size(file, Stage::Resolve)?,
        };
        let data = ReadCache::new(file);
        let kind = FileKind::parse(&data);
        let mut binary = Self {
            kind: FileKind::Elf64,
            data,
            file,
            name,
        };
        match kind {
            Ok(kind @ (FileKind::Elf64 | FileKind::Elf32)) => binary.kind = kind,
            _ => return Err(binary.malformed("it is not an ELF file")),
        }
        Ok(binary)
    }

    /// The headers, whose numbers of sections and segments have a bound.
    pub(crate) fn headers<H: FileHeader<Endian = Endianness>>(
        &self,
    ) -> Result<Headers<'_, H>, Failure> {
        let bad = |_| self.malformed_headers();
        let header = H::parse(&self.data).map_err(bad)?;
        let endian = header.endian().map_err(bad)?;
        // Numbers that do not fit the header stand elsewhere and have no bound; no program has as many sections.
        let extended = header.e_shnum(endian) == 0 && header.e_shoff(endian).into() != 0;
        if extended || header.e_phnum(endian) == PN_XNUM {
            return Err(self.malformed("it has too many sections"));
        }
        let segments = header.program_headers(endian, &self.data).map_err(bad)?;
        Ok(Headers {
            header,
            endian,
            segments,
        })
    }

    /// A table of the file.
    pub(crate) fn table(&self, offset: u64, size: u64) -> Result<Vec<u8>, Failure> {
        if size > limits::SYMBOL_TABLE_BYTES {
            return Err(self
                .failure(
                    FailureCode::ResourceExhausted,
                    "its symbol table is too large to search",
                )
                .remedy("give the offset in the file instead of the name"));
        }
        if offset
            .checked_add(size)
            .is_none_or(|end| end > self.file.length)
        {
            return Err(self.malformed("it is truncated: its symbols lie beyond its end"));
        }
        // Checked against the bound just now.
        let mut bytes = vec![0; size as usize];
        let mut done = 0;
        while done < bytes.len() {
            match pread(self.file.file, &mut bytes[done..], offset + done as u64) {
                Ok(0) => return Err(self.malformed("it became shorter while it was read")),
                Ok(read) => done += read,
                Err(error) => return Err(unreadable(Stage::Resolve, error)),
            }
        }
        Ok(bytes)
    }

    pub(crate) fn failure(&self, code: FailureCode, cause: &str) -> Failure {
        Failure::new(code, Stage::Resolve, format!("{}: {cause}", self.name))
    }

    pub(crate) fn malformed(&self, what: &str) -> Failure {
        self.failure(FailureCode::InvalidArgument, what)
            .remedy("the target must be an ELF program or shared library")
    }

    pub(crate) fn malformed_headers(&self) -> Failure {
        self.malformed("its ELF headers are malformed")
    }
}

impl<H: FileHeader<Endian = Endianness>> Headers<'_, H> {
    /// Where in the file an address lies, in a segment with these flags.
    pub(crate) fn file_offset(&self, address: u64, flags: u32) -> Option<u64> {
        let endian = self.endian;
        self.segments
            .iter()
            .filter(|segment| {
                segment.p_type(endian) == PT_LOAD && segment.p_flags(endian) & flags == flags
            })
            .find_map(|segment| {
                let within = address.checked_sub(segment.p_vaddr(endian).into())?;
                let inside = within < segment.p_filesz(endian).into();
                inside
                    .then(|| within.checked_add(segment.p_offset(endian).into()))
                    .flatten()
            })
    }
}

/// A file that is read at positions of its own: its owner shares the descriptor's position with us.
#[derive(Clone, Copy)]
pub(crate) struct Positioned<'f> {
    file: BorrowedFd<'f>,
    position: u64,
    length: u64,
}

impl ReadCacheOps for Positioned<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.length)
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let read = pread(self.file, buffer, self.position).map_err(drop)?;
        self.position += read as u64;
        Ok(read)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read(&mut buffer[done..])? {
                0 => return Err(()),
                read => done += read,
            }
        }
        Ok(())
    }
}
