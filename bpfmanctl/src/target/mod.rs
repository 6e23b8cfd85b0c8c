//! What a uprobe is put into: a path, or the name of a library that is looked up as the dynamic linker would.
//!
//! The file is found and opened here, with the user's rights; the service gets a descriptor. In a container, paths begin at the
//! root of a process there, and no link leads out of it.

mod proc_maps;
mod root;

use crate::limits::PROC_MAPS_BYTES;
use crate::object::{OpenError, open_regular, read_bounded_from};
use image_worker::ld_cache::{self, is_library};
use image_worker::limits::LD_CACHE_BYTES;
use root::Root;
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
    /// The files of a process cannot be had.
    #[error(
        "resolve: container namespace for PID {pid} not accessible (tried /proc/{pid}/root and /host/proc/{pid}/root): \
         {source}; is it running, and yours?"
    )]
    Container {
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
    #[error("resolve: target \"{}\"{place} {cause}; {remedy}", path.display())]
    Open {
        /// Path.
        path: PathBuf,
        /// Among whose files, if not the user's own.
        place: String,
        /// Why.
        cause: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// Finds and opens a target: mapped by the process, else the path itself, else a library of the linker's cache. The last two
/// are those that `container_pid` sees, if there is one.
///
/// # Errors
///
/// When nothing is found, or what is found is not a regular file that the user may read.
pub fn open_target(
    target: &str,
    pid: Option<i32>,
    container_pid: Option<i32>,
) -> Result<(PathBuf, OwnedFd), TargetError> {
    let pid = pid.filter(|pid| *pid > 0);
    let root = match container_pid.filter(|pid| *pid > 0) {
        Some(pid) => container(pid)?,
        None => Root::Own,
    };
    if let Some(pid) = pid
        && let Some(found) = open_mapped(target, pid)?
    {
        return Ok(found);
    }
    let path = look_up(target, pid, &root)?;
    let file = root
        .open(&path)
        .map_err(|error| unopened(&path, &root, error))?;
    Ok((path, file))
}

fn container(pid: i32) -> Result<Root, TargetError> {
    Root::of(pid).map_err(|errno| TargetError::Container {
        pid,
        source: errno.into(),
    })
}

fn unopened(path: &Path, root: &Root, error: OpenError) -> TargetError {
    TargetError::Open {
        path: path.to_owned(),
        place: root.to_string(),
        cause: error.to_string(),
        remedy: error.remedy(),
    }
}

/// The path of a target that no process has mapped.
fn look_up(target: &str, pid: Option<i32>, root: &Root) -> Result<PathBuf, TargetError> {
    if target.starts_with('/') {
        return Ok(PathBuf::from(target));
    }
    // A cache that is missing or unreadable knows no library.
    let cache = root
        .open(Path::new(ld_cache::PATH))
        .ok()
        .and_then(|cache| read_bounded_from(cache.into(), LD_CACHE_BYTES).ok())
        .unwrap_or_default();
    ld_cache::find(&cache, target).ok_or_else(|| {
        let linker = format!("the linker knows ({}{root})", ld_cache::PATH);
        TargetError::NotFound {
            target: target.to_owned(),
            places: match pid {
                Some(pid) => format!("process {pid} has mapped or {linker}"),
                None => linker,
            },
        }
    })
}

/// The file that a process has mapped, wherever that is. The user's right to read the mappings is that to see the process's
/// root; its file itself can be had with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
fn open_mapped(target: &str, pid: i32) -> Result<Option<(PathBuf, OwnedFd)>, TargetError> {
    let Some((name, path)) =
        mapped(target, pid).map_err(|source| TargetError::Maps { pid, source })?
    else {
        return Ok(None);
    };
    let itself = PathBuf::from(format!("/proc/{pid}/map_files/{name}"));
    if let Ok(file) = open_regular(&itself) {
        return Ok(Some((path, file)));
    }
    let root = container(pid)?;
    let file = root
        .open(&path)
        .map_err(|error| unopened(&path, &root, error))?;
    Ok(Some((path, file)))
}

/// The first mapping of a file that is meant: its name in `map_files`, and the file's path.
fn mapped(target: &str, pid: i32) -> io::Result<Option<(String, PathBuf)>> {
    let maps = File::open(format!("/proc/{pid}/maps"))?;
    for line in BufReader::new(maps.take(PROC_MAPS_BYTES)).split(b'\n') {
        let line = line?;
        if let Some(mapping) = proc_maps::mapping(&line)
            && is_library(proc_maps::base_name(mapping.path), target)
        {
            return Ok(Some((
                mapping.file_name(),
                proc_maps::to_path(mapping.path),
            )));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are() {
        let (path, _file) = open_target("/etc/passwd", None, None).unwrap();
        assert_eq!(path, Path::new("/etc/passwd"));
        let missing = open_target("/nowhere/lib.so", None, None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            missing,
            "resolve: target \"/nowhere/lib.so\" does not exist; check the path"
        );
        let directory = open_target("/", None, None).unwrap_err().to_string();
        assert_eq!(
            directory,
            "resolve: target \"/\" is a directory; name a file in it"
        );
        let device = open_target("/dev/null", None, None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            device,
            "resolve: target \"/dev/null\" is not a regular file; name a regular file"
        );
    }

    #[test]
    fn libraries_of_this_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (path, _file) = open_target("libc", Some(pid), None).unwrap();
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
        let (path, _file) = open_target("libc", None, None).unwrap();
        let (whole, _file) = open_target("libc.so.6", None, None).unwrap();
        assert_eq!(path, whole);
        assert!(path.is_absolute());
    }

    #[test]
    fn what_is_nowhere_is_named() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let error = open_target("libnowhere", Some(pid), None)
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
            open_target("./a.out", None, None)
                .unwrap_err()
                .to_string()
                .contains("absolute path")
        );
        let error = open_target("libnowhere", None, Some(pid))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!(
                "/etc/ld.so.cache among the files of process {pid}"
            )),
            "{error}"
        );
    }

    #[test]
    fn mappings_that_cannot_be_read_are_an_error() {
        // Pids end at 2^22.
        let error = open_target("/etc/passwd", Some(i32::MAX), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cannot read the mappings of process 2147483647"),
            "{error}"
        );
    }

    #[test]
    fn files_as_a_process_sees_them() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (own, _file) = open_target("libc", None, None).unwrap();
        let (path, _file) = open_target("libc", None, Some(pid)).unwrap();
        assert_eq!(path, own);
        let error = open_target("/nowhere/a.out", None, Some(pid)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "resolve: target \"/nowhere/a.out\" among the files of process {pid} does not exist; check the path"
            )
        );
        let error = open_target("/etc/passwd", None, Some(i32::MAX)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "resolve: container namespace for PID 2147483647 not accessible (tried /proc/2147483647/root and \
             /host/proc/2147483647/root): No such file or directory (os error 2); is it running, and yours?"
        );
    }
}
