//! `program`.

use super::{Service, image, print, write_ids};
use crate::batch::Batch;
use crate::cli::{
    LoadArgs, LoadFileArgs, LoadImageArgs, Output, ProgramGetArgs, ProgramListArgs,
    ProgramUnloadArgs,
};
use crate::console::Console;
use crate::exit::Error;
use crate::inventory::{ProgramRow, foreign_programs};
use crate::parse::GlobalArgument;
use crate::present_names::PresentNames;
use crate::select::{APPLICATION, ProgramFilter};
use crate::{group, json, object, progress, text};
use ipc::messages::program::{LoadOptions, Program, Source, TypedGlobal};
use ipc::messages::pull::ImageSource;
use std::collections::BTreeMap;
use std::os::fd::AsFd;

pub(super) fn load(
    arguments: LoadFileArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let LoadFileArgs { path, load } = arguments;
    let object = object::open(&path)?;
    let source = path.into_os_string().into_string().map_err(|path| {
        Error::Usage(format!(
            "object file \"{}\": the path is not UTF-8",
            path.display()
        ))
    })?;
    let (output, types) = (load.output.output, types(&load));
    let options = options(load, Source::File(source))?;
    let programs = service.connect()?.load(options, types, object.as_fd())?;
    print_loaded(&programs, output, console)
}

pub(super) fn load_image(
    arguments: LoadImageArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let LoadImageArgs {
        image,
        registry,
        load,
    } = arguments;
    let passed = image::credentials(&image, registry.registry_auth.as_deref())?;
    let (output, types) = (load.output.output, types(&load));
    let source = ImageSource {
        url: image.clone(),
        pull_policy: registry.pull_policy,
        origin: None,
    };
    let options = options(load, Source::Image(source))?;
    let mut client = service.connect()?;
    let programs = progress::shown(service.runtime_dir(), &image, || {
        client.load_image(options, types, passed.as_ref().map(AsFd::as_fd))
    })?;
    print_loaded(&programs, output, console)
}

fn types(arguments: &LoadArgs) -> Vec<TypedGlobal> {
    let types = arguments.global.iter().filter_map(GlobalArgument::typed);
    types.collect()
}

fn print_loaded(
    programs: &[Program],
    output: Output,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let with_stats = stats_enabled();
    let text = |width| {
        let mut programs: Vec<&Program> = programs.iter().collect();
        programs.sort_by_key(|program| program.record.program_id);
        let reports: Vec<String> = programs
            .into_iter()
            .map(|program| text::program(program, with_stats, width))
            .collect();
        reports.join("\n")
    };
    print(console, output, text, || {
        json::Programs::from(programs.to_vec())
    })
}

fn options(arguments: LoadArgs, source: Source) -> Result<LoadOptions, Error> {
    let mut metadata: BTreeMap<String, String> = arguments.metadata.into_iter().collect();
    if let Some(application) = arguments.application {
        metadata.insert(APPLICATION.to_owned(), application);
    }
    let maps_group = arguments
        .maps_group
        .as_deref()
        .map(group::resolve)
        .transpose()
        .map_err(Error::Usage)?;
    Ok(LoadOptions {
        programs: arguments.programs,
        metadata,
        globals: arguments
            .global
            .into_iter()
            .map(|global| global.value)
            .collect(),
        // 0 is no program: scripts pass it for "none".
        map_owner: arguments.map_owner_id.filter(|id| *id != 0),
        maps_mode: arguments.maps_mode,
        maps_group,
        source,
    })
}

pub(super) fn unload(
    arguments: &ProgramUnloadArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let mut client = service.connect()?;
    let batch = Batch {
        noun: "program",
        verb: "unload",
        ignore_missing: arguments.ignore_missing,
    };
    batch.run(&arguments.ids, console, |id| client.unload(id))
}

pub(super) fn get(
    arguments: &ProgramGetArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let program = service.connect()?.program(arguments.id)?;
    let output = arguments.output.output;
    print(
        console,
        output,
        |width| {
            let mut program = program.clone();
            let names = PresentNames::here();
            for link in &mut program.links {
                names.tell(&mut link.record.details);
            }
            text::program(&program, stats_enabled(), width)
        },
        || json::Program::from(program.clone()),
    )
}

pub(super) fn list(
    arguments: ProgramListArgs,
    service: &Service,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    let filter = ProgramFilter {
        attached: match (arguments.attached, arguments.unattached) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
        types: [arguments.types, arguments.program_type].concat(),
        application: arguments.application,
        labels: arguments.metadata_selector,
        selector: arguments.selector,
    };
    let mut client = service.connect()?;
    let mut programs = client.programs()?;
    let mut foreign = Vec::new();
    if arguments.all {
        foreign = foreign_programs(&programs, client.kernel_programs()?);
        foreign.retain(|program| filter.matches_foreign(program));
    }
    programs.retain(|entry| filter.matches(entry));
    let recorded = programs.len();
    if !arguments.all {
        programs.retain(|entry| entry.kernel.is_some());
    }
    let gone = recorded - programs.len();
    if gone > 0 && console.width.is_some() {
        // For people: scripts of the established command are not told either.
        writeln!(
            console.errors,
            "{gone} more on record are gone from the kernel; `bpfmanctl program list --all` has them"
        )
        .map_err(Error::Output)?;
    }
    let mut programs: Vec<ProgramRow> = programs
        .into_iter()
        .map(ProgramRow::Managed)
        .chain(foreign.into_iter().map(ProgramRow::Foreign))
        .collect();
    programs.sort_by_key(ProgramRow::id);
    if arguments.quiet {
        return write_ids(console, programs.iter().map(ProgramRow::id));
    }
    let entries = |programs: Vec<ProgramRow>| programs.into_iter().map(Into::into).collect();
    print(
        console,
        arguments.output.output,
        |width| text::programs(&programs, width),
        || json::ProgramList {
            programs: entries(programs.clone()),
        },
    )
}

/// Whether the kernel counts runs; it does not where that cannot be told.
fn stats_enabled() -> bool {
    std::fs::read("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|value| value.starts_with(b"1"))
}
