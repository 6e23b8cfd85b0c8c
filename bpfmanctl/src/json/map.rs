//! Maps.

use super::kernel::MapStatus;
use crate::inventory::MapRow;
use serde::Serialize;

/// What `map list` prints, ascending by id.
#[derive(Serialize)]
pub(crate) struct MapList {
    maps: Vec<Map>,
}

#[derive(Serialize)]
struct Map {
    map_id: u32,
    managed: bool,
    /// As its author wrote it, where that is known.
    name: String,
    program_ids: Vec<u32>,
    kernel: MapStatus,
}

impl From<Vec<MapRow>> for MapList {
    fn from(rows: Vec<MapRow>) -> Self {
        let map = |row: MapRow| Map {
            map_id: row.map.id,
            managed: row.managed,
            name: row.name,
            program_ids: row.programs,
            kernel: row.map.into(),
        };
        Self {
            maps: rows.into_iter().map(map).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;
    use crate::inventory::rows;

    #[test]
    fn lists() {
        insta::assert_snapshot!(render(&MapList::from(rows::map_rows())).unwrap());
        let empty = render(&MapList::from(vec![])).unwrap();
        assert_eq!(empty, "{\n  \"maps\": []\n}\n");
    }
}
