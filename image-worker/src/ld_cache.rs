//! `/etc/ld.so.cache`: which file the dynamic linker takes for a library name.
//!
//! The format of glibc 2.2 and later: a header with the magic `glibc-ld.so.cache1.1`, a table of entries, then strings
//! that entries name by their offset from the header. In older caches the header stands behind a table of the format
//! before that. Numbers are in the machine's own byte order. The file is data from outside: every offset is checked.

use crate::input::read_at_most;
use crate::limits::LD_CACHE_BYTES;
use ipc::limits::PATH_BYTES;
use ipc::messages::failure::{Failure, FailureCode, Stage};
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Where it is.
pub const PATH: &str = "/etc/ld.so.cache";

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
/// magic[20], u32 entries, u32 string bytes, then flags and reserved words.
const HEADER_BYTES: usize = 48;
/// i32 flags, u32 key, u32 value, u32 osversion, u64 hwcap.
const ENTRY_BYTES: usize = 24;

const OLD_MAGIC: &[u8; 11] = b"ld.so-1.7.0";
/// magic[11], one byte of padding, u32 entries.
const OLD_HEADER_BYTES: usize = 16;
/// i32 flags, u32 key, u32 value.
const OLD_ENTRY_BYTES: usize = 12;

/// The bits of an entry's flags that name the architecture, and what they are on this one.
const ARCHITECTURE_MASK: u32 = 0xff00;
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0x0300;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0x0a00;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: u32 = 0;

/// The path of a library in an open cache.
pub fn look_up(cache: BorrowedFd<'_>, target: &str) -> Result<String, Failure> {
    let cache = read_at_most(cache, LD_CACHE_BYTES, Stage::Resolve)?;
    let path = find(&cache, target).and_then(|path| path.into_os_string().into_string().ok());
    path.filter(|path| path.len() <= PATH_BYTES).ok_or_else(|| {
        let cause = format!(
            "target \"{target}\" is neither an absolute path nor a library that the linker knows ({PATH})"
        );
        Failure::new(FailureCode::NotFound, Stage::Resolve, cause).remedy("give its absolute path")
    })
}

/// The path of the first library that is meant; one of this machine's architecture if there is any. A cache that is damaged
/// has the entries up to the damage.
pub fn find(cache: &[u8], target: &str) -> Option<PathBuf> {
    let mut other = None;
    for entry in entries(cache) {
        let Some(entry) = entry else { break };
        // The linker takes a relative path for nothing either.
        if !is_library(entry.name, target) || !entry.path.starts_with(b"/") {
            continue;
        }
        if entry.flags & ARCHITECTURE_MASK == ARCHITECTURE {
            return Some(to_path(entry.path));
        }
        other = other.or(Some(entry.path));
    }
    other.map(to_path)
}

/// Whether a file is meant by a target: by its whole name if that has a version, else `libc` is `libc.so.6` or
/// `libc-2.36.so`.
pub fn is_library(file: &[u8], target: &str) -> bool {
    let whole = target.contains(".so");
    file.strip_prefix(target.as_bytes()).is_some_and(|rest| {
        rest.is_empty() || !whole && (rest.starts_with(b".so") || rest.starts_with(b"-"))
    })
}

struct Entry<'a> {
    flags: u32,
    name: &'a [u8],
    path: &'a [u8],
}

/// The entries; `None` for one that points outside the cache.
fn entries(cache: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    let cache = current_format(cache).unwrap_or_default();
    let count = number(cache, MAGIC.len()).unwrap_or(0);
    let table = cache.get(HEADER_BYTES..).unwrap_or_default();
    table
        .chunks_exact(ENTRY_BYTES)
        .take(count as usize)
        .map(move |entry| {
            Some(Entry {
                flags: number(entry, 0)?,
                name: string(cache, number(entry, 4)?)?,
                path: string(cache, number(entry, 8)?)?,
            })
        })
}

/// The cache from its magic on, plain or behind the older format.
fn current_format(cache: &[u8]) -> Option<&[u8]> {
    if cache.starts_with(MAGIC) {
        return Some(cache);
    }
    if !cache.starts_with(OLD_MAGIC) {
        return None;
    }
    let entries = number(cache, OLD_MAGIC.len() + 1)? as usize;
    let end = entries
        .checked_mul(OLD_ENTRY_BYTES)?
        .checked_add(OLD_HEADER_BYTES)?;
    let start = end.checked_next_multiple_of(8)?;
    cache.get(start..).filter(|rest| rest.starts_with(MAGIC))
}

fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// The string at an offset, which must end.
fn string(cache: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = cache.get(offset as usize..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(&rest[..end])
}

fn to_path(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::path::Path;

    fn cache(libraries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((libraries.len() as u32).to_ne_bytes());
        bytes.resize(HEADER_BYTES, 0);
        let mut strings = Vec::new();
        let start = HEADER_BYTES + libraries.len() * ENTRY_BYTES;
        let mut place = |text: &str| {
            let offset = (start + strings.len()) as u32;
            strings.extend(text.bytes().chain([0]));
            offset
        };
        for (flags, name, path) in libraries {
            let numbers = [*flags, place(name), place(path), 0, 0, 0];
            bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        }
        bytes.extend(strings);
        bytes
    }

    fn sample() -> Vec<u8> {
        cache(&[
            (3, "libz.so.1", "/lib/other/libz.so.1"),
            (ARCHITECTURE | 3, "libz.so.1", "/lib/native/libz.so.1"),
            (3, "libonly.so.1", "/lib/other/libonly.so.1"),
            (ARCHITECTURE | 3, "librel.so.1", "rel/librel.so.1"),
        ])
    }

    #[test]
    fn libraries_of_this_architecture_are_preferred() {
        let cache = sample();
        assert_eq!(
            find(&cache, "libz.so.1").as_deref(),
            Some(Path::new("/lib/native/libz.so.1"))
        );
        assert_eq!(
            find(&cache, "libonly.so.1").as_deref(),
            Some(Path::new("/lib/other/libonly.so.1"))
        );
        assert_eq!(find(&cache, "librel.so.1"), None);
        assert_eq!(find(&cache, "libx.so.1"), None);
    }

    #[test]
    fn libraries_by_short_and_by_whole_name() {
        for file in ["libc.so.6", "libc-2.36.so", "libc.so"] {
            assert!(is_library(file.as_bytes(), "libc"), "{file}");
        }
        for file in ["libcap.so.2", "libc.a", "liblibc.so", "LIBC.so"] {
            assert!(!is_library(file.as_bytes(), "libc"), "{file}");
        }
        assert!(is_library(b"libc.so.6", "libc.so.6"));
        assert!(!is_library(b"libc.so.6", "libc.so"));
        assert!(is_library(b"bash", "bash"));
    }

    #[test]
    fn libraries_of_an_open_cache() {
        let mut file = tempfile::tempfile().unwrap();
        let long = format!("/{}", "l".repeat(PATH_BYTES));
        let libraries = [
            (ARCHITECTURE, "libz.so.1", "/lib/libz.so.1"),
            (ARCHITECTURE, "liblong.so.1", long.as_str()),
        ];
        file.write_all(&cache(&libraries)).unwrap();
        assert_eq!(
            look_up(file.as_fd(), "libz"),
            Ok("/lib/libz.so.1".to_owned())
        );
        for missing in ["libx", "liblong"] {
            let failure = look_up(file.as_fd(), missing).unwrap_err();
            assert_eq!(failure.code, FailureCode::NotFound);
            assert_eq!(
                failure.to_string(),
                format!(
                    "resolve: target \"{missing}\" is neither an absolute path nor a library that the linker knows \
                     (/etc/ld.so.cache); give its absolute path"
                )
            );
        }
    }

    #[test]
    fn the_format_behind_an_older_one() {
        let mut bytes = OLD_MAGIC.to_vec();
        bytes.push(0);
        bytes.extend(3_u32.to_ne_bytes());
        bytes.resize(OLD_HEADER_BYTES + 3 * OLD_ENTRY_BYTES, 0xff);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(sample());
        assert_eq!(
            find(&bytes, "libz.so.1").as_deref(),
            Some(Path::new("/lib/native/libz.so.1"))
        );
    }

    #[test]
    fn the_cache_of_this_host() {
        let bytes = std::fs::read("/etc/ld.so.cache").unwrap();
        let path = find(&bytes, "libc.so.6").unwrap();
        assert!(path.ends_with("libc.so.6") && path.exists(), "{path:?}");
        let count = entries(&bytes).count();
        assert!(
            count > 10 && entries(&bytes).all(|entry| entry.is_some()),
            "{count} entries"
        );
    }

    #[test]
    fn what_is_no_cache_has_no_entries() {
        for bytes in [
            &b""[..],
            b"glibc-ld.so.cache1.0",
            MAGIC,
            OLD_MAGIC,
            b"ld.so-1.7.0\0\xff\xff\xff\xff",
        ] {
            assert_eq!(find(bytes, "libz"), None);
        }
    }

    proptest! {
        #[test]
        fn a_truncated_cache_is_no_harm(length in 0..sample().len()) {
            let whole = sample();
            if let Some(found) = find(&whole[..length], "libz.so.1") {
                let paths = ["/lib/native/libz.so.1", "/lib/other/libz.so.1"];
                prop_assert!(paths.iter().any(|path| found == Path::new(path)), "{found:?}");
            }
        }

        #[test]
        fn a_cache_of_this_host_cut_anywhere_is_no_harm(cut in any::<prop::sample::Index>()) {
            let bytes = std::fs::read("/etc/ld.so.cache").unwrap();
            let cut = cut.index(bytes.len());
            find(&bytes[..cut], "no such name");
        }

        #[test]
        fn damage_is_no_harm(at in 0..sample().len(), byte: u8) {
            let mut bytes = sample();
            bytes[at] = byte;
            find(&bytes, "libz.so.1");
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let bytes = [MAGIC.as_slice(), &bytes].concat();
            find(&bytes, "");
        }
    }
}
