//! `link get`, `link list`, `link detach`.

use super::{Service, print, write_ids};
use crate::batch::Batch;
use crate::cli::{LinkDetachArgs, LinkGetArgs, LinkListArgs};
use crate::console::Console;
use crate::exit::Error;
use crate::inventory::foreign_links;
use crate::present_names::PresentNames;
use crate::select::LinkFilter;
use crate::{json, text};

pub(super) fn detach(
    arguments: &LinkDetachArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    let batch = Batch {
        noun: "link",
        verb: "detach",
        ignore_missing: arguments.ignore_missing,
    };
    batch.run(&arguments.ids, console, |id| client.detach(id))
}

pub(super) fn get(
    arguments: &LinkGetArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let link = service.connect()?.link(arguments.id)?;
    print(
        console,
        arguments.output.output,
        |width| {
            let mut link = link.clone();
            PresentNames::here().tell(&mut link.record.details);
            text::link(&link, true, width)
        },
        || json::Link::from(link.clone()),
    )
}

pub(super) fn list(
    arguments: LinkListArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let filter = LinkFilter {
        program_id: arguments.program_id,
        kinds: arguments.kind,
        program_types: arguments.program_type,
        application: arguments.application,
        labels: arguments.metadata_selector,
    };
    let mut client = service.connect()?;
    let mut links = client.links()?;
    let foreign = if arguments.all {
        let programs = client.kernel_programs()?;
        let mut foreign = foreign_links(&links, client.kernel_links()?, &programs);
        foreign.retain(|row| filter.matches_foreign(&row.link.link, &programs));
        Some(foreign)
    } else {
        None
    };
    links.retain(|entry| filter.matches(entry));
    links.sort_by_key(|entry| entry.record.id);
    if arguments.quiet {
        return write_ids(console, links.iter().map(|entry| entry.record.id));
    }
    print(
        console,
        arguments.output.output,
        |width| {
            let mut links = links.clone();
            let names = PresentNames::here();
            for link in &mut links {
                names.tell(&mut link.record.details);
            }
            text::links(&links, foreign.as_deref().unwrap_or_default(), width)
        },
        || json::LinkList::new(links.clone(), foreign.clone()),
    )
}
