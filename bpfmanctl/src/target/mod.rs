//! What a uprobe is put into: a path, or the name of a library that is looked up as the dynamic linker would.
//!
//! The file is found and opened here, with the user's rights; the service gets a descriptor.

mod ld_cache;
mod proc_maps;

use crate::limits::{LD_CACHE_BYTES, PROC_MAPS_BYTES};
use crate::object::{open_regular, read_bounded};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Why there is nothing to put a probe into.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The process's mappings cannot be read.
    #[error(
        "resolve: cannot read the mappings of process {pid}: {source}; is it running, and yours?"
    )]
    Maps {
        /// Process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// No file goes by the name.
    #[error(
        "resolve: target \"{target}\" is neither an absolute path nor a library that {places}; give its absolute path"
    )]
    NotFound {
        /// What the user wrote.
        target: String,
        /// Where it was looked for.
        places: String,
    },
    /// The path cannot be opened as a regular file.
    #[error("resolve: target \"{}\" {cause}; {remedy}", path.display())]
    Open {
        /// Path.
        path: PathBuf,
        /// Why.
        cause: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// Finds and opens a target: mapped by the process, else the path itself, else a library of the linker's cache.
///
/// # Errors
///
/// When nothing is found, or what is found is not a regular file that the user may read.
pub fn open_target(target: &str, pid: Option<i32>) -> Result<(PathBuf, OwnedFd), TargetError> {
    let path = resolve(
        target,
        pid.filter(|pid| *pid > 0),
        Path::new("/etc/ld.so.cache"),
    )?;
    match open_regular(&path) {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(TargetError::Open {
            path,
            cause: error.to_string(),
            remedy: error.remedy(),
        }),
    }
}

fn resolve(target: &str, pid: Option<i32>, cache: &Path) -> Result<PathBuf, TargetError> {
    let mut places = "the linker knows (/etc/ld.so.cache)".to_owned();
    if let Some(pid) = pid {
        if let Some(path) =
            mapped(target, pid).map_err(|source| TargetError::Maps { pid, source })?
        {
            return Ok(path);
        }
        places = format!("process {pid} has mapped or {places}");
    }
    if target.starts_with('/') {
        return Ok(PathBuf::from(target));
    }
    // A cache that is missing or unreadable knows no library.
    let cache = read_bounded(cache, LD_CACHE_BYTES).unwrap_or_default();
    ld_cache::find(&cache, |name| is_library(name, target.as_bytes())).ok_or_else(|| {
        TargetError::NotFound {
            target: target.to_owned(),
            places,
        }
    })
}

fn mapped(target: &str, pid: i32) -> io::Result<Option<PathBuf>> {
    let maps = File::open(format!("/proc/{pid}/maps"))?;
    for line in BufReader::new(maps.take(PROC_MAPS_BYTES)).split(b'\n') {
        let line = line?;
        if let Some(path) = proc_maps::path(&line)
            && is_library(proc_maps::base_name(path), target.as_bytes())
        {
            return Ok(Some(proc_maps::to_path(path)));
        }
    }
    Ok(None)
}

/// Whether a file is meant by a target: by its whole name if that has a version, else `libc` is `libc.so.6` or
/// `libc-2.36.so`.
fn is_library(file: &[u8], target: &[u8]) -> bool {
    if target.windows(3).any(|part| part == b".so") {
        return file == target;
    }
    file.strip_prefix(target)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b".so") || rest.starts_with(b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_by_short_and_by_whole_name() {
        for file in ["libc.so.6", "libc-2.36.so", "libc.so"] {
            assert!(is_library(file.as_bytes(), b"libc"), "{file}");
        }
        for file in ["libcap.so.2", "libc.a", "liblibc.so", "LIBC.so"] {
            assert!(!is_library(file.as_bytes(), b"libc"), "{file}");
        }
        assert!(is_library(b"libc.so.6", b"libc.so.6"));
        assert!(!is_library(b"libc.so.6", b"libc.so"));
        assert!(is_library(b"bash", b"bash"));
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        let (path, _file) = open_target("/etc/passwd", None).unwrap();
        assert_eq!(path, Path::new("/etc/passwd"));
        let missing = open_target("/nowhere/lib.so", None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            missing,
            "resolve: target \"/nowhere/lib.so\" does not exist; check the path"
        );
        let directory = open_target("/", None).unwrap_err().to_string();
        assert_eq!(
            directory,
            "resolve: target \"/\" is a directory; name a file in it"
        );
        let device = open_target("/dev/null", None).unwrap_err().to_string();
        assert_eq!(
            device,
            "resolve: target \"/dev/null\" is not a regular file; name a regular file"
        );
    }

    #[test]
    fn libraries_of_this_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (path, _file) = open_target("libc", Some(pid)).unwrap();
        assert!(path.is_absolute());
        assert!(
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("libc"),
            "{path:?}"
        );
    }

    #[test]
    fn libraries_of_the_linker() {
        let (path, _file) = open_target("libc", None).unwrap();
        let (whole, _file) = open_target("libc.so.6", None).unwrap();
        assert_eq!(path, whole);
        assert!(path.is_absolute());
    }

    #[test]
    fn what_is_nowhere_is_named() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let error = open_target("libnowhere", Some(pid))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!(
                "resolve: target \"libnowhere\" is neither an absolute path nor a library that process {pid} has \
                 mapped or the linker knows (/etc/ld.so.cache); give its absolute path"
            )
        );
        assert!(
            open_target("./a.out", None)
                .unwrap_err()
                .to_string()
                .contains("absolute path")
        );
        assert!(matches!(
            resolve("libc", None, Path::new("/nowhere")),
            Err(TargetError::NotFound { .. })
        ));
    }

    #[test]
    fn mappings_that_cannot_be_read_are_an_error() {
        // Pids end at 2^22.
        let error = open_target("/etc/passwd", Some(i32::MAX))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cannot read the mappings of process 2147483647"),
            "{error}"
        );
    }
}
