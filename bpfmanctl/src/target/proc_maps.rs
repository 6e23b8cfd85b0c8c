//! Lines of `/proc/<pid>/maps`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The file of a line: `address permissions offset device inode path`. Mappings without a file, or of one that is gone,
/// have none.
pub(super) fn path(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for _ in 0..5 {
        let end = rest.iter().position(|byte| *byte == b' ')?;
        rest = rest[end..].trim_ascii_start();
    }
    (rest.starts_with(b"/") && !rest.ends_with(b" (deleted)")).then_some(rest)
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
        assert_eq!(path(file), Some(&b"/usr/lib/my lib.so"[..]));
        assert_eq!(base_name(b"/usr/lib/my lib.so"), b"my lib.so");
        for none in [
            &b"7f00-7f01 rw-p 00000000 00:00 0 "[..],
            b"7f00-7f01 rw-p 00000000 00:00 0",
            b"7f00-7f01 rw-p 00000000 00:00 0                 [heap]",
            b"7f00-7f01 r-xp 00000000 fe:00 9                 /usr/lib/old.so (deleted)",
            b"",
        ] {
            assert_eq!(path(none), None, "{}", String::from_utf8_lossy(none));
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
            if let Some(path) = path(&line) {
                base_name(path);
                to_path(path);
            }
        }
    }
}
