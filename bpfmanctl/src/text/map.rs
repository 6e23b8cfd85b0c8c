//! Maps.

use super::table;
use crate::inventory::MapRow;
use crate::kernel_names::map_type;
use ipc::messages::kernel::KernelMap;

/// The table of `map list`.
pub(crate) fn maps(rows: &[MapRow], width: Option<u16>) -> String {
    let headings = [
        "MAP ID",
        "NAME",
        "TYPE",
        "KEY",
        "VALUE",
        "ENTRIES",
        "PROGRAM IDS",
        "PIN",
    ];
    let cells = |row: &MapRow| {
        let programs: Vec<String> = row.programs.iter().map(u32::to_string).collect();
        let programs = match programs.is_empty() {
            true => "<none>".to_owned(),
            false => programs.join(" "),
        };
        vec![
            row.map.id.to_string(),
            row.name.clone(),
            map_type(row.map.map_type),
            row.map.key_size.to_string(),
            row.map.value_size.to_string(),
            row.map.max_entries.to_string(),
            programs,
            pin(&row.map),
        ]
    };
    table(&headings, rows.iter().map(cells).collect(), width)
}

/// Where a map is pinned, and whether it still is.
pub(super) fn pin(map: &KernelMap) -> String {
    match (map.pin_path.as_str(), map.present) {
        ("", _) => "<none>".to_owned(),
        (path, true) => path.to_owned(),
        (path, false) => format!("{path} (missing)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::rows;

    #[test]
    fn lists() {
        insta::assert_snapshot!(maps(&rows::map_rows(), None));
        assert_eq!(maps(&[], None), "");
    }
}
