//! Layers as tools make them, and as nobody should.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write as _;
use tar::{Builder, Header};

fn elf(bytes: usize) -> Vec<u8> {
    let mut object = ELF.to_vec();
    object.resize(bytes, 7);
    object
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// An archive; paths are written as they are, which the library's own methods would refuse.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, data) in entries {
        let mut header = header(*kind, data.len() as u64);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/shadow").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn one(path: &str, data: &[u8]) -> Vec<u8> {
    archive(&[(path, EntryType::Regular, data)])
}

fn cause(layer: &[u8]) -> String {
    object(layer).expect_err("refused").to_string()
}

#[test]
fn archives_and_bare_objects_in_every_compression() {
    let object_file = elf(5000);
    for plain in [one("prog.o", &object_file), object_file.clone()] {
        for layer in [plain.clone(), gzip(&plain), zstd(&plain)] {
            assert_eq!(object(&layer).unwrap(), object_file);
        }
    }
}

#[test]
fn several_members_and_frames_are_one_stream() {
    let plain = one("prog.o", &elf(5000));
    let (head, tail) = plain.split_at(700);
    assert!(object(&[gzip(head), gzip(tail)].concat()).is_ok());
    let skippable = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let frames = [&skippable[..], &zstd(head), &skippable, &zstd(tail)].concat();
    assert_eq!(object(&frames).unwrap(), elf(5000));
    assert!(cause(&skippable[..9]).contains("ends within a frame"));
    let mut many = zstd(&plain);
    let empty = zstd(b"");
    for _ in 0..limits::ZSTD_FRAMES - 1 {
        many.extend(&empty);
    }
    assert!(object(&many).is_ok());
    many.extend(&empty);
    assert!(cause(&many).contains("zstd frames"));
}

#[test]
fn the_object_is_found_by_name_and_content() {
    let file = EntryType::Regular;
    let (first, second) = (elf(10), elf(20));
    let layer = archive(&[
        ("./", EntryType::Directory, b""),
        ("README", file, b"text"),
        ("bin/tool", file, &first),
        ("a.o", file, b"not an object"),
        ("b.o", file, &second),
        ("c.o", file, &first),
    ]);
    assert_eq!(object(&layer).unwrap(), second);
    let unnamed = archive(&[("README", file, b""), ("bytecode", file, &first)]);
    assert_eq!(object(&unnamed).unwrap(), first);
    assert!(cause(&one("README", b"text")).contains("no object file"));
    assert!(cause(b"text").contains("neither"));
    assert!(cause(b"").contains("neither"));
}

#[test]
fn tricks_with_paths_and_links_are_refused() {
    let object_file = elf(10);
    for (path, word) in [
        ("../prog.o", "leads out"),
        ("a/../../prog.o", "leads out"),
        ("a/..", "leads out"),
        ("/prog.o", "absolute"),
    ] {
        assert!(cause(&one(path, &object_file)).contains(word), "{path}");
    }
    for (kind, word) in [
        (EntryType::Symlink, "symbolic link"),
        (EntryType::Link, "hard link"),
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::Fifo, "pipe"),
    ] {
        let layer = archive(&[
            ("prog.o", kind, b""),
            ("real.o", EntryType::Regular, &object_file),
        ]);
        assert!(cause(&layer).contains(word));
        // Behind the object, too.
        let layer = archive(&[
            ("real.o", EntryType::Regular, &object_file),
            ("prog.o", kind, b""),
        ]);
        assert!(cause(&layer).contains(word));
    }
}

#[test]
fn long_paths_are_bounded() {
    let of = |length: usize| {
        let mut builder = Builder::new(Vec::new());
        let object_file = elf(10);
        let path = format!("{}.o", "a/".repeat(length / 2 - 1));
        builder
            .append_data(&mut header(EntryType::Regular, 10), path, &object_file[..])
            .unwrap();
        builder.into_inner().unwrap()
    };
    assert!(object(&of(limits::ENTRY_PATH_BYTES)).is_ok());
    assert!(cause(&of(limits::ENTRY_PATH_BYTES + 2)).contains("too long"));
}

#[test]
fn bombs_are_refused_at_the_bound() {
    let zeros = vec![0; limits::UNPACKED_BYTES as usize + 1];
    for bomb in [gzip(&zeros), zstd(&zeros)] {
        assert!(bomb.len() < 1024 * 1024);
        assert!(cause(&bomb).contains("unpacked layer is larger"));
    }
    // A bomb in a bomb is only looked into once.
    assert!(cause(&gzip(&gzip(&zeros))).contains("neither"));
}

#[test]
fn sizes_are_bounded() {
    let largest = elf(limits::OBJECT_BYTES as usize);
    assert!(object(&largest).is_ok());
    assert!(object(&one("prog.o", &largest)).is_ok());
    let larger = elf(limits::OBJECT_BYTES as usize + 1);
    assert!(cause(&larger).contains("object file is larger"));
    assert!(cause(&one("prog.o", &larger)).contains("object file is larger"));
    let layer = vec![0; limits::LAYER_BYTES as usize + 1];
    assert!(cause(&layer).contains("layer is larger"));
}

#[test]
fn entries_are_counted() {
    let of = |count: usize| {
        let object_file = elf(10);
        let mut entries = vec![("d", EntryType::Directory, &b""[..]); count - 1];
        entries.push(("prog.o", EntryType::Regular, &object_file));
        archive(&entries)
    };
    assert!(object(&of(limits::ENTRIES)).is_ok());
    assert!(cause(&of(limits::ENTRIES + 1)).contains("entries"));
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let plain = one("prog.o", &elf(3000));
    for layer in [gzip(&plain), zstd(&plain)] {
        for end in 0..layer.len() {
            assert!(object(&layer[..end]).is_err(), "cut at {end}");
        }
    }
    // Within the file; the zeros at the end of an archive may be missing.
    for end in 0..512 + 3000 {
        assert!(object(&plain[..end]).is_err(), "cut at {end}");
    }
    let mut wrong = gzip(&plain);
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    assert!(object(&wrong).is_err());
    let mut trailing = gzip(&plain);
    trailing.extend(b"more");
    assert!(object(&trailing).is_err());
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(start in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let magic: &[u8] = [GZIP, ZSTD, ELF, b""][start];
        let _ = object(&[magic, &bytes].concat());
    }

    #[test]
    fn changed_archives_have_an_answer(at in 0usize..2048, byte in any::<u8>()) {
        let mut layer = one("prog.o", &elf(600));
        let at = at % layer.len();
        layer[at] = byte;
        let _ = object(&layer);
    }
}
