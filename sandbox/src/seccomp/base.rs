//! The base lists, by name.

/// What `enter` does after the filter is in force; part of every policy.
pub(super) const ALWAYS: &str = "enter";

/// Name and text of each.
pub(super) const LISTS: [(&str, &str); 7] = [
    (ALWAYS, include_str!("../../base/enter.json")),
    ("rust", include_str!("../../base/rust.json")),
    ("threads", include_str!("../../base/threads.json")),
    ("tokio", include_str!("../../base/tokio.json")),
    ("unix-socket", include_str!("../../base/unix-socket.json")),
    ("files", include_str!("../../base/files.json")),
    ("rocksdb", include_str!("../../base/rocksdb.json")),
];

pub(super) fn find(name: &str) -> Option<&'static str> {
    LISTS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, json)| *json)
}
