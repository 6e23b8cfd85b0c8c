//! `map list`.

use super::{Service, print, write_ids};
use crate::cli::MapListArgs;
use crate::console::Console;
use crate::exit::Error;
use crate::{inventory, json, text};

pub(super) fn list(
    arguments: &MapListArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    let mut managed = Vec::new();
    for entry in client.programs()? {
        managed.push(client.program(entry.record.program_id)?);
    }
    let (kernel, programs) = if arguments.all {
        (client.kernel_maps()?, client.kernel_programs()?)
    } else {
        (Vec::new(), Vec::new())
    };
    let mut rows = inventory::maps(managed, kernel, &programs);
    if let Some(id) = arguments.program_id {
        rows.retain(|row| row.programs.contains(&id));
    }
    if arguments.quiet {
        return write_ids(console, rows.iter().map(|row| row.map.id));
    }
    print(
        console,
        arguments.output.output,
        |width| text::maps(&rows, width),
        || json::MapList::from(rows.clone()),
    )
}
