//! Names and numbers of groups, from `/etc/group`.
//!
//! The file is read directly: the C library's lookup would load plug-ins into a process that has to be gone in
//! milliseconds. Groups of a directory service are given by number.

use crate::limits::GROUP_FILE_BYTES;
use crate::object::read_bounded;
use std::path::Path;

/// The number of a group given by name or number.
pub(crate) fn resolve(text: &str) -> Result<u32, String> {
    if let Ok(gid) = text.parse() {
        return Ok(gid);
    }
    find(&read(), text).ok_or_else(|| {
        format!("group \"{text}\" is not in /etc/group: give its number if it comes from elsewhere")
    })
}

/// The name of a group, if the file has it.
pub(crate) fn name(gid: u32) -> Option<String> {
    entries(&read())
        .find(|(_, id)| *id == gid)
        .map(|(name, _)| name.to_owned())
}

/// A file that cannot be read has no groups.
fn read() -> String {
    let contents = read_bounded(Path::new("/etc/group"), GROUP_FILE_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&contents).into_owned()
}

fn find(contents: &str, name: &str) -> Option<u32> {
    entries(contents)
        .find(|(entry, _)| *entry == name)
        .map(|(_, gid)| gid)
}

/// Lines are `name:password:gid:members`; others are passed over.
fn entries(contents: &str) -> impl Iterator<Item = (&str, u32)> {
    contents.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "root:x:0:\nbroken\n:x:7:\nbpfman:x:998:alice,bob\nodd:x:-1:\n";

    #[test]
    fn groups_are_found_by_name() {
        assert_eq!(find(FILE, "bpfman"), Some(998));
        assert_eq!(find(FILE, "root"), Some(0));
        assert_eq!(find(FILE, "broken"), None);
        assert_eq!(find(FILE, "odd"), None);
        assert_eq!(find(FILE, ""), None);
    }

    #[test]
    fn numbers_need_no_file() {
        assert_eq!(resolve("4242"), Ok(4242));
    }

    #[test]
    fn unknown_groups_are_named() {
        let error = resolve("no-such-group-anywhere").unwrap_err();
        assert!(error.contains("\"no-such-group-anywhere\""), "{error}");
    }

    #[test]
    fn group_zero_is_root_here() {
        assert_eq!(name(0).as_deref(), Some("root"));
        assert_eq!(resolve("root"), Ok(0));
    }
}
