//! Tracepoints by name, through tracefs.

use super::{Error, suggest};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where tracefs is mounted: its own place, and where older systems have it.
const ROOTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What tracefs says about a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lookup {
    /// The number for perf_event_open.
    Found(u64),
    /// There is no such tracepoint; these are like it.
    Missing(Vec<String>),
    /// This process may not look: tracefs belongs to root alone.
    Unreadable,
    /// Tracefs is not mounted.
    Unmounted,
}

/// Looks a tracepoint up.
pub fn lookup(group: &str, name: &str) -> Result<Lookup, Error> {
    for root in ROOTS {
        let events = Path::new(root).join("events");
        // Existence can be seen without the right to look inside; an empty mount point has no `events`.
        match fs::metadata(&events) {
            Ok(_) => return lookup_in(&events, group, name),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Ok(Lookup::Unreadable);
            }
            Err(_) => {}
        }
    }
    Ok(Lookup::Unmounted)
}

fn lookup_in(events: &Path, group: &str, name: &str) -> Result<Lookup, Error> {
    if !is_component(group) || !is_component(name) {
        return Ok(Lookup::Missing(Vec::new()));
    }
    match fs::read_to_string(events.join(group).join(name).join("id")) {
        Ok(id) => {
            let id = id.trim().parse();
            id.map(Lookup::Found)
                .map_err(|_| Error::new("a tracepoint's id", rustix::io::Errno::INVAL))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Lookup::Unreadable),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(
            Lookup::Missing(suggest::near(&format!("{group}/{name}"), all(events))),
        ),
        Err(error) => Err(Error::from_io("reading a tracepoint's id", &error)),
    }
}

/// A name that stays in its directory.
pub fn is_component(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && !name.bytes().any(|byte| matches!(byte, b'/' | 0))
}

/// Every `group/name`.
fn all(events: &Path) -> impl Iterator<Item = String> {
    directories(events).flat_map(|(group, path)| {
        directories(&path).map(move |(name, _)| format!("{group}/{name}"))
    })
}

fn directories(path: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracefs() -> tempfile::TempDir {
        let events = tempfile::tempdir().unwrap();
        for (name, id) in [
            ("sched/sched_switch", "314\n"),
            ("syscalls/sys_enter_openat", "612\n"),
        ] {
            let directory = events.path().join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("id"), id).unwrap();
        }
        fs::write(events.path().join("sched/enable"), "0\n").unwrap();
        events
    }

    #[test]
    fn a_tracepoint_is_found() {
        assert_eq!(
            lookup_in(tracefs().path(), "sched", "sched_switch").unwrap(),
            Lookup::Found(314)
        );
    }

    #[test]
    fn a_missing_one_comes_with_what_is_like_it() {
        assert_eq!(
            lookup_in(tracefs().path(), "sched", "sched_swich").unwrap(),
            Lookup::Missing(vec!["sched/sched_switch".into()])
        );
        assert_eq!(
            lookup_in(tracefs().path(), "sched", "enable").unwrap(),
            Lookup::Missing(Vec::new())
        );
    }

    #[test]
    fn names_do_not_leave_tracefs() {
        for (group, name) in [
            ("..", "sched"),
            ("", "x"),
            ("a/b", "c"),
            ("sched", "\0"),
            (".", "."),
        ] {
            assert_eq!(
                lookup_in(tracefs().path(), group, name).unwrap(),
                Lookup::Missing(Vec::new())
            );
        }
    }
}
