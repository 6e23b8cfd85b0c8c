//! Lines of `/proc/<pid>/maps`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A file that is mapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mapping<'l> {
    /// The first address, and that behind the last.
    range: (u64, u64),
    /// Where the file is, as the process that reads the line sees it; in another mount namespace, as that one sees it.
    pub(super) path: &'l [u8],
}

/// The file of a line: `address permissions offset device inode path`. Mappings without a file, or of one that is gone,
/// have none.
pub(super) fn mapping(line: &[u8]) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(2, |byte| *byte == b' ');
    let range = std::str::from_utf8(fields.next()?).ok()?;
    let (start, end) = range.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    let mut rest = fields.next()?;
    for _ in 0..4 {
        rest = rest.trim_ascii_start();
        let end = rest.iter().position(|byte| *byte == b' ')?;
        rest = &rest[end..];
    }
    let path = rest.trim_ascii_start();
    (path.starts_with(b"/") && !path.ends_with(b" (deleted)")).then_some(Mapping {
        range: (address(start)?, address(end)?),
        path,
    })
}

impl Mapping<'_> {
    /// Its name in `/proc/<pid>/map_files`, which has no leading zeros.
    pub(super) fn file_name(&self) -> String {
        let (start, end) = self.range;
        format!("{start:x}-{end:x}")
    }
}

/// What follows the last slash.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The path as it is; the kernel writes line ends in it as `\012`.
pub(super) fn to_path(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"\\012") {
            bytes.push(b'\n');
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn files_of_lines() {
        let file = b"7f00-7f01 r-xp 00028000 fe:00 1234                       /usr/lib/my lib.so";
        assert_eq!(
            mapping(file).map(|mapping| mapping.path),
            Some(&b"/usr/lib/my lib.so"[..])
        );
        let low = b"00400000-0040b000 r-xp 00000000 fe:00 1 /bin/a";
        assert_eq!(
            mapping(low).map(|mapping| mapping.file_name()),
            Some("400000-40b000".to_owned())
        );
        assert_eq!(base_name(b"/usr/lib/my lib.so"), b"my lib.so");
        for none in [
            &b"7f00-7f01 rw-p 00000000 00:00 0 "[..],
            b"7f00-7f01 rw-p 00000000 00:00 0",
            b"7f00-7f01 rw-p 00000000 00:00 0                 [heap]",
            b"7f00-7f01 r-xp 00000000 fe:00 9                 /usr/lib/old.so (deleted)",
            b"",
            b"7f00 r-xp 00028000 fe:00 1234 /usr/lib/lib.so",
            b"x-7f01 r-xp 00028000 fe:00 1234 /usr/lib/lib.so",
        ] {
            assert_eq!(mapping(none), None, "{}", String::from_utf8_lossy(none));
        }
    }

    #[test]
    fn line_ends_in_names() {
        assert_eq!(to_path(b"/a\\012b"), Path::new("/a\nb"));
        assert_eq!(to_path(b"/a\\01"), Path::new("/a\\01"));
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(mapping) = mapping(&line) {
                base_name(mapping.path);
                to_path(mapping.path);
                mapping.file_name();
            }
        }
    }
}
