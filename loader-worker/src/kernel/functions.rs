//! Names of kernel functions that can be traced, for suggestions.

use super::limits::FUNCTION_LIST_BYTES;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

/// The list of the function tracer, in tracefs: one name in a line, behind it the module. Addresses, for which
/// /proc/kallsyms would need CAP_SYSLOG, are not in it.
const LISTS: [&str; 2] = [
    "/sys/kernel/tracing/available_filter_functions",
    "/sys/kernel/debug/tracing/available_filter_functions",
];

/// Every name; none where the list cannot be read.
pub fn traceable() -> impl Iterator<Item = String> {
    LISTS
        .into_iter()
        .find_map(|path| File::open(path).ok())
        .into_iter()
        .flat_map(|list| names(list.take(FUNCTION_LIST_BYTES)))
}

fn names(list: impl Read) -> impl Iterator<Item = String> {
    let lines = BufReader::new(list).lines().map_while(Result::ok);
    lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_cut_off() {
        let list = "do_unlinkat\nveth_xmit [veth]\n\nvfs_read\n";
        let found: Vec<String> = names(list.as_bytes()).collect();
        assert_eq!(found, ["do_unlinkat", "veth_xmit", "vfs_read"]);
    }

    #[test]
    fn what_is_no_text_ends_the_list() {
        let found: Vec<String> = names(&b"vfs_read\n\xff\nvfs_write\n"[..]).collect();
        assert_eq!(found, ["vfs_read"]);
    }
}
